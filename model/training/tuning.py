"""The loop of a stage that goes on with an adapter: steps within a budget, checkpoints, cancelling.

It knows no loss. What always holds: the reference values are those of the adapter as it was when the stage began, also
after a kill; a stage that is over is not begun again by a night that is resumed.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from model.training.checkpoints import Checkpoint
from model.training.sft import TrainingCancelledError, TrainingDivergedError

Reference = list[list[float]]  # what the adapter said of each item before the first step


@dataclass(frozen=True)
class Pace:
    """How a stage goes on. `name` is said to people."""

    name: str
    learning_rate: float
    clip: float
    checkpoint_seconds: float
    budget_seconds: float
    progress: Callable[[int, int, float], None] = lambda done, planned, loss: None
    cancelled: Callable[[], bool] = lambda: False
    clock: Callable[[], float] = time.monotonic


@dataclass(frozen=True)
class Tuned:
    """What was done. `reference` holds what the adapter said before."""

    steps: int
    planned: int
    losses: tuple[float, ...]
    seconds: float
    reference: Reference


@dataclass
class _State:
    step: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)
    reference: Reference = field(default_factory=list)


def tune(
    model: Any,
    batches: Sequence[Sequence[int]],
    refer: Callable[[], Reference],
    learn: Callable[[Sequence[int], Reference], float],
    checkpoint: Checkpoint,
    pace: Pace,
) -> Tuned:
    """Train the PEFT model in place. `learn` adds the gradients of the items of one batch and returns their loss.

    Raises TrainingCancelledError (the same call goes on from the checkpoint) and TrainingDivergedError.
    """
    import torch

    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=0.0, weight_decay=0.0)
    found = checkpoint.load(model, optimiser)
    state = _State(**found) if found else _State()
    began = pace.clock() - state.seconds
    model.eval()  # no dropout: a text is judged as it is served
    if not state.reference:
        with torch.no_grad():
            state.reference = refer()
    planned, saved = len(batches), pace.clock()
    while state.step < planned and pace.clock() - began < pace.budget_seconds:
        if pace.cancelled():
            state.seconds = pace.clock() - began
            checkpoint.save(model, optimiser, asdict(state))
            raise TrainingCancelledError(f"Cancelled after {state.step} of {planned} steps of {pace.name}.")
        for group in optimiser.param_groups:
            group["lr"] = pace.learning_rate * min(1.0, (state.step + 1) / max(1, planned // 10))
        loss = learn(batches[state.step], state.reference)
        if not math.isfinite(loss):
            raise TrainingDivergedError(
                f"The loss of {pace.name} became {loss}: use a learning rate below {pace.learning_rate:g}."
            )
        torch.nn.utils.clip_grad_norm_(parameters, pace.clip)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        state.step += 1
        state.losses.append(loss)
        pace.progress(state.step, planned, loss)
        if pace.clock() - saved >= pace.checkpoint_seconds:
            saved, state.seconds = pace.clock(), pace.clock() - began
            checkpoint.save(model, optimiser, asdict(state))
    state.seconds = pace.clock() - began
    checkpoint.save(model, optimiser, asdict(state))
    return Tuned(state.step, planned, tuple(state.losses), state.seconds, state.reference)
