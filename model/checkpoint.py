"""Weights on disk as numpy arrays, with LoRA adapters merged in. Needs no torch.

Names are those of transformers (`model.layers.0.self_attn.q_proj.weight`). Everything comes out as float32.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.lora import deltas
from model.shape import UnsupportedModelError

Tensors = dict[str, NDArray[np.float32]]


def load_tensors(folder: Path, adapters: Sequence[Path] = ()) -> Tensors:
    """All tensors in the safetensors files of `folder`, with these LoRA folders added, in this order.

    Raises UnsupportedModelError if there are none or they cannot be read, UnusableAdapterError for an adapter.
    """
    import ml_dtypes  # noqa: F401  (registers bfloat16 with numpy)
    from safetensors import SafetensorError, safe_open

    tensors: Tensors = {}
    try:
        for file in sorted(folder.glob("*.safetensors")):
            with safe_open(file, "np") as opened:
                for name in opened.keys():  # noqa: SIM118  (not a mapping)
                    tensors[name] = np.asarray(opened.get_tensor(name), dtype=np.float32)
    except (OSError, SafetensorError, TypeError) as error:
        raise UnsupportedModelError(
            f"The weights in {folder} cannot be read ({error}). Run `inkling models pull` to fetch them again."
        ) from error
    if not tensors:
        raise UnsupportedModelError(f"There is no safetensors file in {folder}. Run `inkling models pull`.")
    for adapter in adapters:
        shapes: Mapping[str, tuple[int, ...]] = {name: tensor.shape for name, tensor in tensors.items()}
        for name, delta in deltas(adapter, shapes).items():
            tensors[name] = tensors[name] + delta
    return tensors
