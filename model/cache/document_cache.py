"""The document cache: one door to three tiers.

`get` looks in host memory, then on disk; `handle` gives what `Buffer.write` takes, from the accelerator where there is
room. It runs no network, chooses no documents and starts no thread: the engine's thread calls everything here, and
`spill` when it has nothing better to do. Only `status` may be called from any thread.

Always: no tier ever holds more bytes than its budget, also while it changes; what host memory gives back is exactly
what was put, unless it came back from disk, where it had been rounded to eight bits.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.cache.disk import Disk
from model.cache.gdsf import Verdict
from model.cache.key import Key, Lineage, Tokens, as_tokens
from model.cache.memory import Memory
from model.cache.prefixes import PrefixIndex
from model.cache.quantised import dtype_of
from model.runtimes.runtime import Cancelled, CancelledError, KeysValues, OutOfMemoryError


@dataclass(frozen=True)
class CacheBudgets:
    """Bytes that each tier may hold; 0 turns a tier off."""

    accelerator_bytes: int
    host_bytes: int
    disk_bytes: int


@dataclass(frozen=True)
class _Held:
    """What host memory holds of a document."""

    tokens: Tokens
    stored: KeysValues
    seconds: float


class DocumentCache:
    """Keys and values of documents on three tiers."""

    def __init__(
        self,
        budgets: CacheBudgets,
        folder: Path | None = None,
        upload: Callable[[KeysValues], Any] | None = None,
        report: Callable[[str], None] = lambda message: None,
    ) -> None:
        """`folder`: for the disk tier. `upload`: `Runtime.upload`. `report`: told once of each kind of trouble."""
        self._upload = upload
        self._accelerator: Memory[Any] = Memory(budgets.accelerator_bytes if upload else 0)
        self._host: Memory[_Held] = Memory(budgets.host_bytes, self._left_host)
        self._disk = Disk(folder, budgets.disk_bytes, report)
        self._prefixes = PrefixIndex()  # of what is in host memory
        self._unwritten: dict[Key, None] = {}  # in host memory, and never offered to the disk
        self._encoded = 0
        self._reencoded = 0
        self._rejected = 0

    def get(self, key: Key) -> KeysValues | None:
        """From host memory, else from disk and into host memory; None where it is in neither. Not to be written to."""
        held = self._find(key)
        return held.stored if held else None

    def handle(self, key: Key) -> Any | None:
        """What `Buffer.write` takes: on the accelerator if it fits there, else the same as `get`."""
        if self._upload is None or not self._accelerator.budget:
            return self.get(key)
        handle = self._accelerator.find(key)
        if handle is not None:
            return handle
        held = self._find(key)
        if held is None:
            return None
        return self._accelerator.peek(key) if self._to_accelerator(key, held) == "stored" else held.stored

    def put(self, key: Key, tokens: Sequence[int] | Tokens, stored: KeysValues, seconds: float) -> Verdict:
        """Keep what took `seconds` to encode. Takes `stored` over: its arrays must not be written to afterwards.

        What is refused is in no tier, which the verdict explains; that is no error. Raises ValueError if `key` is not
        that of `tokens`, or `stored` holds another number of tokens or another type than float32 and bfloat16.
        """
        array = as_tokens(tokens)
        if Key.of(key.lineage, array) != key:
            raise ValueError("the key is not that of the tokens")
        if stored.tokens != len(array):
            raise ValueError(f"there are {len(array)} tokens, and keys and values of {stored.tokens}")
        dtype_of(stored)
        held = _Held(array, KeysValues(_owned(stored.keys), _owned(stored.values)), seconds)
        verdict = self._to_host(key, held)
        if verdict == "stored":
            if self._disk.writable and not self._disk.knows(key):
                self._unwritten[key] = None
        elif self._to_accelerator(key, held) == "stored":
            return "stored"
        else:
            self._rejected += 1
        return verdict

    def contains(self, key: Key) -> bool:
        """Whether any tier has it. Counts as no use."""
        return key in self._host or key in self._accelerator or self._disk.has(key)

    def longest_prefix(self, lineage: Lineage, tokens: Sequence[int] | Tokens) -> tuple[Key, int] | None:
        """The entry in host memory, else on disk, that begins like `tokens`, and how many tokens they have in common.

        Of this lineage only; that with most in common, host memory before disk. Fewer than 32 are not found.
        """
        array = as_tokens(tokens)
        near = self._prefixes.longest(lineage.digest, array)
        far = self._disk.longest_prefix(lineage.digest, array)
        if near is None or far is None:
            return near or far
        return near if near[1] >= far[1] else far

    def pin(self, keys: Iterable[Key]) -> None:
        """From now on exactly these are never evicted from accelerator and host, whether they are there yet or not."""
        pinned = frozenset(keys)
        self._accelerator.pin(pinned)
        self._host.pin(pinned)

    def keep_only(self, lineages: Iterable[Lineage]) -> None:
        """Free accelerator and host memory of all other lineages. The disk keeps what it has."""
        kept = {lineage.digest for lineage in lineages}
        self._accelerator.keep_only(kept)
        self._host.keep_only(kept)

    def resize(self, budgets: CacheBudgets) -> None:
        """Other budgets from now on; what does not fit any more is evicted at once, pinned entries last.

        A disk tier with budget 0 is off, and its files stay for another time.
        """
        self._accelerator.resize(budgets.accelerator_bytes if self._upload else 0)
        self._host.resize(budgets.host_bytes)
        self._disk.resize(budgets.disk_bytes)

    def note_encoded(self, tokens: int) -> None:
        """Count tokens that were encoded for the first time."""
        self._encoded += tokens

    def note_reencoded(self, tokens: int) -> None:
        """Count tokens that were encoded again because of an edit before or at them."""
        self._reencoded += tokens

    def spill(self, cancelled: Cancelled = lambda: False) -> bool:
        """One unit of pending work on the disk: write the document that host memory would lose next.

        Keeps the least valuable quarter of host memory written, or free, so that evictions lose nothing. Returns
        whether there is more to do. Rounding and writing a long document takes some tenths of a second: call it when
        nobody waits, and let `cancelled` say when somebody does; what was cancelled is still to do.
        """
        pending = self._endangered()
        if not pending:
            return False
        try:
            self._write(pending[0], cancelled)
        except CancelledError:
            return True
        return len(pending) > 1

    def close(self, seconds: float) -> int:
        """Write what only host memory has, the most valuable first, until `seconds` are over; returns how many were.

        A document that is begun in time is finished. The cache can be used afterwards.
        """
        end = time.monotonic() + seconds
        written = 0
        for key in reversed(self._host.in_order()):
            if not self._disk.writable or time.monotonic() >= end:
                break
            if key in self._unwritten:
                written += self._write(key)
        return written

    def status(self) -> dict[str, Any]:
        """Plain numbers about the tiers. From any thread; it waits for nobody."""
        return {
            "accelerator": self._accelerator.status(),
            "host": self._host.status(),
            "disk": self._disk.status(),
            "encodedTokens": self._encoded,
            "reencodedTokens": self._reencoded,
            "rejected": self._rejected,
            "damagedFiles": self._disk.damaged,
        }

    def _find(self, key: Key) -> _Held | None:
        """From host memory, else from disk. Host memory makes room before a document is restored."""
        held = self._host.find(key)
        if held is not None:
            return held
        found = self._disk.read(key)
        if found is None:
            return None

        def restored() -> _Held:
            return _Held(found.tokens, found.quantised.restored(), found.seconds)

        if self._host.put(key, found.nbytes, found.seconds, restored) != "stored":
            return restored()
        self._prefixes.add(key, found.tokens)
        return self._host.peek(key)

    def _to_host(self, key: Key, held: _Held) -> Verdict:
        verdict = self._host.put(key, held.stored.nbytes, held.seconds, lambda: held)
        if verdict == "stored":
            self._prefixes.add(key, held.tokens)
        return verdict

    def _to_accelerator(self, key: Key, held: _Held) -> Verdict:
        """Upload; where the accelerator has less room than its budget says, other documents go first."""
        upload = self._upload
        if upload is None:
            return "too large"
        while True:
            try:
                return self._accelerator.put(key, held.stored.nbytes, held.seconds, lambda: upload(held.stored))
            except OutOfMemoryError:
                if not self._accelerator.evict_one():
                    return "too large"

    def _endangered(self) -> list[Key]:
        """What is not written among the least valuable quarter of host memory, in the order of eviction."""
        if not self._unwritten or not self._disk.writable:
            return []
        safe = self._host.budget - self._host.nbytes
        pending = []
        for key in self._host.in_order():
            if 4 * safe >= self._host.budget:
                break
            safe += self._host.size(key)
            if key in self._unwritten:
                pending.append(key)
        return pending

    def _write(self, key: Key, cancelled: Cancelled = lambda: False) -> bool:
        """Offer a document of host memory to the disk, once; whether it is there now. Raises CancelledError."""
        held = self._host.peek(key)
        written = self._disk.write(key, held.tokens, held.stored, held.seconds, cancelled)
        del self._unwritten[key]
        return written

    def _left_host(self, key: Key) -> None:
        self._prefixes.remove(key)
        self._unwritten.pop(key, None)


def _owned(array: NDArray[Any]) -> NDArray[Any]:
    """Without the rest of a larger array that it is a view of: that would be memory that nobody counts."""
    base = array.base
    return array.copy() if isinstance(base, np.ndarray) and base.nbytes > array.nbytes else array
