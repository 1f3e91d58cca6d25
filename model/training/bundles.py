"""Rows that are computed together: what several of them begin with is laid down once. No tensors.

What always holds: a token sees in a bundle what it sees in its row (`model.training.rows.segments`), and nothing of
where another row goes on otherwise.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

import numpy as np
from numpy.typing import NDArray

from model.training.rows import Row, segments

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Asked:
    """The loss of one row, (targets,) each: behind which token of the bundle it is asked, what stands there in truth
    (both int64), and its weight (float32)."""

    behind: Integers
    wanted: Integers
    weights: NDArray[np.float32]


@dataclass(frozen=True)
class Run:
    """Tokens of one block. They see the first `prior` tokens, moved; then those from `since` to `until`, unmoved; then
    themselves causally."""

    start: int
    stop: int
    prior: int
    since: int = 0
    until: int = 0


@dataclass(frozen=True)
class Bundle:
    """Tokens, positions and distances int64, (n,) each, as in a row."""

    tokens: Integers
    positions: Integers
    moved: Integers
    runs: tuple[Run, ...]
    rows: tuple[Asked, ...]

    def __len__(self) -> int:
        return len(self.tokens)


def bundles(rows: Sequence[Row], size: int) -> Iterator[Bundle]:
    """All rows in order: those of one run that share more than their context are one bundle, of at most `size` tokens
    or one row. Rows without documents all begin alike, and memory goes with what is computed together."""
    start, tokens = 0, 0
    for at, row in enumerate(rows):
        more = len(row)
        if at > start:
            shared = _alike(rows[start], row) if _one_tail(rows[start], row) else 0
            more -= shared
            if shared <= _tail(rows[start]) or tokens + more > size:
                yield bundle(rows[start:at])
                start, tokens, more = at, 0, len(row)
        tokens += more
    if rows:
        yield bundle(rows[start:])


def packs(found: Sequence[Bundle], size: int) -> Iterator[list[Bundle]]:
    """Bundles in order, as many at a time as have `size` tokens together; one where even that has more."""
    pack: list[Bundle] = []
    for each in found:
        if pack and sum(map(len, pack)) + len(each) > size:
            yield pack
            pack = []
        pack.append(each)
    if pack:
        yield pack


def bundle(rows: Sequence[Row]) -> Bundle:
    """The first row whole, of every other one what it has of its own."""
    first, tail = rows[0], _tail(rows[0])
    tokens, positions, moved = (
        list(part) for part in (first.tokens, first.positions, first.moved or (0,) * len(first))
    )
    runs = _runs(first)
    asked = [_asked(first, np.arange(len(first)))]
    for row in rows[1:]:
        same = _alike(first, row)
        at, more = len(tokens), len(row) - same
        tokens += row.tokens[same:]
        positions += row.positions[same:]
        moved += (row.moved or (0,) * len(row))[same:]
        if more:
            runs.append(Run(at, at + more, tail, tail, same))
        asked.append(_asked(row, np.concatenate([np.arange(same), np.arange(at, at + more)])))
    laid = [np.asarray(part, dtype=np.int64) for part in (tokens, positions, moved)]
    return Bundle(laid[0], laid[1], laid[2], tuple(runs), tuple(asked))


def _asked(row: Row, places: Integers) -> Asked:
    """`places`: where in the bundle each token of the row stands."""
    weights = np.asarray(row.weights, dtype=np.float32)
    here = weights.nonzero()[0]
    return Asked(places[here - 1], np.asarray(row.tokens, dtype=np.int64)[here], weights[here])


def _one_tail(first: Row, other: Row) -> bool:
    return min(first.blocks) == min(other.blocks) == -1


def _alike(first: Row, other: Row) -> int:
    """With how many tokens, seen alike, both begin."""
    mine, others = (
        zip(row.tokens, row.positions, row.blocks, row.moved or (0,) * len(row), strict=True) for row in (first, other)
    )
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(mine, others, strict=False)))


def _tail(row: Row) -> int:
    """Where the context ends."""
    return sum(block >= 0 for block in row.blocks)


def _runs(row: Row) -> list[Run]:
    """Its segments; the first document goes on from the sink, where nobody sees that moved."""
    found = [Run(each.start, each.stop, each.prior) for each in segments(row.blocks)]
    sink = found[0].stop
    if len(found) > 1 and found[1].prior == sink and not any(row.moved[:sink]):
        return [Run(0, found[1].stop, 0), *found[2:]]
    return found
