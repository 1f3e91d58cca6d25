"""The network that is trained and measured: transformers' model of a base, with what is served below it merged in.

What always holds: it attends in blocks, as serving does, and takes one row at a time (`model.training.batches`).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from model.lora import deltas


def load_network(folder: Path, adapters: Sequence[Path] = (), *, device: str = "cpu") -> Any:
    """The causal LM of the weights in `folder` with these LoRA folders merged, in this order.

    bfloat16 on CUDA, float32 elsewhere. Raises UnusableAdapterError for an adapter that does not fit.
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
    return model.to(device, torch.bfloat16 if device.startswith("cuda") else torch.float32)


def merge(model: Any, adapter: Path) -> None:
    """Add a LoRA folder to the parameters of a transformers model, as serving adds it to its own."""
    import torch

    parameters = dict(model.named_parameters())
    found = deltas(adapter, {name: tuple(parameter.shape) for name, parameter in parameters.items()})
    with torch.no_grad():
        for name, delta in found.items():
            parameters[name] += torch.from_numpy(delta).to(parameters[name].device, parameters[name].dtype)
