"""The one interface between the engine and whatever runs the network.

A runtime owns weights, keys and values. It is used from one thread only (the engine's). It never sees
text: the engine tokenises, heals and stops; the runtime turns token ids into logits and keeps what it
computed. The rule that every runtime obeys: what it returns equals one forward pass over the sink, the
documents and the tail, up to rounding, whatever was reused.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

Cancelled = Callable[[], bool]


@dataclass(frozen=True)
class Prefill:
    """What `extend` did. `logits`: float32, shape (vocabulary,), for the token after the tail."""

    logits: np.ndarray
    reused_tokens: int
    prefilled_tokens: int


class CancelledError(Exception):
    """The caller's `cancelled()` became true between two tokens. Nothing that was computed is lost."""


class Runtime(Protocol):
    """A network with its caches."""

    name: str
    vocabulary: int
    maximum_positions: int

    def encode(self, documents: Sequence[Sequence[int]], cancelled: Cancelled) -> None:
        """Make these token sequences the working set that the tail attends to, in this order."""
        ...

    def extend(self, tail: Sequence[int], cancelled: Cancelled) -> Prefill:
        """Make `tail` the resident tail, computing only what differs from the tail that is resident."""
        ...

    def decode(self, token: int) -> np.ndarray:
        """Append one token to the tail; float32 logits of shape (vocabulary,) for the next."""
        ...

    def load_adapter(self, folder: Path | None) -> None:
        """Serve with this LoRA (a PEFT folder), or with the bare base. Drops every cached key and value."""
        ...
