"""LoRA adapters as what they add to a network's own weights. Reads the PEFT file format; needs neither torch nor peft.

What cannot be merged exactly is refused, so that a caller changes either all weights or none.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inkling.errors import UserError

PREFIX = "base_model.model."  # before a module's name in PEFT's files
_REFUSED = {"use_dora": False, "fan_in_fan_out": False, "bias": "none", "modules_to_save": None}


class UnusableAdapterError(UserError):
    """The folder holds no LoRA that fits the base that is loaded."""


Matrices = tuple[NDArray[np.float32], NDArray[np.float32]]


def deltas(folder: Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, NDArray[np.float32]]:
    """Per parameter name: scaling * B @ A (Hu et al. 2021), float32. `shapes` are those of the base's parameters."""
    found = {}
    for module, (down, up) in matrices(folder, shapes).items():
        product: NDArray[np.float32] = up @ down
        found[f"{module}.weight"] = product
    return found


def matrices(folder: Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Matrices]:
    """Per module A (rank, in) and scaling * B (out, rank), float32.

    Raises UnusableAdapterError for what does not fit networks of these shapes, or cannot be merged exactly.
    """
    import ml_dtypes  # noqa: F401  (registers bfloat16 with numpy)
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
        tensors = load_file(folder / "adapter_model.safetensors")
    except (OSError, ValueError, SafetensorError) as error:
        raise UnusableAdapterError(
            f"{folder} is not a readable PEFT folder ({error}). `inkling models rollback` serves the one before."
        ) from error
    refused = [name for name, allowed in _REFUSED.items() if config.get(name) not in (allowed, None, [], False)]
    if config.get("peft_type") != "LORA" or refused:
        raise UnusableAdapterError(
            f"{folder} cannot be served: expected a plain LoRA, found {config.get('peft_type')} "
            f"with {', '.join(refused) or 'no such extras'}."
        )
    found = {}
    for key, down in tensors.items():
        if key.endswith(".lora_A.weight"):
            module = key.removeprefix(PREFIX).removesuffix(".lora_A.weight")
            up = tensors.get(f"{PREFIX}{module}.lora_B.weight")
            found[module] = _scaled(folder, config, module, shapes, down, up)
    if 2 * len(found) != len(tensors) or not found:
        raise UnusableAdapterError(f"{folder} holds tensors that are not pairs of LoRA matrices.")
    return found


def _scaled(
    folder: Path,
    config: dict[str, Any],
    module: str,
    shapes: Mapping[str, tuple[int, ...]],
    down: NDArray[Any],
    up: NDArray[Any] | None,
) -> Matrices:
    rank = len(down)
    if up is None or up.shape[1:] != (rank,) or shapes.get(f"{module}.weight") != (len(up), down.shape[1]):
        raise UnusableAdapterError(f"{folder} was made for another base: '{module}' does not fit.")
    alpha = _of_module(config.get("alpha_pattern"), module, config["lora_alpha"])
    scaling = alpha / rank**0.5 if config.get("use_rslora") else alpha / rank
    return down.astype(np.float32), np.float32(scaling) * up.astype(np.float32)


def _of_module(pattern: dict[str, float] | None, module: str, default: float) -> float:
    """PEFT's patterns name the end of a module's path."""
    return next((value for end, value in (pattern or {}).items() if module.endswith(end)), default)
