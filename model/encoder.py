"""Documents to keys and values: each is computed behind the sink and sees nothing else ("squid attention").

It works in a buffer of its own, in steps, so that whoever drives it can let a completion go first. What is computed
equals a forward pass over the sink and the document alone, up to rounding, whatever was reused.
"""

import time
from collections.abc import Generator, Sequence
from typing import Any

from model.cache.document_cache import DocumentCache
from model.cache.key import Key, Lineage
from model.runtimes.runtime import KeysValues, Runtime

STEP = 128  # tokens between two chances for something more urgent


class Encoder:
    """Encodes documents into `cache`. Belongs to the engine's thread."""

    def __init__(self, runtime: Runtime, cache: DocumentCache, longest: int) -> None:
        self._runtime = runtime
        self._cache = cache
        self._capacity = longest
        self._buffer: Any = None
        self._sink: tuple[int, ...] | None = None  # what the first slots of the buffer hold
        self._turn = 0  # counts who uses the buffer: a document that was interrupted for another one is given up

    def forget(self) -> None:
        """The weights changed: what is in the buffer is worth nothing."""
        self._sink = None
        self._turn += 1

    def sink(self, lineage: Lineage) -> KeysValues:
        """Keys and values of the sink alone."""
        self._prepare(lineage)
        stored: KeysValues = self._buffer.read(0, len(lineage.sink))
        return stored

    def steps(self, lineage: Lineage, key: Key, tokens: Sequence[int]) -> Generator[None, None, bool]:
        """Encode one document and put it into the cache; yields between steps. Starts at the first changed token.

        Returns False if the buffer was needed for something else in between: then nothing was put anywhere.
        """
        if self._cache.contains(key):
            return True
        sink = len(lineage.sink)
        self._prepare(lineage)
        self._turn += 1
        turn = self._turn
        reused = self._reuse(lineage, tokens, sink)
        started, spent = time.perf_counter(), 0.0
        for start in range(reused, len(tokens), STEP):
            chunk = tokens[start : start + STEP]
            self._runtime.forward(self._buffer, chunk, sink + start, sink + start, "none")
            if start + STEP < len(tokens):
                spent += time.perf_counter() - started
                yield
                if self._turn != turn:
                    return False
                started = time.perf_counter()
        spent += time.perf_counter() - started
        computed = len(tokens) - reused
        self._cache.note_encoded(computed)
        if reused:
            self._cache.note_reencoded(computed)
            spent *= len(tokens) / max(1, computed)  # what the whole document would cost if it were lost
        self._cache.put(key, tokens, self._buffer.read(sink, sink + len(tokens)), spent)
        return True

    def encode(self, lineage: Lineage, key: Key, tokens: Sequence[int]) -> None:
        """All steps at once."""
        for _ in self.steps(lineage, key, tokens):
            pass

    def _reuse(self, lineage: Lineage, tokens: Sequence[int], sink: int) -> int:
        """Copy what an older version of this document has in common with it; the number of tokens."""
        found = self._cache.longest_prefix(lineage, tokens)
        stored = self._cache.get(found[0]) if found else None
        if found is None or stored is None:
            return 0
        reused = min(found[1], stored.tokens)
        self._buffer.write(sink, stored.part(0, reused))
        return reused

    def _prepare(self, lineage: Lineage) -> None:
        """Make the first slots of the buffer hold the sink of this lineage."""
        if self._buffer is None:
            self._buffer = self._runtime.buffer(self._capacity)
        if self._sink != lineage.sink:
            self._turn += 1
            if lineage.sink:
                self._runtime.forward(self._buffer, lineage.sink, 0, 0, "none")
            self._sink = lineage.sink
