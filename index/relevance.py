"""How likely a chunk is to help at a cursor: a few figures, and a line through them that may also say "not at all".

Pure. The same figures are made on a keystroke and at night, from what was recorded; `similar` and `recent`, which only
the moment knows, are 0 at night. `WRITTEN` weights are reasoned; a night may fit others (`model.training.relevance`).

Always: a chunk whose score is not above 0 is not offered, so that weights can say that nothing helps.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import fsum
from pathlib import Path
from typing import NamedTuple

from index.words import words
from inkling.folders import data_folder

NEAR_BEFORE = 20  # lines before the cursor that say what it is about
NEAR_AFTER = 5
NAMES = re.compile(r"[^\W\d]\w*")


class Features(NamedTuple):
    """Figures of one chunk at one cursor, from 0 to 1 each."""

    imported: float = 0.0  # its file is imported where the cursor is
    taken: float = 0.0  # it defines what is taken from there by name
    named: float = 0.0  # it defines names that stand near the cursor: the nearer and the more, the higher
    shared: float = 0.0  # the share of the words near the cursor, by nearness, that stand in it
    nearby: float = 0.0  # the share of the cursor's folders that lead to it
    similar: float = 0.0  # by BM25 over the rarest words near the cursor
    recent: float = 0.0  # it was edited a moment ago: 1 for the last edit
    always: float = 1.0


@dataclass(frozen=True)
class Relevance:
    """Weights of the figures, and where they come from: "written", or the name of the night that fitted them."""

    weights: Features
    name: str = "written"

    def score(self, features: Features) -> float:
        """Above 0 if the chunk is worth its place; the higher, the more."""
        return sum(weight * figure for weight, figure in zip(self.weights, features, strict=True))


WRITTEN = Relevance(
    Features(imported=1.0, taken=2.0, named=2.0, shared=1.0, nearby=0.2, similar=1.0, recent=0.8, always=0.0)
)


@dataclass(frozen=True)
class Cursor:
    """What is known about a place: the file, words and names near it by their weight, what the file imports."""

    path: str
    near: Mapping[str, float]
    imported: Mapping[str, set[str]] = field(default_factory=dict)

    @classmethod
    def at(cls, path: str, prefix: str, suffix: str, imported: Mapping[str, set[str]]) -> "Cursor":
        """The cursor between two texts."""
        return cls(path, near(prefix, suffix), imported)

    def features(
        self, path: str, names: Iterable[str], text: str, *, similar: float = 0.0, recent: float = 0.0
    ) -> Features:
        """The figures of a chunk of `path` that defines `names`."""
        defined = set(names)
        found = set(words(text))
        whole = sum(self.near.values()) or 1.0
        return Features(
            imported=float(path in self.imported),
            taken=float(not defined.isdisjoint(self.imported.get(path, ()))),
            named=_bounded(fsum(self.near.get(name.casefold(), 0.0) for name in defined)),  # in whatever order
            shared=sum(weight for word, weight in self.near.items() if word in found) / whole,
            nearby=shared_folders(path, self.path) / max(self.path.count("/"), 1),
            similar=similar,
            recent=recent,
        )


def near(prefix: str, suffix: str) -> dict[str, float]:
    """Words and whole names around the cursor with their weight: the nearer a line, the heavier."""
    weights: dict[str, float] = {}
    before = prefix[-4000:].split("\n")[-NEAR_BEFORE:]
    after = suffix[:1000].split("\n")[:NEAR_AFTER]
    for distance, line in [*enumerate(reversed(before)), *enumerate(after, start=1)]:
        line = line[-400:]
        for word in (*words(line), *(name.casefold() for name in NAMES.findall(line))):
            if len(word) > 2:
                weights[word] = max(weights.get(word, 0.0), 1.0 / (1 + distance))
    return weights


def shared_folders(path: str, other: str) -> int:
    """How many leading folders two paths have in common."""
    count = 0
    for one, two in zip(path.split("/")[:-1], other.split("/")[:-1], strict=False):
        if one != two:
            break
        count += 1
    return count


def relevance_file() -> Path:
    """Where fitted weights lie."""
    return data_folder() / "relevance.json"


def installed(path: Path | None = None) -> Relevance:
    """The weights that are in use: fitted ones where they were installed, else the written ones."""
    try:
        held = json.loads((path or relevance_file()).read_text(encoding="utf-8"))
        weights = Features(**{name: float(held["weights"][name]) for name in Features._fields})
        return Relevance(weights, str(held["name"]))
    except (OSError, ValueError, KeyError, TypeError):  # of another version, or none
        return WRITTEN


def install(relevance: Relevance, path: Path | None = None) -> None:
    """Use these weights from the next start of a server on, in one step."""
    place = path or relevance_file()
    place.parent.mkdir(parents=True, exist_ok=True)
    draft = place.with_suffix(".new")
    draft.write_text(
        json.dumps({"name": relevance.name, "weights": relevance.weights._asdict()}, indent=2) + "\n", encoding="utf-8"
    )
    draft.replace(place)


def _bounded(value: float) -> float:
    """From 0 to 1, half at 1/2."""
    return value / (0.5 + value)
