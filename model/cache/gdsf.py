"""GreedyDual-Size-Frequency: which entry of a full tier is worth least.

The policy of Cherkasova (1998), "Improving WWW Proxies Performance with Greedy-Dual-Size-Frequency Caching Policy":

    priority = clock + frequency * cost / size

with seconds as cost and bytes as size. The clock is the priority of the last entry that was evicted, so that what is
used no more is overtaken by what is. This is bookkeeping over names and numbers: it holds no data and frees none.

Always: the bytes of all entries are within the budget, and a pinned entry is evicted only when the budget itself
shrinks. The same calls in the same order evict the same entries; equals go in the order of their last use.
"""

import heapq
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

K = TypeVar("K", bound=Hashable)

Verdict = Literal["stored", "too large", "pins leave no room"]


@dataclass
class _Entry:
    nbytes: int
    seconds: float
    frequency: float
    priority: float
    turn: int  # of the heap item that speaks for this entry; older items are stale


@dataclass(frozen=True)
class Admission(Generic[K]):
    """What became of a newcomer, and which entries were evicted for it, the least valuable first."""

    verdict: Verdict
    evicted: tuple[K, ...] = ()


class Gdsf(Generic[K]):
    """Entries with sizes and costs under a budget of bytes."""

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.nbytes = 0
        self.clock = 0.0
        self._entries: dict[K, _Entry] = {}
        self._pinned: frozenset[K] = frozenset()
        self._pinned_bytes = 0
        self._heap: list[tuple[float, int, K]] = []  # unpinned entries, and stale items
        self._turn = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: K) -> bool:
        return key in self._entries

    def in_order(self) -> tuple[K, ...]:
        """All entries, the least valuable first and the pinned ones last."""

        def rank(key: K) -> tuple[bool, float, int]:
            entry = self._entries[key]
            return key in self._pinned, entry.priority, entry.turn

        return tuple(sorted(self._entries, key=rank))

    def priority(self, key: K) -> float:
        """Of an entry that is here."""
        return self._entries[key].priority

    def size(self, key: K) -> int:
        """Bytes of an entry that is here."""
        return self._entries[key].nbytes

    def admit(self, key: K, nbytes: int, seconds: float, frequency: float = 1.0) -> Admission[K]:
        """Make room for `nbytes` and take them in; a key that is here already counts as used once more.

        The newcomer is never its own victim: whoever admits it is about to use it. Nothing is evicted for one that is
        refused, because it is larger than the budget or than what the pinned entries leave.
        """
        known = self._entries.get(key)
        if known is not None:
            frequency += known.frequency
            self.remove(key)
        if nbytes > self.budget:
            return Admission("too large")
        if nbytes > self.budget - self._pinned_bytes:
            return Admission("pins leave no room")
        evicted = self._evict_down_to(self.budget - nbytes)
        entry = _Entry(nbytes, seconds, frequency, 0.0, 0)
        self._entries[key] = entry
        self.nbytes += nbytes
        if key in self._pinned:
            self._pinned_bytes += nbytes
        self._value(key, entry)
        return Admission("stored", evicted)

    def touch(self, key: K) -> None:
        """It was used. Unknown keys are none of our business."""
        entry = self._entries.get(key)
        if entry is not None:
            entry.frequency += 1
            self._value(key, entry)

    def remove(self, key: K) -> None:
        """Forget an entry; no eviction, so the clock stands. Unknown keys are fine."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.nbytes -= entry.nbytes
            if key in self._pinned:
                self._pinned_bytes -= entry.nbytes
            self._tidy()

    def evict(self) -> tuple[K, ...]:
        """Evict the least valuable entry that is not pinned: one key, or none."""
        while self._heap:
            priority, turn, key = heapq.heappop(self._heap)
            entry = self._entries.get(key)
            if entry is not None and entry.turn == turn and key not in self._pinned:
                self.clock = max(self.clock, priority)
                del self._entries[key]
                self.nbytes -= entry.nbytes
                return (key,)
        return ()

    def pin(self, keys: Iterable[K]) -> None:
        """From now on exactly these are pinned, those that are not here yet included."""
        pinned = frozenset(keys)
        released = [key for key in self._entries if key in self._pinned and key not in pinned]
        self._pinned = pinned
        self._pinned_bytes = sum(self._entries[key].nbytes for key in pinned if key in self._entries)
        for key in released:
            entry = self._entries[key]
            heapq.heappush(self._heap, (entry.priority, entry.turn, key))
        self._tidy()

    def resize(self, budget: int) -> tuple[K, ...]:
        """Another budget; returns what had to go: unpinned entries first, then pinned ones, each by value."""
        self.budget = budget
        evicted = list(self._evict_down_to(budget))
        for key in self.in_order() if self.nbytes > budget else ():
            if self.nbytes > budget:
                self.clock = max(self.clock, self._entries[key].priority)
                self.remove(key)
                evicted.append(key)
        return tuple(evicted)

    def _evict_down_to(self, nbytes: int) -> tuple[K, ...]:
        """Evict until no more than `nbytes` are left, or only pinned entries."""
        evicted: list[K] = []
        while self.nbytes > nbytes and (victim := self.evict()):
            evicted += victim
        return tuple(evicted)

    def _value(self, key: K, entry: _Entry) -> None:
        """Give an entry its priority as of now."""
        self._turn += 1
        entry.turn = self._turn
        entry.priority = self.clock + entry.frequency * entry.seconds / max(1, entry.nbytes)
        if key not in self._pinned:
            heapq.heappush(self._heap, (entry.priority, entry.turn, key))
        self._tidy()

    def _tidy(self) -> None:
        """Build the heap anew once most of it is stale."""
        if len(self._heap) > 2 * len(self._entries) + 64:
            living = [(key, entry) for key, entry in self._entries.items() if key not in self._pinned]
            self._heap = [(entry.priority, entry.turn, key) for key, entry in living]
            heapq.heapify(self._heap)
