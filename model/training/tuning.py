"""The loop of a stage that goes on with an adapter: steps within a budget, checkpoints, cancelling.

It knows no loss. What always holds: the reference values are those of the adapter as it was when the stage began, also
after a kill; reading them, training and reading once more what came of it share one budget; a stage that is over is not
begun again by a night that is resumed.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from model.training.checkpoints import Checkpoint
from model.training.sft import TrainingCancelledError, TrainingDivergedError

Reference = list[list[float]]  # what the adapter says of each item
_REFERENCE_SHARE = 0.25  # of the budget, for reading the reference; as much is left for reading the same items again


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
    """What was done. `reference` holds what the adapter said before the first step, `after` what it said of the same
    items behind the last."""

    steps: int
    planned: int
    losses: tuple[float, ...]
    seconds: float
    reference: Reference
    after: Reference


@dataclass
class _State:
    step: int = 0
    seconds: float = 0.0
    reading: float = 0.0  # of the seconds, those for the reference
    losses: list[float] = field(default_factory=list)
    reference: Reference = field(default_factory=list)


def tune(
    model: Any,
    items: int,
    batches: Callable[[int], Sequence[Sequence[int]]],
    say: Callable[[int], list[float]],
    learn: Callable[[Sequence[int], Reference], float],
    checkpoint: Checkpoint,
    pace: Pace,
) -> Tuned:
    """Train the PEFT model in place on as many of the items, from the first on, as can be read in their share of time.

    `say` is what the model says of one item, without gradients; `batches` lays so many items into steps; `learn` adds
    the gradients of the items of one batch and returns their loss.
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
        state.reference = _said(items, say, pace, _REFERENCE_SHARE * pace.budget_seconds)
        state.reading = pace.clock() - began
    steps = batches(len(state.reference))
    planned, saved = len(steps), pace.clock()
    while state.step < planned and pace.clock() - began < pace.budget_seconds - state.reading:
        if pace.cancelled():
            state.seconds = pace.clock() - began
            checkpoint.save(model, optimiser, asdict(state))
            raise TrainingCancelledError(f"Cancelled after {state.step} of {planned} steps of {pace.name}.")
        for group in optimiser.param_groups:
            group["lr"] = pace.learning_rate * min(1.0, (state.step + 1) / max(1, planned // 10))
        loss = learn(steps[state.step], state.reference)
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
    after = _said(len(state.reference), say, pace, math.inf)
    return Tuned(state.step, planned, tuple(state.losses), state.seconds, state.reference, after)


def _said(items: int, say: Callable[[int], list[float]], pace: Pace, seconds: float) -> Reference:
    """What the model says of the first items, of one at least, until the seconds are over."""
    import torch

    found: Reference = []
    began = pace.clock()
    with torch.no_grad():
        for item in range(items):
            if pace.cancelled():
                raise TrainingCancelledError(f"Cancelled while {pace.name} read {items} texts.")
            if found and pace.clock() - began >= seconds:
                break
            found.append(say(item))
    return found
