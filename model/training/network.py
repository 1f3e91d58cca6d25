"""The network that is trained and measured: transformers' model of a base, with what is served below it merged in.

What always holds: it attends in blocks, as serving does, and takes one row at a time (`model.training.batches`).
"""

import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from index.lora import deltas

LEAST_WIDTH = 256  # of hidden states, from which on bfloat16 can be worth it; at 48 it takes 1.6 times as long


def load_network(folder: Path, adapters: Sequence[Path] = (), *, device: str = "cpu") -> Any:
    """The causal LM of the weights in `folder` with these LoRA folders merged, in this order.

    bfloat16 on CUDA, float32 elsewhere; what turns keys is float32 everywhere, as bfloat16 would turn one at position
    500 by more than half a radian too far. Raises UnusableAdapterError for an adapter that does not fit.
    """
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    from model.training.attention import use_block_attention

    logging.disable_progress_bar()  # stdout and stderr belong to the caller's own progress
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    for adapter in adapters:
        merge(model, adapter)
    use_block_attention(model)
    if device.startswith("cuda"):
        narrow(model)
    return model.to(device)


def narrow(model: Any) -> None:
    """Give all parameters bfloat16, and leave what is computed from positions as it is."""
    import torch

    for parameter in model.parameters():
        parameter.data = parameter.data.to(torch.bfloat16)


def load_for_training(folder: Path, adapters: Sequence[Path] = (), *, device: str = "cpu") -> Any:
    """The same, its layers in bfloat16 on a CPU that computes in it faster; `model.training.batches` follows them.

    Matrices of a small network take less time than to convert what goes into them, so that it stays in float32.
    """
    model = load_network(folder, adapters, device=device)
    if device.startswith("cpu") and model.config.hidden_size >= LEAST_WIDTH and computes_bfloat16():
        to_bfloat16(model)
    return model


def computes_bfloat16() -> bool:
    """Whether this CPU multiplies in bfloat16 itself; where it has to be imitated, float32 is faster."""
    import torch

    if platform.machine().lower() in ("x86_64", "amd64"):
        found: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()  # not in every version that will do
        return bool(found.get("avx512_bf16") or found.get("amx_bf16"))
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def autocast(device: str = "cpu") -> Any:
    """Matrices are multiplied in bfloat16 within it, where the device does that itself; else nothing changes."""
    import torch

    kind = device.split(":")[0]
    return torch.autocast(kind, torch.bfloat16, enabled=kind != "cpu" or computes_bfloat16())


def to_bfloat16(model: Any) -> None:
    """Give the frozen matrices of the layers the type that they have on disk, so that nothing converts them again."""
    import torch

    for name, parameter in model.named_parameters():
        if ".layers." in name and parameter.ndim == 2 and "lora_" not in name:
            parameter.data = parameter.data.to(torch.bfloat16)


def merge(model: Any, adapter: Path) -> None:
    """Add a LoRA folder to the parameters of a transformers model, as serving adds it to its own."""
    import torch

    parameters = dict(model.named_parameters())
    found = deltas(adapter, {name: tuple(parameter.shape) for name, parameter in parameters.items()})
    with torch.no_grad():
        for name, delta in found.items():
            parameters[name] += torch.from_numpy(delta).to(parameters[name].device, parameters[name].dtype)
