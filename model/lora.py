"""Merging a LoRA into a network's own weights, and taking it out again without a trace.

The original tensors are kept, so that taking out is a copy and not a subtraction. Reads the PEFT file format; needs
no peft. What it cannot merge exactly is refused before any weight is touched.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inkling.errors import UserError

if TYPE_CHECKING:
    import torch

_PREFIX = "base_model.model."
_REFUSED = {"use_dora": False, "fan_in_fan_out": False, "bias": "none", "modules_to_save": None}


class UnusableAdapterError(UserError):
    """The folder holds no LoRA that fits the base that is loaded."""


class Merger:
    """Owns which adapter is in the weights of `model` (a transformers model)."""

    def __init__(self, model: "torch.nn.Module") -> None:
        self._parameters = dict(model.named_parameters())
        self._originals: dict[str, torch.Tensor] = {}

    def merge(self, folder: Path | None) -> None:
        """Make the weights those of the base plus the LoRA in `folder`, or those of the base. All or nothing."""
        import torch

        deltas = self._deltas(folder) if folder is not None else {}
        with torch.no_grad():
            for name, original in self._originals.items():
                self._parameters[name].copy_(original)
            self._originals = {name: self._parameters[name].detach().clone() for name in deltas}
            for name, delta in deltas.items():
                weight = self._parameters[name]
                weight.copy_((weight.float() + delta).to(weight.dtype))

    def _deltas(self, folder: Path) -> dict[str, "torch.Tensor"]:
        """Per parameter name: scaling * B @ A (Hu et al. 2021), float32, on the parameter's device."""
        from safetensors.torch import load_file

        try:
            config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
            tensors = load_file(folder / "adapter_model.safetensors")
        except (OSError, ValueError) as error:
            raise UnusableAdapterError(
                f"{folder} is not a readable PEFT folder ({error}). `inkling models rollback` serves the one before."
            ) from error
        refused = [name for name, allowed in _REFUSED.items() if config.get(name) not in (allowed, None, [], False)]
        if config.get("peft_type") != "LORA" or refused:
            raise UnusableAdapterError(
                f"{folder} cannot be served: expected a plain LoRA, found {config.get('peft_type')} "
                f"with {', '.join(refused) or 'no such extras'}."
            )
        deltas = {}
        for key, down in tensors.items():
            if not key.endswith(".lora_A.weight"):
                continue
            module = key.removeprefix(_PREFIX).removesuffix(".lora_A.weight")
            deltas[f"{module}.weight"] = self._delta(folder, config, module, down, tensors)
        if 2 * len(deltas) != len(tensors) or not deltas:
            raise UnusableAdapterError(f"{folder} holds tensors that are not pairs of LoRA matrices.")
        return deltas

    def _delta(
        self,
        folder: Path,
        config: dict[str, Any],
        module: str,
        down: "torch.Tensor",
        tensors: dict[str, "torch.Tensor"],
    ) -> "torch.Tensor":
        weight = self._parameters.get(f"{module}.weight")
        up = tensors.get(f"{_PREFIX}{module}.lora_B.weight")
        if weight is None or up is None or weight.shape != (up.shape[0], down.shape[1]) or up.shape[1] != len(down):
            raise UnusableAdapterError(f"{folder} was made for another base: '{module}' does not fit.")
        rank = len(down)
        alpha = _of_module(config.get("alpha_pattern"), module, config["lora_alpha"])
        scaling = alpha / rank**0.5 if config.get("use_rslora") else alpha / rank
        return scaling * (up.to(weight.device).float() @ down.to(weight.device).float())


def _of_module(pattern: dict[str, float] | None, module: str, default: float) -> float:
    """PEFT's patterns name the end of a module's path."""
    return next((value for end, value in (pattern or {}).items() if module.endswith(end)), default)
