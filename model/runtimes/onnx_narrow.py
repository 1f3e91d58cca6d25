"""Keys and values in 8 bits beside those in float32: a quarter of the bytes that a decoded token has to read.

ONNX Runtime's attention reads them faster for a few tokens and more slowly for many, so both are kept, and each slot
is converted when the other side is about to read it. What always holds: a slot is right on one side at least; scales
cover what was written from float32 since the first slot was, and grow with it.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.shape import ModelShape

LEAST_SLOTS = 256  # that are filled before: fewer say too little about how large what is to come will be
MOST_TOKENS = 2  # of one run: from three on the float32 attention is faster (measured, see docs/decisions.md)
_MOST = 127
_LEAST_SCALE = 1e-9
_ROOM = 1.25  # what is to come may be larger than what was seen

Floats = NDArray[np.float32]


class NarrowBuffer:
    """The 8-bit side of a buffer. `keys`, `values`: its float32 side, (layers, 1, kv_heads, capacity, head_dim)."""

    def __init__(self, shape: ModelShape, keys: Floats, values: Floats) -> None:
        import onnxruntime

        self._wide = (keys, values)
        self._narrow = tuple(np.zeros(side.shape, dtype=np.int8) for side in self._wide)
        size = (shape.layers, 1, shape.kv_heads, 1, shape.head_dim)
        self._scales = tuple(np.full(size, _LEAST_SCALE, dtype=np.float32) for _ in self._wide)
        capacity = keys.shape[3]
        self._stale = np.ones(capacity, dtype=bool)  # slots that are right in float32 alone
        self._ahead = np.zeros(capacity, dtype=bool)  # slots that are right in 8 bits alone
        self._inputs: list[tuple[str, Any]] = []
        self._outputs: list[tuple[str, Any]] = []
        for kind, array, scales in zip(("key", "value"), self._narrow, self._scales, strict=True):
            for layer in range(shape.layers):
                value = onnxruntime.OrtValue.ortvalue_from_numpy(array[layer])
                scale = onnxruntime.OrtValue.ortvalue_from_numpy(scales[layer])
                self._inputs += [(f"{kind}s.{layer}", value), (f"{kind}_scales.{layer}", scale)]
                self._outputs.append((f"new_{kind}s.{layer}", value))
        self._binding: Any = None
        self._session: Any = None

    def wrote_wide(self, start: int, end: int) -> None:
        """The float32 side of these slots is new. With the first slot everything begins anew, scales too: what is
        computed does not depend on whose keys and values lay there before.
        """
        self._stale[start:end] = True
        self._ahead[start:end] = False
        if start == 0:
            self._rescale()
            for scales in self._scales:
                scales[:] = _LEAST_SCALE

    def wrote_narrow(self, start: int, end: int) -> None:
        """The 8-bit side of these slots is new."""
        self._stale[start:end] = False
        self._ahead[start:end] = True

    def widen(self, end: int) -> None:
        """Make the float32 side right in the slots before `end`."""
        for start, stop in _runs(self._ahead[:end]):
            for wide, narrow, scales in zip(self._wide, self._narrow, self._scales, strict=True):
                np.multiply(narrow[..., start:stop, :], scales, out=wide[..., start:stop, :])
        self._ahead[:end] = False

    def narrow(self, end: int) -> None:
        """Make the 8-bit side right in the slots before `end`."""
        runs = list(_runs(self._stale[:end]))
        largest = self._largest(runs) if runs else []
        if any((most > scales * _MOST).any() for most, scales in zip(largest, self._scales, strict=False)):
            self._rescale()
            for most, scales in zip(largest, self._scales, strict=True):
                np.copyto(scales, most * (_ROOM / _MOST), where=most > scales * _MOST)
            runs = [(0, end)]
        for start, stop in runs:
            for wide, narrow, scales in zip(self._wide, self._narrow, self._scales, strict=True):
                for layer in range(len(wide)):  # so that what is between lies in the processor's cache
                    part = wide[layer, ..., start:stop, :] * (1 / scales[layer])
                    narrow[layer, ..., start:stop, :] = np.rint(part, out=part).clip(-_MOST, _MOST, out=part)
        self._stale[:end] = False

    def _rescale(self) -> None:
        """Get ready for other scales: what only the old ones can read is made right in float32 first."""
        self.widen(len(self._ahead))
        self._stale[:] = True

    def _largest(self, runs: list[tuple[int, int]]) -> list[Floats]:
        """The largest magnitudes in these slots, in the shape of the scales."""
        return [
            np.stack(
                [  # layer by layer, so that what is read twice lies in the processor's cache
                    np.maximum.reduce(
                        [
                            np.maximum(part.max(axis=2, keepdims=True), -part.min(axis=2, keepdims=True))
                            for part in (layer[..., start:stop, :] for start, stop in runs)
                        ]
                    )
                    for layer in wide
                ]
            )
            for wide in self._wide
        ]

    def binding_for(self, session: Any) -> Any:
        """As `OnnxBuffer.binding_for`."""
        if session is not self._session:
            self._session, self._binding = session, session.io_binding()
            for name, value in self._inputs:
                self._binding.bind_ortvalue_input(name, value)
            for name, value in self._outputs:
                self._binding.bind_ortvalue_output(name, value)
        return self._binding


def _runs(marked: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Start and stop of each run of marked slots."""
    edges = np.flatnonzero(np.diff(marked.astype(np.int8), prepend=0, append=0))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
