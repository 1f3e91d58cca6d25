"""Small documents for the cache: tokens, and keys and values of random numbers that belong to them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from model.cache.key import DType, Key, Lineage
from model.cache.quantised import to_bfloat16
from model.runtimes.runtime import KeysValues

LINEAGE = Lineage(base="base", adapters="", scheme="parallel", sink=(1, 2, 3), dtype="float32")
LAYERS, HEADS, CHANNELS = 2, 2, 8


@dataclass(frozen=True)
class Encoded:
    """What `DocumentCache.put` takes."""

    key: Key
    tokens: list[int]
    stored: KeysValues = field(repr=False)
    seconds: float

    @property
    def nbytes(self) -> int:
        return self.stored.nbytes


def encoded(tokens: Sequence[int], lineage: Lineage = LINEAGE, seconds: float = 1.0) -> Encoded:
    """Keys and values that depend on nothing but lineage and tokens, as those of a network do."""
    key = lineage.key(tokens)
    random = np.random.default_rng(int(key.digest[:12], 16))
    keys, values = random.standard_normal((2, LAYERS, HEADS, len(tokens), CHANNELS)).astype(np.float32)
    if lineage.dtype == "bfloat16":
        return Encoded(key, list(tokens), KeysValues(to_bfloat16(keys), to_bfloat16(values)), seconds)
    return Encoded(key, list(tokens), KeysValues(keys, values), seconds)


def document(number: int, length: int = 40, dtype: DType = "float32", seconds: float = 1.0) -> Encoded:
    """The document of this number: no two begin alike, and equal lengths are equal bytes."""
    return encoded(range(1000 * number, 1000 * number + length), replace(LINEAGE, dtype=dtype), seconds)


def same(one: KeysValues | None, other: KeysValues | None) -> bool:
    """Whether both hold the very same numbers."""
    assert one is not None
    assert other is not None
    pairs: list[tuple[Any, Any]] = [(one.keys, other.keys), (one.values, other.values)]
    return all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in pairs)
