"""The key of a document in the cache: everything that its keys and values depend on, hashed.

A key is an address by content, no counter and no path: the same text encoded by the same network behind the same sink
is the same entry, in whatever file it stands. It does not say where a document is kept.

Always: two lineages that differ in anything never share a key, and no two sequences of tokens do.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from model.positions import SchemeName

Tokens = NDArray[np.int64]
DType = Literal["float32", "bfloat16"]

HEX = 64  # digits of a SHA-256


@dataclass(frozen=True)
class Key:
    """The address of one document's keys and values: two SHA-256 in hex, the first that of its lineage."""

    lineage: str
    digest: str

    @classmethod
    def of(cls, lineage: str, tokens: Sequence[int] | Tokens) -> "Key":
        """The key of these token ids in the lineage of this digest. `tokens` are without the sink."""
        array = as_tokens(tokens)
        content = _prefixed(bytes.fromhex(lineage)) + _prefixed(array.astype("<i8").tobytes())
        return cls(lineage, hashlib.sha256(b"inkling document 1" + content).hexdigest())

    def __str__(self) -> str:
        return self.digest


@dataclass(frozen=True)
class Lineage:
    """What computed the keys and values, and how: entries of two lineages never meet.

    `base` and `adapters` are fingerprints of weights ("" for no adapter), `sink` the token ids of the sink.
    """

    base: str
    adapters: str
    scheme: SchemeName
    sink: tuple[int, ...]
    dtype: DType

    @cached_property
    def digest(self) -> str:
        """SHA-256 in hex over all fields, each preceded by its length."""
        sink = as_tokens(self.sink).astype("<i8").tobytes()
        fields = [*(text.encode() for text in (self.base, self.adapters, self.scheme)), sink, self.dtype.encode()]
        return hashlib.sha256(b"inkling lineage 1" + b"".join(map(_prefixed, fields))).hexdigest()

    def key(self, tokens: Sequence[int] | Tokens) -> Key:
        """The key of a document that begins right behind the sink."""
        return Key.of(self.digest, tokens)


def as_tokens(tokens: Sequence[int] | Tokens) -> Tokens:
    """Token ids as an int64 array (n,); the same array if it is one."""
    return np.asarray(tokens, dtype=np.int64)


def _prefixed(field: bytes) -> bytes:
    return len(field).to_bytes(8, "little") + field
