"""Late interaction (Khattab and Zaharia 2020): how well each token of a question fits the closest part of a chunk.

A vector says what a text is about as a whole, while what is asked may stand in one of its lines. So the states that an
encoder leaves of each token are kept in few numbers: projected (`Head`), `PART` in a row as one, in 8 bits. No model
runs here; the head of the default weights is made by `inkling pretrain-search`, and who is not given one does without.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

HEAD_FILE = "late.safetensors"
PART = 8  # tokens
_MOST = 127
_ROWS = 128
_LEAST = 1e-9

Parts = NDArray[np.int8]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Question:
    """A question's tokens, float32 (tokens, dimension), each of length 1, and how much each counts, summing to 1."""

    tokens: Floats
    weights: Floats

    def closeness(self, chunks: Sequence[Parts]) -> list[float]:
        """Of each chunk, given as its parts (parts, dimension): the mean over the question's tokens, by their weights,
        of the cosine to the closest part. About -1 to 1; 0 without parts or tokens."""
        filled = [parts for parts in chunks if len(parts)]
        if not filled or not len(self.tokens):
            return [0.0] * len(chunks)
        starts = np.cumsum([0, *map(len, filled[:-1])])
        rows = np.concatenate(filled).astype(np.float32) / _MOST
        # In small products, which stay on one thread: at all of them at once others would wait awake for milliseconds.
        several = [self.tokens @ rows[start : start + _ROWS].T for start in range(0, len(rows), _ROWS)]
        cosines = np.concatenate(several, axis=1)
        closest = iter((self.weights @ np.maximum.reduceat(cosines, starts, axis=1)).tolist())
        return [next(closest) if len(parts) else 0.0 for parts in chunks]


@dataclass(frozen=True)
class Head:
    """What makes parts and questions of states. mean: (width,); projection: (width, dimension); weighing: (width,) and
    its bias say how much a token of a question counts."""

    mean: Floats
    projection: Floats
    weighing: Floats
    bias: float
    version: str = ""

    @property
    def dimension(self) -> int:
        """Numbers of a part."""
        return self.projection.shape[1]

    def parts(self, states: Floats) -> Parts:
        """Of a chunk: the states of its tokens, float32 (tokens, width), as int8 (tokens / `PART` rounded up,
        dimension), each row about 127 long."""
        found: Parts = np.rint(_unit((means(states) - self.mean) @ self.projection) * _MOST).astype(np.int8)
        return found

    def question(self, states: Floats) -> Question:
        """Of a question, from the states of its tokens, float32 (tokens, width)."""
        centred = states - self.mean
        weights = np.logaddexp(0.0, centred @ self.weighing + self.bias)
        shares = (weights / max(float(weights.sum()), _LEAST)).astype(np.float32)
        return Question(_unit(centred @ self.projection), shares)


def means(states: Floats) -> Floats:
    """Of `PART` tokens in a row, (tokens / `PART` rounded up, width)."""
    if not len(states):
        return states
    starts = np.arange(0, len(states), PART)
    sums = np.add.reduceat(states, starts, axis=0)
    found: Floats = (sums / np.diff([*starts, len(states)])[:, None]).astype(np.float32)
    return found


def opened(folder: Path, adapter: str) -> Head | None:
    """The head in `folder` if it was made for the adapter of this version; None if there is none that can be used."""
    from safetensors import SafetensorError, safe_open

    path = folder / HEAD_FILE
    try:
        data = path.read_bytes()
        with safe_open(path, "np") as file:
            if (file.metadata() or {}).get("adapter") != adapter:
                return None
            mean, projection, weighing, bias = (
                file.get_tensor(name).astype(np.float32) for name in ("mean", "projection", "weighing", "bias")
            )
    except (OSError, SafetensorError):
        return None
    if projection.shape[:1] != mean.shape or weighing.shape != mean.shape or bias.shape != (1,):
        return None
    return Head(mean, projection, weighing, float(bias[0]), hashlib.sha256(data).hexdigest()[:8])


def serialized(head: Head, adapter: str) -> bytes:
    """What stands in `HEAD_FILE` beside the adapter of this version."""
    from safetensors.numpy import save

    tensors = {
        "mean": head.mean, "projection": head.projection, "weighing": head.weighing,
        "bias": np.array([head.bias], dtype=np.float32),
    }  # fmt: skip
    data: bytes = save({name: value.astype(np.float16) for name, value in tensors.items()}, {"adapter": adapter})
    return data


def _unit(rows: NDArray[np.floating[Any]]) -> Floats:
    found: Floats = (rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), _LEAST)).astype(np.float32)
    return found
