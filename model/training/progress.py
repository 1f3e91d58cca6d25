"""Where a night stands, for whoever watches it."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """Where a night stands. `stage`: gate, prepare, measure, train, judge. `loss` is None outside training."""

    stage: str
    done: int
    total: int
    message: str
    loss: float | None = None
    seconds_left: float | None = None


Report = Callable[[Progress], None]
