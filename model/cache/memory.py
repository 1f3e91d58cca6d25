"""A tier in memory: values under keys, within a budget of bytes. Host and accelerator are one of these each.

It makes room before a value is made, so that old and new never exist together beyond the budget. What the values are,
and where else they are kept, is not its business.

Always: what is in the books is held, and what is held is in the books.
"""

from collections.abc import Callable, Collection, Iterable
from typing import Any, Generic, TypeVar

from model.cache.gdsf import Gdsf, Verdict
from model.cache.key import Key

V = TypeVar("V")


class Memory(Generic[V]):
    """Values by key. `dropped` is called with each key that is no longer here, for whatever reason."""

    def __init__(self, budget: int, dropped: Callable[[Key], None] = lambda key: None) -> None:
        self.hits = 0
        self.misses = 0
        self.evictions = 0
        self._dropped = dropped
        self._gdsf: Gdsf[Key] = Gdsf(budget)
        self._values: dict[Key, V] = {}

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, key: Key) -> bool:
        return key in self._values

    @property
    def budget(self) -> int:
        """Bytes that may be held."""
        return self._gdsf.budget

    @property
    def nbytes(self) -> int:
        """Bytes that are held."""
        return self._gdsf.nbytes

    def find(self, key: Key) -> V | None:
        """The value, which was used herewith."""
        value = self._values.get(key)
        if value is None:
            self.misses += 1
        else:
            self.hits += 1
            self._gdsf.touch(key)
        return value

    def peek(self, key: Key) -> V:
        """The value of a key that is here, without using it."""
        return self._values[key]

    def put(self, key: Key, nbytes: int, seconds: float, make: Callable[[], V]) -> Verdict:
        """Make room, then the value. What `make` raises is raised, and the key is not here then."""
        if key in self._values:
            del self._values[key]
            self._dropped(key)
        admission = self._gdsf.admit(key, nbytes, seconds)
        self._evicted(admission.evicted)
        if admission.verdict == "stored":
            try:
                self._values[key] = make()
            except BaseException:
                self._gdsf.remove(key)
                raise
        return admission.verdict

    def evict_one(self) -> bool:
        """Drop the least valuable entry that is not pinned; False where there is none."""
        evicted = self._gdsf.evict()
        self._evicted(evicted)
        return bool(evicted)

    def pin(self, keys: Iterable[Key]) -> None:
        """From now on exactly these stay, whether they are here yet or not."""
        self._gdsf.pin(keys)

    def resize(self, budget: int) -> None:
        """Another budget; what does not fit is evicted at once, pinned entries last."""
        self._evicted(self._gdsf.resize(budget))

    def keep_only(self, lineages: Collection[str]) -> None:
        """Drop what is of none of these lineages (digests)."""
        for key in [key for key in self._values if key.lineage not in lineages]:
            self._gdsf.remove(key)
            del self._values[key]
            self._dropped(key)

    def in_order(self) -> tuple[Key, ...]:
        """All keys, the least valuable first and the pinned ones last."""
        return self._gdsf.in_order()

    def size(self, key: Key) -> int:
        """Bytes of an entry that is here."""
        return self._gdsf.size(key)

    def status(self) -> dict[str, Any]:
        """Plain numbers. From any thread."""
        return {
            "budgetBytes": self.budget,
            "bytes": self.nbytes,
            "entries": len(self._values),
            "hits": self.hits,
            "misses": self.misses,
            "evictions": self.evictions,
        }

    def _evicted(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self.evictions += 1
            del self._values[key]
            self._dropped(key)
