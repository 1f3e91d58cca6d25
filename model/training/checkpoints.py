"""A training that can be killed: adapter, optimiser and progress in one file, replaced as a whole.

It does not know what is trained. What always holds: a file of another training (another key) is never gone on with.
"""

import io
from pathlib import Path
from typing import Any

from inkling.errors import UserError
from model.adapters import write_atomically

CHECKPOINT_FILE = "checkpoint.pt"


class OtherTrainingError(UserError):
    """What a person asked to go on with is another training."""


class Checkpoint:
    """One file. `key` is what a training must agree in: data, options."""

    def __init__(self, path: Path, key: str) -> None:
        self._path = path
        self._key = key

    def load(self, model: Any, optimiser: Any, *, refuse_other: bool = False) -> dict[str, Any] | None:
        """Restore a PEFT model and its optimiser; the figures that were saved with them, or None if there are none.

        A file of another training counts as none; with `refuse_other` it raises OtherTrainingError, so that nobody
        loses hours of work to a changed option.
        """
        import torch
        from peft import set_peft_model_state_dict

        if not self._path.exists():
            return None
        saved = torch.load(self._path, map_location="cpu", weights_only=True)
        if saved["key"] != self._key:
            if refuse_other:
                raise OtherTrainingError(
                    f"{self._path} belongs to a training with other options or texts: repeat those to go on with it, "
                    "choose another --out, or begin anew with --afresh."
                )
            return None
        set_peft_model_state_dict(model, saved["adapter"])
        optimiser.load_state_dict(saved["optimiser"])
        torch.set_rng_state(saved["random"])
        figures: dict[str, Any] = saved["figures"]
        return figures

    def remove(self) -> None:
        """The training is over."""
        self._path.unlink(missing_ok=True)

    def save(self, model: Any, optimiser: Any, figures: dict[str, Any]) -> None:
        """Write everything as it is now. `figures` are plain values: numbers, strings, lists, None."""
        import torch
        from peft import get_peft_model_state_dict

        buffer = io.BytesIO()
        torch.save(
            {
                "key": self._key,
                "figures": figures,
                "adapter": get_peft_model_state_dict(model),
                "optimiser": optimiser.state_dict(),
                "random": torch.get_rng_state(),
            },
            buffer,
        )
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self._path, buffer.getvalue())
