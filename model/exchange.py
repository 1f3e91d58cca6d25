"""Taking adapters out and in: a plain PEFT folder, merged weights, a GGUF file for llama.cpp.

What is served is base, shipped adapter and the user's adapter together; every export holds all of it, so that nothing
else has to be known to use it. What always holds: a target that exists is never written over, and appears whole.
"""

import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from index.lora import PREFIX, UnusableAdapterError, matrices
from inkling.errors import UserError
from model.adapters import CONFIG_FILE, WEIGHTS_FILE, Adapter, Registry, check_folder
from model.catalog import CATALOG
from model.checkpoint import load_tensors
from model.shape import ModelShape, read_shape
from model.shipped import METADATA_FILE, Shipped, place_below, read_shipped
from model.tensor_files import disk_errors

Form = Literal["peft", "merged", "gguf"]
FORMS: tuple[Form, ...] = ("peft", "merged", "gguf")
_COPIED = ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
_PRE_TOKENIZERS = {"qwen2": "qwen2", "qwen3": "qwen2"}
_SERVED = ("champion", "canary")
_GGUF_KINDS = {"normal": 1, "control": 3}


class ExchangeError(UserError):
    """What was asked for cannot be written or read."""


def export(base_folder: Path, adapters: Sequence[Path], form: Form, target: Path, *, base: str) -> Path:
    """Write base and adapters (PEFT folders, merged in this order) to `target`: a folder, or a file for gguf.

    Raises ExchangeError if `target` exists or the weights have no such form, UnusableAdapterError for an adapter.
    """
    if target.exists():
        raise ExchangeError(f"{target} exists already: name another place.")
    if form == "peft" and not adapters:
        raise ExchangeError("There is no adapter to write: name one, or take --form merged for the base alone.")
    write: dict[Form, Callable[[Path], None]] = {
        "peft": lambda place: _peft(base_folder, adapters, place, base),
        "merged": lambda place: _merged(base_folder, adapters, place),
        "gguf": lambda place: _gguf(base_folder, adapters, place),
    }
    with _appearing(target) as place:
        write[form](place)
    return target


def import_adapter(source: Path, *, base: str, base_folder: Path, registry: Registry, name: str | None) -> Adapter:
    """Copy a PEFT folder in as a candidate. Raises UnusableAdapterError or RegistryError for one that does not fit."""
    check_folder(source)
    _refuse_another_base(source, base, base_folder)
    matrices(source, {key: tensor.shape for key, tensor in load_tensors(base_folder).items()})
    registry.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=registry.folder, prefix=".import-") as scratch:
        copy = Path(scratch) / "adapter"
        copy.mkdir()
        for file in (CONFIG_FILE, WEIGHTS_FILE):
            shutil.copyfile(source / file, copy / file)
        return registry.add_candidate(copy, base=base, name=name)


def take_below(source: Path, *, base: str, base_folder: Path, registry: Registry) -> Shipped:
    """Copy what `inkling pretrain` made for a base that is not of the catalog to where it is served from.

    Raises UnusableAdapterError for one that does not fit, ExchangeError where adapters are served on top of what is
    below them now, for they were trained on that.
    """
    if base in CATALOG:
        raise ExchangeError(f"{base} comes with an adapter of its own: name another base (--base).")
    served = [adapter.name for adapter in registry.list() if adapter.base == base and adapter.state in _SERVED]
    if served:
        raise ExchangeError(
            f"{' and '.join(served)} was trained on what is served below it now: take it out of use first "
            f"(`inkling models rollback --base {base}`)."
        )
    if not (source / METADATA_FILE).is_file():
        raise ExchangeError(f"{source} has no {METADATA_FILE}: expected a folder that `inkling pretrain` made.")
    read_shipped(source)
    _refuse_another_base(source, base, base_folder)
    matrices(source, {key: tensor.shape for key, tensor in load_tensors(base_folder).items()})
    place = place_below(base)
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=".import-") as scratch:
        copy = Path(scratch) / "adapter"
        copy.mkdir()
        for file in (CONFIG_FILE, WEIGHTS_FILE, METADATA_FILE):
            shutil.copyfile(source / file, copy / file)
        if place.exists():
            place.rename(Path(scratch) / "before")
        copy.rename(place)
    return read_shipped(place)


def _refuse_another_base(source: Path, base: str, base_folder: Path) -> None:
    """Matrices of one shape fit many weights, and add nonsense to all but those that they were trained on.

    Names are compared without organisation, revision and place, as one base has many: of a hub, of a folder.
    """
    named = json.loads((source / CONFIG_FILE).read_bytes()).get("base_model_name_or_path")
    if not isinstance(named, str) or not named or Path(named).resolve() == base_folder.resolve():
        return
    mine = PurePath(base.partition(":")[2] or base).name.partition("@")[0].lower()
    theirs = {part.partition("@")[0] for part in re.split(r"[/\\:]|--", named.lower())}
    if not theirs & {mine, base_folder.name.lower()}:
        raise UnusableAdapterError(
            f"{source} was made for {named}, not for {base}, though its matrices may fit. Name its base (--base), or, "
            f"if both are the same weights, write {base} as base_model_name_or_path into its {CONFIG_FILE}."
        )


