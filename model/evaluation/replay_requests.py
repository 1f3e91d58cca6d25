"""What a replayed user asks for on a day, and what the nights may learn from it.

It draws cursors in the hunks of `replay_history` and chooses what stands beside them; it runs no model. What always
holds: the same day and seed give the same cursors, for every arm; a request knows only what was there when its line
was written; what is learned from are all lines of a day, what is asked for a sample of them.
"""

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

from feedback.examples import Example
from feedback.records import ContextDocument
from model.completion import CompletionRequest
from model.document import Document
from model.evaluation.completion_cases import CompletionCase, Sizes
from model.evaluation.replay_history import Day, Snapshot
from model.evaluation.replay_places import Place, places
from model.prompt import Layout

PER_HUNK = 3  # requests, at most
PIECE_LINES = 8  # of a hunk that are learned from at one cursor
INSIDE_SHARE = 0.5  # of cursors that stand inside a line and not at its beginning
SHORTEST = 4  # characters that are asked for
_TOKEN = re.compile(r"\w+|\s+|[^\w\s]")
_SECONDS_OF_DAY = 86_400.0
T = TypeVar("T")


@dataclass(frozen=True)
class Ask:
    """A cursor and the rest of its line as the user wrote it.

    `memory`: documents of what the user wrote before, in any file. `last`: whether the line still stands in the
    history's last version; None if it is that version's own.
    """

    id: str
    request: CompletionRequest
    truth: str
    memory: tuple[Document, ...] = ()
    last: bool | None = None


@dataclass(frozen=True)
class UserDay:
    """A day as it is replayed: what is asked for, and everything that was written as examples for a night."""

    name: str
    asks: tuple[Ask, ...]
    examples: tuple[Example, ...]


class User:
    """One package and one seed: a person with habits of their own."""

    def __init__(self, package: str, seed: int, layout: Layout, sizes: Sizes) -> None:
        self.package = package
        self.seed = seed
        self._layout = layout
        self._sizes = sizes

    def days(self, days: Sequence[Day], last: Snapshot, requests: int) -> tuple[UserDay, ...]:
        """All days, in order, with at most `requests` requests each. `last` is the history's last snapshot."""
        final = max(hunk.version for day in days for hunk in day.hunks)
        stands = {path: frozenset(line.strip() for line in text.split("\n")) for path, text in last.files.items()}
        anywhere = frozenset[str]().union(*stands.values())
        wanted = [self._wanted(number, day, requests) for number, day in enumerate(days)]
        found = [UserDay(day.name, (), ()) for day in days]
        for place in places(days, self._layout, self._sizes):
            day, number, hunk = place.day, place.number, place.hunk
            draw = self._draw(day, number)
            asks = []
            for line in wanted[day].get(number, ()):
                kept = hunk.lines[line].strip() in stands.get(hunk.path, anywhere) if hunk.version != final else None
                asks.append(self._ask(f"{self.package} {self.seed} {day}.{number}.{line}", place, line, kept, draw))
            examples = tuple(self._examples(f"{self.package} {self.seed} {day}.{number}", place))
            before = found[day]
            found[day] = UserDay(before.name, (*before.asks, *asks), (*before.examples, *examples))
        return tuple(found)

    def _draw(self, day: int, place: int) -> random.Random:
        return random.Random(f"{self.package} {self.seed} {day}.{place}")

    def _wanted(self, number: int, day: Day, requests: int) -> dict[int, list[int]]:
        """By hunk the lines that are asked for: a few of each, evenly; where that is too many, some of them."""
        lines: list[tuple[int, int]] = []
        for place, hunk in enumerate(day.hunks):
            usable = [line for line in hunk.code if len(hunk.lines[line].strip()) >= SHORTEST]
            lines += [(place, line) for line in evenly(usable, PER_HUNK, self._draw(number, place))]
        found: dict[int, list[int]] = {}
        for place, line in evenly(lines, requests, random.Random(f"{self.package} {self.seed} {number}")):
            found.setdefault(place, []).append(line)
        return found

    def _ask(self, id: str, place: Place, line: int, last: bool | None, draw: random.Random) -> Ask:
        hunk = place.hunk
        text = hunk.lines[line]
        at = cursor(text, draw)
        before = hunk.above + "".join(f"{one}\n" for one in hunk.lines[:line]) + text[:at]
        request = CompletionRequest(
            hunk.path, "python", before, f"\n{hunk.below}", place.documents, self.package, block=False, wait=True
        )
        return Ask(id, request, text[at:].rstrip(), place.memory, last)

    def _examples(self, id: str, place: Place) -> Iterator[Example]:
        """The hunk in pieces of a few lines. The pieces of a hunk settle together, so that no split parts them."""
        draw = random.Random(id)
        hunk = place.hunk
        documents = tuple(ContextDocument(one.path, one.text) for one in (*place.memory, *place.documents))
        for start in range(0, len(hunk.lines), PIECE_LINES):
            lines = hunk.lines[start : start + PIECE_LINES]
            at = cursor(lines[0], draw)
            target = "\n".join((lines[0][at:], *lines[1:])).rstrip()
            if not target:
                continue
            yield Example(
                id=f"{id}.{start}",
                at=settled_at(place.day, place.number),
                workspace=self.package,
                path=hunk.path,
                language="python",
                prefix=hunk.above + "".join(f"{line}\n" for line in hunk.lines[:start]) + lines[0][:at],
                suffix=f"\n{hunk.below}",
                target=target,
                offered="",
                outcome="ignored",
                reward=0.0,
                documents=documents,
                goes_on=hunk.goes_on or start + PIECE_LINES < len(hunk.lines),
            )


def settled_at(day: int, place: int) -> float:
    """When a hunk was done, in seconds since the first day began."""
    return day * _SECONDS_OF_DAY + place


def evenly(things: Sequence[T], most: int, draw: random.Random) -> list[T]:
    """At most so many of them, in their order, one drawn from each of as many equal parts."""
    if len(things) <= most:
        return list(things)
    edges = [round(number * len(things) / most) for number in range(most + 1)]
    return [things[draw.randrange(start, stop)] for start, stop in pairwise(edges)]


def cursor(line: str, draw: random.Random) -> int:
    """Behind the indentation, or, for a share of lines, behind a token inside the line with enough left to write."""
    start = len(line) - len(line.lstrip())
    inside = [match.end() for match in _TOKEN.finditer(line) if start < match.end() <= len(line.rstrip()) - SHORTEST]
    chosen = draw.random() < INSIDE_SHARE
    return draw.choice(inside) if inside and chosen else start


def ask_of(case: CompletionCase, number: int) -> Ask:
    """A cursor of another measurement, asked for in the same way."""
    return Ask(f"{case.package} {number}", case.request(documents=True, suffix=True), case.middle)
