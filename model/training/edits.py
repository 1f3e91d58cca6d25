"""Exercises from what was really written: the lines by which one version of a package became the next.

A cursor in finished code has the whole file around it; whoever writes has the old text below, nothing of what comes
next, and has just done the like elsewhere. So these stand at the lines of a diff, with the documents that the index
finds there and with the documents of edits that are served. What always holds: the same places and seed give the same
exercises.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np

from feedback.records import is_of_edits
from model.completion import CompletionRequest
from model.document import Document
from model.evaluation.replay_requests import PIECE_LINES, SHORTEST, cursor, evenly
from model.positions import PositionScheme
from model.tokens import Tokens
from model.training.exercises import Drawn, layouts_of, tail_of
from model.training.rows import Row, joined, plain, row

DOCUMENT = 160  # tokens of each document
_TAILS = 2  # cursors of a row, at most


@dataclass(frozen=True)
class Written:
    """Lines that were written into the file `path`: `above + lines + below` was its text around them.

    `code`: indices of the lines that hold code. `documents` as they are served, those of edits first. `goes_on`: more
    was written behind the last line.
    """

    path: str
    above: str
    lines: tuple[str, ...]
    below: str
    code: tuple[int, ...]
    documents: tuple[Document, ...]
    goes_on: bool = False


@dataclass(frozen=True)
class EditShape:
    """How big these exercises are, and how often something is left out. Counts are tokens, shares between 0 and 1.

    A `document` has room for those of edits as `model.training.edit_corpus` makes them: the newest edit stands last.
    """

    documents: int = 480
    document: int = DOCUMENT
    tails: tuple[int, ...] = (64, 128, 192)
    suffixes: tuple[int, ...] = (32, 64, 96)
    masked_share: float = 0.9
    no_suffix_share: float = 0.1
    no_edits_share: float = 0.2  # of each document of edits
    no_document_share: float = 0.5  # of each other one
    no_name_share: float = 0.1
    line_share: float = 0.5  # cursors at which the rest of the line is asked for and not of the piece


class EditExercises:
    """Draws exercises from places. `scheme` as of `model.training.exercises.Exercises`."""

    def __init__(
        self,
        written: Mapping[str, Sequence[Written]],
        tokens: Tokens,
        scheme: PositionScheme,
        shape: EditShape | None = None,
    ) -> None:
        self.shape = shape or EditShape()
        self._written = {name: tuple(found) for name, found in written.items() if found}
        self._names = list(self._written)
        sizes = np.array([len(found) for found in self._written.values()]) ** 0.5
        self._shares = sizes / sizes.sum()
        self._scheme = scheme
        room = self.shape.documents
        self._layouts = layouts_of(tokens, room, self.shape.document, self.shape.tails, self.shape.suffixes)

    def draw(self, random: np.random.Generator) -> Row:
        """One row: a place, documents, one or two of its lines; under the document mask or as in a plain pass."""
        package = self._names[int(random.choice(len(self._names), p=self._shares))]
        place = self._written[package][int(random.integers(len(self._written[package])))]
        layout = self._layouts[int(random.integers(len(self._layouts)))]
        name = "" if random.random() < self.shape.no_name_share else package
        documents = tuple(one for one in place.documents if random.random() >= self._left_out(one))
        suffix = "" if random.random() < self.shape.no_suffix_share else f"\n{place.below}"
        masked = random.random() < self.shape.masked_share
        draw = Random(int(random.integers(2**32)))
        usable = [line for line in place.code if len(place.lines[line].strip()) >= SHORTEST] or list(place.code[:1])
        rows = []
        for line in evenly(usable, _TAILS, draw):
            at = cursor(place.lines[line], draw)
            stop = line + (1 if draw.random() < self.shape.line_share else PIECE_LINES)
            middle = "\n".join(place.lines[line:stop])[at:].rstrip()
            before = place.above + "".join(f"{one}\n" for one in place.lines[:line]) + place.lines[line][:at]
            request = CompletionRequest(place.path, "python", before, suffix, documents, name)
            ends = stop == line + 1 or (stop >= len(place.lines) and not place.goes_on)
            rows.append(row(*tail_of(layout, request, middle, self._scheme, ends=ends)))
        whole = joined(rows)
        return whole if masked else plain(whole)

    def _left_out(self, document: Document) -> float:
        return self.shape.no_edits_share if is_of_edits(document.path) else self.shape.no_document_share


class Mixed:
    """Draws from `some` with probability `share`, else from `others`."""

    def __init__(self, some: Drawn, others: Drawn, share: float) -> None:
        self._some, self._others, self._share = some, others, share

    def draw(self, random: np.random.Generator) -> Row:
        """One row."""
        return (self._some if random.random() < self._share else self._others).draw(random)
