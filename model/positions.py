"""Where documents and the tail stand: one strategy object, used alike for serving, training and evaluation.

A document is always encoded right behind the sink, attending to the sink and to itself. A scheme says at which
positions it is then seen by the tail, and where the tail begins. `parallel` sees it where it was encoded, so that
order never matters and nothing is rotated again; `sequential` lays documents end to end, so that every key is rotated
by the distance that its document was moved (Su et al. 2021, "RoFormer": rotations add up).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal, Protocol

SchemeName = Literal["parallel", "sequential"]

LONGEST_UNIT = 1500  # tokens of a document, its path included
LONGEST_SINK = 36


class PositionScheme(Protocol):
    """Positions of documents and tail, given the number of tokens of the sink and of each document."""

    @property
    def name(self) -> SchemeName:
        """What it is called in settings and in the keys of the cache."""
        ...

    def starts(self, sink: int, lengths: Sequence[int]) -> list[int]:
        """The position of the first token of each document, as the tail sees it."""
        ...

    def tail(self, sink: int, lengths: Sequence[int]) -> int:
        """The position of the tail's first token."""
        ...


@dataclass(frozen=True)
class Parallel:
    """Every document starts right behind the sink; the tail starts at `base`, whatever the documents are."""

    base: int = LONGEST_SINK + LONGEST_UNIT
    name: SchemeName = "parallel"

    def starts(self, sink: int, lengths: Sequence[int]) -> list[int]:
        """All the same."""
        return [sink] * len(lengths)

    def tail(self, sink: int, lengths: Sequence[int]) -> int:
        """Fixed, but never before the end of a document that is longer than it should be."""
        return max([self.base, *(sink + length for length in lengths)])


@dataclass(frozen=True)
class Sequential:
    """Documents end to end, the tail behind the last: the positions of one plain forward pass."""

    name: SchemeName = "sequential"

    def starts(self, sink: int, lengths: Sequence[int]) -> list[int]:
        """Running sums."""
        return list(accumulate(lengths, initial=sink))[:-1]

    def tail(self, sink: int, lengths: Sequence[int]) -> int:
        """Behind everything."""
        return sink + sum(lengths)


def scheme_for(name: SchemeName, maximum_positions: int) -> PositionScheme:
    """The scheme of this name for a model with so many positions. Small models get a tail that starts earlier."""
    if name == "sequential":
        return Sequential()
    return Parallel(min(LONGEST_SINK + LONGEST_UNIT, maximum_positions // 4))


def longest_unit(maximum_positions: int) -> int:
    """How many tokens a unit of a document may have, so that `parallel` keeps it before the tail."""
    return min(LONGEST_UNIT, maximum_positions // 4 * 3 // 4)
