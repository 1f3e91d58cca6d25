"""What the index hands out. Lines count from 0; `end_line` is included. Paths are relative, with forward slashes."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["function", "method", "class", "interface", "type", "variable", "module", "section", "text"]
Match = Literal["words", "meaning", "symbol"]


@dataclass(frozen=True)
class Chunk:
    """A stretch of one file along its definitions. `header` repeats signatures of what encloses it and the first line
    of what is said of each, so that it reads alone."""

    path: str
    language: str
    kind: Kind
    name: str  # "" where nothing is defined
    scope: str  # "Outer.inner" or ""
    start_line: int
    end_line: int
    text: str
    header: str


@dataclass(frozen=True)
class Candidate:
    """What the reranker sees of a chunk. `names` are all names that it defines, `hash` is that of its content."""

    kind: str
    names: str
    hash: bytes


@dataclass(frozen=True)
class Hit:
    """A chunk that answers a query. `score` is the fused score (higher is better); `matched` says why it is here."""

    path: str
    language: str
    kind: Kind
    name: str
    scope: str
    start_line: int
    end_line: int
    text: str
    score: float
    matched: tuple[Match, ...]


@dataclass(frozen=True)
class Symbol:
    """A definition. `column` and `end_column` bound the name on `line`, in code points. `text` is that line, for who
    counts in other units: the index gives it with what it finds, but for lines of ASCII."""

    path: str
    name: str
    kind: Kind
    scope: str
    line: int
    column: int
    end_column: int
    text: str = ""


@dataclass(frozen=True)
class Mention:
    """A name that is used on a line, or a module that is imported there."""

    name: str
    line: int


@dataclass(frozen=True)
class Progress:
    """How far a build is. `phase` is "walk", "chunk" or "embed"; `total` is 0 while it is not known."""

    phase: str
    done: int
    total: int
    seconds_left: float | None = None
