"""What the model has before it: sink, documents and tail, as keys and values in one buffer of the runtime.

Slots: the sink, then documents in any order that keeps most of them in place, then the tail. A request costs only
what is new behind the longest common beginning with the tail that is there. What always holds: once `refresh` has
nothing left to do, logits equal those of one forward pass in which every document sees the sink and itself, and the
tail sees everything before it. Until then, tokens of the tail from before a change of documents still hold what they
saw; new tokens always see the new documents. Where the documents have more tokens than there are slots for them, only
the pages that matter lie there (see `model.sparse`), chosen anew as the tail grows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.cache.key import Key, Lineage
from model.cache.quantised import widened
from model.positions import PositionScheme
from model.rotation import turned
from model.runtimes.runtime import Cancelled, CancelledError, KeysValues, Rows, Runtime
from model.sparse import SparseDocuments

STEP = 128  # tokens between two looks at `cancelled`
_ASKING = 4  # newest tokens of the tail whose queries choose pages
_CHOOSE_AFTER = 32  # tokens of the tail after which pages are chosen anew


@dataclass(frozen=True)
class Placed:
    """A document to attend to: its key, its number of tokens, and what `Buffer.write` takes.

    `stored` may be None for one that lies there whole already.
    """

    key: Key
    tokens: int
    stored: Any


@dataclass(frozen=True)
class _Lying:
    """A document that is there: where its first token lies, and at which position it stands."""

    key: Key
    tokens: int
    position: int
    slot: int


@dataclass(frozen=True)
class Prefill:
    """What `extend` did. `logits`: float32 (vocabulary,), for the token after the tail."""

    logits: NDArray[np.float32]
    reused_tokens: int
    prefilled_tokens: int


class Resident:
    """The working set of one runtime. Belongs to the engine's thread."""

    def __init__(self, runtime: Runtime, scheme: PositionScheme, capacity: int, attended: int | None = None) -> None:
        """`capacity` slots in all; at most `attended` of them for documents, None for as many as fit."""
        self._runtime = runtime
        self._scheme = scheme
        self.capacity = capacity
        self._attended = capacity if attended is None else attended
        self._sparse: SparseDocuments | None = None
        self._chosen_at = 0  # length of the tail when pages were chosen last
        self._buffer: Any = runtime.buffer(capacity)
        self._lineage: Lineage | None = None
        self._documents: list[_Lying] = []
        self._tail: list[int] = []
        self._fresh = 0  # how many tokens of the tail saw the documents that are there now

    @property
    def documents(self) -> tuple[Key, ...]:
        """The keys of what is attended to, in the order of their slots."""
        return tuple(lying.key for lying in self._documents)

    @property
    def whole(self) -> bool:
        """Whether every document lies there whole, and not only its pages that matter."""
        return self._sparse is None

    @property
    def tail(self) -> Sequence[int]:
        """The tail's tokens, decoded ones included."""
        return self._tail

    @property
    def stale_tokens(self) -> int:
        """Tokens of the tail that have not seen the documents that are there now."""
        return len(self._tail) - self._fresh

    @property
    def _sink(self) -> int:
        return len(self._lineage.sink) if self._lineage else 0

    @property
    def _start(self) -> int:
        """The slot of the tail's first token."""
        if self._sparse is not None:
            return self._sink + self._sparse.tokens
        return self._sink + sum(lying.tokens for lying in self._documents)

    @property
    def _position(self) -> int:
        return self._scheme.tail(self._sink, [lying.tokens for lying in self._documents])

    def forget(self) -> None:
        """The weights changed: nothing that is here is worth anything."""
        self._lineage, self._documents, self._tail, self._fresh, self._sparse = None, [], [], 0, None

    def resize(self, capacity: int, attended: int) -> None:
        """Forget everything and go on with so many slots. The old buffer is let go of before the new one is made.

        Raises OutOfMemoryError; then it has to be called again with fewer.
        """
        self.forget()
        self._buffer = None
        self._buffer = self._runtime.buffer(capacity)
        self.capacity, self._attended = capacity, attended

    def attend(self, lineage: Lineage, sink: KeysValues | None, documents: Sequence[Placed]) -> None:
        """Attend to these documents from now on. Of another lineage, everything that is here goes first.

        `sink`: its keys and values, needed only if `has_sink(lineage)` is false. The tail is moved, not computed.
        """
        if not self.has_sink(lineage):
            self.forget()
            self._lineage = lineage
            if sink is not None:
                self._buffer.write(0, sink)
        wanted = {placed.key: placed for placed in documents}
        if set(wanted) == set(self.documents):
            return
        kept = [key for key in self.documents if key in wanted]
        self._lay([wanted[key] for key in dict.fromkeys([*kept, *wanted])])

    def has_sink(self, lineage: Lineage) -> bool:
        """Whether what is here belongs to this lineage."""
        return self._lineage == lineage

    def extend(self, tail: Sequence[int], cancelled: Cancelled, *, exact: bool = False) -> Prefill:
        """Make `tail` the resident tail, computing what differs; the last token always, as its logits are the answer.

        `exact`: compute again what is stale, too. Raises CancelledError between two steps; what was computed stays.
        """
        if not tail:
            raise ValueError("the tail needs at least one token")
        if self._start + len(tail) > self.capacity:
            raise ValueError(f"{len(tail)} tokens do not fit behind {self._start} of {self.capacity} slots")
        same = self._common(tail)
        reused = min(same, len(tail) - 1, self._fresh if exact else same)
        self._cut(reused)
        self._chosen_at = min(self._chosen_at, reused)
        logits = np.empty((0, 0), dtype=np.float32)
        for start in range(reused, len(tail), STEP):
            if cancelled():
                raise CancelledError
            self._choose_pages()
            logits = self.append(tail[start : start + STEP])
        return Prefill(logits[-1], reused, len(tail) - reused)

    def append(self, tokens: Sequence[int], *, every: bool = False) -> NDArray[np.float32]:
        """Put tokens behind the tail. float32 (1, vocabulary) after the last, or (n, vocabulary) after each."""
        at = len(self._tail)
        rows: Rows = "all" if every else "last"
        logits = self._runtime.forward(self._buffer, tokens, self._start + at, self._position + at, rows)
        if self._fresh == at:
            self._fresh += len(tokens)
        self._tail.extend(tokens)
        return logits

    def rollback(self, length: int) -> None:
        """Forget the tail from this token on. Costs nothing."""
        self._cut(length)

    def room(self) -> int:
        """How many more tokens fit."""
        return self.capacity - self._start - len(self._tail)

    def refresh(self) -> bool:
        """Let one step of stale tokens see the documents that are there now; whether more are left."""
        if not self.stale_tokens:
            return False
        at = self._fresh
        chunk = self._tail[at : at + STEP]
        self._runtime.forward(self._buffer, chunk, self._start + at, self._position + at, "none")
        self._fresh += len(chunk)
        return self.stale_tokens > 0

    def _common(self, tail: Sequence[int]) -> int:
        same = 0
        for have, wanted in zip(self._tail, tail, strict=False):
            if have != wanted:
                break
            same += 1
        return same

    def _cut(self, length: int) -> None:
        del self._tail[length:]
        self._fresh = min(self._fresh, length)

    def _lay(self, documents: Sequence[Placed]) -> None:
        """Write the documents that do not lie where they should, and move the tail behind them."""
        old_start, old_position = self._start, self._position
        tail = self._buffer.read(old_start, old_start + len(self._tail)) if self._tail else None
        starts = self._scheme.starts(self._sink, [placed.tokens for placed in documents])
        if sum(placed.tokens for placed in documents) > self._attended:
            self._lay_pages(documents, starts)
        else:
            self._lay_whole(documents, starts)
        if self._start + len(self._tail) > self.capacity:
            self._cut(0)
        elif tail is not None:
            self._buffer.write(self._start, tail, self._position - old_position)
        self._fresh = 0

    def _lay_whole(self, documents: Sequence[Placed], starts: Sequence[int]) -> None:
        """Each document whole. Those that lie there already are moved, if need be, before anything is overwritten."""
        here = {} if self._sparse else {lying.key: lying for lying in self._documents}
        laid, slot = [], self._sink
        for placed, position in zip(documents, starts, strict=True):
            laid.append(_Lying(placed.key, placed.tokens, position, slot))
            slot += placed.tokens
        moved = {
            new.key: self._buffer.read(here[new.key].slot, here[new.key].slot + new.tokens)
            for new in laid
            if new.key in here and here[new.key] != new
        }
        for new, placed in zip(laid, documents, strict=True):
            if new.key in moved:
                self._buffer.write(new.slot, moved[new.key], new.position - here[new.key].position)
            elif new.key not in here:
                self._buffer.write(new.slot, placed.stored, new.position - self._sink)
        self._documents, self._sparse = laid, None

    def _lay_pages(self, documents: Sequence[Placed], starts: Sequence[int]) -> None:
        """More documents than slots: their first pages, until queries choose."""
        shape = self._runtime.shape
        stored = [
            KeysValues(turned(widened(placed.stored.keys), position - self._sink, shape), widened(placed.stored.values))
            for placed, position in zip(documents, starts, strict=True)
        ]
        self._documents = [
            _Lying(placed.key, placed.tokens, position, self._sink)
            for placed, position in zip(documents, starts, strict=True)
        ]
        self._sparse = SparseDocuments(stored, self._attended)
        self._buffer.write(self._sink, self._sparse.gather(self._sparse.first_selection()))
        self._chosen_at = 0

    def _choose_pages(self) -> None:
        """Let the newest tokens of the tail choose which pages lie in the documents' slots."""
        length = len(self._tail)
        if self._sparse is None or length < _ASKING or length - self._chosen_at < _CHOOSE_AFTER:
            return
        at = length - _ASKING
        queries = self._runtime.queries(self._buffer, self._tail[at:], self._start + at, self._position + at)
        self._buffer.write(self._sink, self._sparse.gather(self._sparse.select(queries)))
        self._chosen_at = length