@contextmanager
def _appearing(target: Path) -> Iterator[Path]:
    """A place beside the target that is moved there when all is written."""
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    try:
        yield scratch / "whole"
        (scratch / "whole").rename(target)
    except OSError as error:
        raise ExchangeError(f"{target} cannot be written: {error}. Name another place with --out.") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _peft(base_folder: Path, adapters: Sequence[Path], place: Path, base: str) -> None:
    """One LoRA that adds what all of them add: their matrices side by side, scales within, rank the sum of ranks."""
    from safetensors.numpy import save_file

    shapes = {name: tensor.shape for name, tensor in load_tensors(base_folder).items()}
    downs: dict[str, list[NDArray[np.float32]]] = {}
    ups: dict[str, list[NDArray[np.float32]]] = {}
    for adapter in adapters:
        for module, (down, up) in matrices(adapter, shapes).items():
            downs.setdefault(module, []).append(down)
            ups.setdefault(module, []).append(up)
    ranks = {module: sum(len(down) for down in found) for module, found in downs.items()}
    rank = max(ranks.values())
    tensors: dict[str, NDArray[np.float32]] = {}
    for module in downs:
        tensors[f"{PREFIX}{module}.lora_A.weight"] = np.concatenate(downs[module])
        tensors[f"{PREFIX}{module}.lora_B.weight"] = np.concatenate(ups[module], axis=1)
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": rank,
        "lora_alpha": rank,
        "rank_pattern": {module: found for module, found in ranks.items() if found != rank},
        "alpha_pattern": {module: found for module, found in ranks.items() if found != rank},
        "lora_dropout": 0.0,
        "bias": "none",
        "inference_mode": True,
        "target_modules": sorted({module.rsplit(".", 1)[-1] for module in downs}),
    }
    place.mkdir()
    with disk_errors(place / WEIGHTS_FILE):
        save_file(tensors, place / WEIGHTS_FILE, metadata={"format": "pt"})
    (place / WEIGHTS_FILE).chmod(0o644)
    (place / CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _merged(base_folder: Path, adapters: Sequence[Path], place: Path) -> None:
    """A folder that transformers loads, in bfloat16."""
    import ml_dtypes
    from safetensors.numpy import save_file

    place.mkdir()
    for name in _COPIED:
        if (base_folder / name).is_file():
            shutil.copyfile(base_folder / name, place / name)
    tensors = {name: tensor.astype(ml_dtypes.bfloat16) for name, tensor in load_tensors(base_folder, adapters).items()}
    with disk_errors(place / "model.safetensors"):
        save_file(tensors, place / "model.safetensors", metadata={"format": "pt"})
    (place / "model.safetensors").chmod(0o644)


def _gguf(base_folder: Path, adapters: Sequence[Path], place: Path) -> None:
    """One GGUF file, matrices in float16, norms in float32; llama.cpp's own tools make it smaller."""
    import gguf

    shape = read_shape(base_folder)
    family = "llama" if shape.family == "mistral" else shape.family
    architecture = {"llama": gguf.MODEL_ARCH.LLAMA, "qwen2": gguf.MODEL_ARCH.QWEN2, "qwen3": gguf.MODEL_ARCH.QWEN3}[
        family
    ]
    names = gguf.get_tensor_name_map(architecture, shape.layers)
    writer = gguf.GGUFWriter(place, family)
    writer.add_name(base_folder.name)
    writer.add_context_length(shape.positions)
    writer.add_embedding_length(shape.hidden)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.intermediate)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head_dim)
    writer.add_value_length(shape.head_dim)
    writer.add_rope_dimension_count(shape.head_dim)
    writer.add_rope_freq_base(shape.rope_theta)
    writer.add_layer_norm_rms_eps(shape.epsilon)
    writer.add_vocab_size(shape.vocabulary)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    _add_tokenizer(writer, base_folder, shape)
    for name, tensor in load_tensors(base_folder, adapters).items():
        known = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if known is None:
            raise ExchangeError(f"GGUF has no name for {name}: take --form merged.")
        if family == "llama" and name.endswith(("q_proj.weight", "k_proj.weight")):
            tensor = _interleaved(tensor, shape.heads if ".q_proj" in name else shape.kv_heads)
        writer.add_tensor(known, tensor.astype(np.float16 if tensor.ndim > 1 else np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _interleaved(weight: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """Rows as llama.cpp pairs them for rotation: neighbours, where transformers pairs the halves of a head."""
    rows, columns = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def _add_tokenizer(writer: Any, folder: Path, shape: ModelShape) -> None:
    described = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    model = described["model"]
    if model.get("type") != "BPE" or shape.rope_scaling or shape.rope_factor != 1.0:
        raise ExchangeError("Only weights with a byte-level BPE and plain rotation can be written as GGUF.")
    added = {token["id"]: token["content"] for token in described.get("added_tokens", ())}
    spelled = {identity: token for token, identity in model["vocab"].items()} | added
    tokens = [spelled.get(identity, f"[PAD{identity}]") for identity in range(shape.vocabulary)]
    kinds = [_GGUF_KINDS["control" if identity in added else "normal"] for identity in range(shape.vocabulary)]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(_PRE_TOKENIZERS.get(shape.family) or _pre_tokenizer(described))
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]])
    writer.add_add_space_prefix(False)
    writer.add_add_bos_token(False)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    for kind, add in (("bos", writer.add_bos_token_id), ("eos", writer.add_eos_token_id)):
        identity = config.get(f"{kind}_token_id")
        if isinstance(identity, int):
            add(identity)
    if (folder / "chat_template.jinja").is_file():
        writer.add_chat_template((folder / "chat_template.jinja").read_text(encoding="utf-8"))


def _pre_tokenizer(described: dict[str, Any]) -> str:
    """The name that llama.cpp has for how text is split before merging."""
    steps = (described.get("pre_tokenizer") or {}).get("pretokenizers") or [described.get("pre_tokenizer") or {}]
    kinds = [step.get("type") for step in steps]
    if kinds == ["Digits", "ByteLevel"]:
        return "smollm"
    if kinds == ["ByteLevel"]:
        return "gpt-2"
    raise ExchangeError(f"GGUF has no name for a tokenizer that splits with {kinds}: take --form merged.")
