"""Rows one behind the other without a gap, and arrays of one size: what a GPU is given at once.

No tensors. What always holds: a token sees in a pack what it sees in its row (`model.training.rows.segments`), and
nothing of another row; the same exercises, seed and number give the same lesson.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.training.exercises import Drawn
from model.training.rows import Row, plain, segments

Integers = NDArray[np.int64]
_TARGETS = 2  # one in so many tokens of a pack may carry loss; on average 45% do
_TEACHER = 4  # one in so many tokens of a pack may be read again by the teacher


@dataclass(frozen=True)
class Pack:
    """Rows laid end to end, filled up with tokens that nobody sees.

    `tokens`, `positions`, `moved`: int64 (size,). The tokens are cut into runs that begin at `starts` (runs + 1,); run
    i sees the keys `keys[key_starts[i] : key_starts[i + 1]]`, causally from its end. A key below `size` is that token's
    as its own block sees it; from `size` on, as others do. `asked` (targets,) are the tokens behind which `wanted`
    stands, with `weights` float32; filled up with weights of 0. `count`: tokens that belong to rows.
    """

    tokens: Integers
    positions: Integers
    moved: Integers
    starts: Integers
    keys: Integers
    key_starts: Integers
    asked: Integers
    wanted: Integers
    weights: NDArray[np.float32]
    count: int


@dataclass(frozen=True)
class Lesson:
    """One pack; of some of its rows also the `teacher`: the same rows as a plain forward pass reads them.

    `taught` (teacher's targets,) says which of the pack's `asked` each of the teacher's is.
    """

    pack: Pack
    teacher: Pack | None
    taught: Integers

    @property
    def computed(self) -> int:
        """Tokens that are computed for it, those of the teacher counted again."""
        return self.pack.count + (self.teacher.count if self.teacher else 0)


def draw_lesson(exercises: Drawn, size: int, seed: Sequence[int], taught_share: float) -> Lesson:
    """The lesson of this seed. A masked row is taught with `taught_share`, as long as the teacher has room."""
    rows, taught = draw_rows(exercises, size, seed, taught_share)
    whole = packed(rows, size)
    if taught_share == 0.0:
        return Lesson(whole, None, np.zeros(0, dtype=np.int64))
    teacher = packed([plain(rows[number]) for number in taught], size // _TEACHER)
    first = np.cumsum([0, *(row.targets for row in rows)])
    places = np.zeros(len(teacher.asked), dtype=np.int64)
    if taught:
        chosen = np.concatenate([np.arange(first[number], first[number + 1]) for number in taught])
        places[: len(chosen)] = chosen
    return Lesson(whole, teacher, places)


def draw_rows(
    exercises: Drawn, size: int, seed: Sequence[int], taught_share: float
) -> tuple[list[Row], tuple[int, ...]]:
    """Rows until the next does not fit into `size` tokens, and the numbers of those that are taught.

    Raises ValueError if even the first does not fit.
    """
    rows: list[Row] = []
    taught: list[int] = []
    filled, teacher = np.zeros(2, dtype=np.int64), np.zeros(2, dtype=np.int64)  # tokens and targets
    room = np.array([size, size // _TARGETS])
    while True:
        random = np.random.default_rng([*seed, len(rows)])
        row = exercises.draw(random)
        cost = np.array([len(row), row.targets])
        if (filled + cost > room).any():
            if not rows:
                raise ValueError(f"a row of {len(row)} tokens does not fit into a pack of {size}")
            return rows, tuple(taught)
        teaches = max(row.blocks) > 1 and random.random() < taught_share
        if teaches and (teacher + cost <= room // _TEACHER).all():
            taught.append(len(rows))
            teacher += cost
        rows.append(row)
        filled += cost


def packed(rows: Sequence[Row], size: int) -> Pack:
    """These rows in a pack of `size` tokens and half as many targets. Raises ValueError where they do not fit."""
    count = sum(len(row) for row in rows)
    targets = sum(row.targets for row in rows)
    if count > size or targets > size // _TARGETS:
        raise ValueError(f"{count} tokens with {targets} targets do not fit into a pack of {size}")
    tokens, positions, moved = (np.zeros(size, dtype=np.int64) for _ in range(3))
    asked = np.arange(size // _TARGETS)  # what fills up is spread: many gradients for one token would wait in line
    wanted, weights = np.zeros(size // _TARGETS, dtype=np.int64), np.zeros(size // _TARGETS, dtype=np.float32)
    starts, keys, key_starts = [0], [], [0]
    at = found = 0
    for row in rows:
        end = at + len(row)
        tokens[at:end], positions[at:end] = row.tokens, row.positions
        if row.moved:
            moved[at:end] = row.moved
        for segment in segments(row.blocks):
            keys += [np.arange(size + at, size + at + segment.prior), np.arange(at + segment.start, at + segment.stop)]
            starts.append(at + segment.stop)
            key_starts.append(key_starts[-1] + segment.prior + segment.stop - segment.start)
        loss = np.asarray(row.weights, dtype=np.float32)
        here = loss.nonzero()[0]
        filled = slice(found, found + len(here))
        asked[filled], wanted[filled], weights[filled] = at + here - 1, tokens[at + here], loss[here]
        at, found = end, filled.stop
    if at < size:  # tokens that see themselves
        keys.append(np.arange(at, size))
        starts.append(size)
        key_starts.append(key_starts[-1] + size - at)
    return Pack(
        tokens,
        positions,
        moved,
        np.array(starts),
        np.concatenate(keys),
        np.array(key_starts),
        asked,
        wanted,
        weights,
        count,
    )
