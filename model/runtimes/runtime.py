"""The one interface between the engine and whatever runs the network.

A runtime owns weights and buffers of keys and values, and knows two things: run tokens through the network behind what
is in a buffer, and copy keys and values into and out of one. What a document, a sink or a tail is, and which slots are
reused, is decided above. A runtime is used from one thread only.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from model.shape import ModelShape

Cancelled = Callable[[], bool]
Rows = Literal["none", "last", "all"]
DType = Literal["float32", "bfloat16"]


class CancelledError(Exception):
    """The caller's `cancelled()` became true between two steps. Nothing that was computed is lost."""


class OutOfMemoryError(Exception):
    """The accelerator has no room for what was asked. The buffers that exist are still good."""


@dataclass(frozen=True)
class KeysValues:
    """Keys (rotated) and values of consecutive tokens, each (layers, kv_heads, tokens, head_dim), C-contiguous or not.

    float32, or uint16 holding the bits of bfloat16: numpy arrays in host memory, so that any tier can keep them.
    """

    keys: NDArray[Any]
    values: NDArray[Any]

    @property
    def tokens(self) -> int:
        """How many tokens."""
        return int(self.keys.shape[2])

    @property
    def nbytes(self) -> int:
        """Bytes of both."""
        return int(self.keys.nbytes + self.values.nbytes)

    def part(self, start: int, end: int) -> "KeysValues":
        """A view of some of the tokens."""
        return KeysValues(self.keys[:, :, start:end], self.values[:, :, start:end])


class Buffer(Protocol):
    """Keys and values of up to `capacity` tokens, one after the other in slots 0, 1, ..."""

    capacity: int

    def write(self, at: int, stored: Any, turn: int = 0) -> None:
        """Copy into slots `at` and following. `stored`: KeysValues, or what `Runtime.upload` made of them.

        `turn`: rotate the keys by so many positions (see `model.positions`).
        """
        ...

    def read(self, start: int, end: int) -> KeysValues:
        """A copy of these slots in host memory."""
        ...


class Runtime(Protocol):
    """A network. `dtype` is that of keys and values, and part of the key under which documents are cached."""

    name: str
    device: str
    dtype: DType
    shape: ModelShape

    @property
    def slot_bytes(self) -> int:
        """Bytes that one slot of a buffer takes."""
        ...

    def buffer(self, capacity: int) -> Buffer:
        """A new, empty buffer. Raises OutOfMemoryError."""
        ...

    def upload(self, stored: KeysValues) -> Any:
        """A copy on the accelerator for repeated `Buffer.write`s; the same object where host memory is all there is.

        Raises OutOfMemoryError.
        """
        ...

    def forward(
        self, buffer: Any, tokens: Sequence[int], slot: int, position: int, rows: Rows = "last"
    ) -> NDArray[np.float32]:
        """Run `tokens` through the network; their keys and values land in slots `slot`, `slot` + 1, ...

        They stand at positions `position`, `position` + 1, ... and attend to every slot before `slot`, and to each
        other causally. Returns float32 logits (n, vocabulary) for the token after the last one, after each, or
        an array with no rows. `buffer` is one that this runtime made.
        """
        ...

    def queries(self, buffer: Any, tokens: Sequence[int], slot: int, position: int) -> NDArray[np.float32]:
        """As `forward`, but returns the rotated queries of every layer, float32 (layers, n, heads, head_dim)."""
        ...

    def load_adapters(self, folders: Sequence[Path]) -> None:
        """Compute with these LoRAs (PEFT folders) on the base from now on; on failure nothing has changed.

        Keys and values in buffers are those of the old weights: whoever owns them drops them.
        """
        ...
