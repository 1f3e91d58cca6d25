"""Which entries begin like a given document: an index over prefixes of token ids.

An edited file shares its beginning with what was encoded before, and keys and values of that beginning are still
right, as each token attends only to those before it. The index knows every prefix of a multiple of 32 tokens by a
chained hash, as vLLM's automatic prefix caching does (Kwon et al. 2023), finds the longest one that is known, and then
compares the tokens themselves. It holds no keys and values.

Always: an answer was compared token by token, so a collision of hashes costs time and never correctness.
"""

import hashlib
from collections.abc import Iterator
from itertools import islice

import numpy as np

from model.cache.key import Key, Tokens

STRIDE = 32  # tokens; shorter common beginnings are not worth finding
_COMPARED = 32  # candidates at most: all of them share the same prefix, and differ by less than one stride


class PrefixIndex:
    """Entries by the beginnings of their tokens."""

    def __init__(self) -> None:
        self._tokens: dict[Key, Tokens] = {}
        self._keys: dict[bytes, dict[Key, None]] = {}  # by hash of a prefix; a dict as a set that keeps its order

    def __len__(self) -> int:
        return len(self._tokens)

    def __contains__(self, key: Key) -> bool:
        return key in self._tokens

    def add(self, key: Key, tokens: Tokens) -> None:
        """`tokens`, int64 (n,), are those of `key`; kept, not copied."""
        if key not in self._tokens:
            self._tokens[key] = tokens
            for prefix in _hashes(key.lineage, tokens):
                self._keys.setdefault(prefix, {})[key] = None

    def tokens(self, key: Key) -> Tokens:
        """Those of an entry that is here."""
        return self._tokens[key]

    def remove(self, key: Key) -> None:
        """Unknown keys are fine."""
        tokens = self._tokens.pop(key, None)
        if tokens is None:
            return
        for prefix in _hashes(key.lineage, tokens):
            known = self._keys[prefix]
            del known[key]
            if not known:
                del self._keys[prefix]

    def longest(self, lineage: str, tokens: Tokens) -> tuple[Key, int] | None:
        """The entry of this lineage that begins with most of `tokens`, and how many it has in common (>= 32)."""
        for prefix in reversed(list(_hashes(lineage, tokens))):
            candidates = islice(reversed(self._keys.get(prefix, {})), _COMPARED)
            shared = {key: _common(self._tokens[key], tokens) for key in candidates if key.lineage == lineage}
            best = max(shared, key=lambda key: shared[key], default=None)
            if best is not None and shared[best] >= STRIDE:
                return best, shared[best]
        return None


def _hashes(lineage: str, tokens: Tokens) -> Iterator[bytes]:
    """One hash for each prefix of 32, 64, ... tokens, each made of the one before and 32 tokens."""
    last = bytes.fromhex(lineage)
    content = np.ascontiguousarray(tokens, dtype="<i8").tobytes()
    for end in range(STRIDE, len(tokens) + 1, STRIDE):
        last = hashlib.blake2b(last + content[8 * (end - STRIDE) : 8 * end], digest_size=16).digest()
        yield last


def _common(one: Tokens, other: Tokens) -> int:
    """How many tokens both begin with."""
    length = min(len(one), len(other))
    differing = np.flatnonzero(one[:length] != other[:length])
    return int(differing[0]) if len(differing) else length
