"""Two of the rankings that a search is made of: chunks by name and by meaning, each best first.

Every function reads one open store and changes nothing. The third, by words, is `index.lexical`; how they become one is
decided in `index.fusion`.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray
from pathspec import GitIgnoreSpec

from index.globs import globs
from index.names import names_in
from index.records import Kind
from index.store import Store
from index.vectors import Vectors
from inkling.errors import UserError

MAX_PATTERN = 1000  # characters


class BadFilterError(UserError):
    """A filter of a search makes no sense."""


@dataclass(frozen=True)
class Ranked:
    """A chunk in one ranking. `score` is that ranking's own: higher is better, nothing else is promised."""

    chunk: int
    score: float


@dataclass(frozen=True)
class Filter:
    """What a search is restricted to. Raises BadFilterError where that cannot be."""

    path: str | None = None
    language: str | None = None
    kind: str | None = None

    def __post_init__(self) -> None:
        if self.kind and self.kind not in get_args(Kind):
            raise BadFilterError(f"Expected one of {', '.join(get_args(Kind))} as the kind, found {self.kind!r}.")
        self._paths()

    def condition(self, database: sqlite3.Connection) -> tuple[str, list[Any]]:
        """ " AND ..." on chunks `c` and files `f`, with its values; "" if everything is allowed."""
        where, values = "", []
        if (paths := self._paths()) is not None:
            files = database.execute("SELECT id, path FROM files")
            where += " AND f.id IN (SELECT value FROM json_each(?))"
            values.append(json.dumps([number for number, path in files if paths.match_file(path)]))
        for column, value in (("f.language", self.language), ("c.kind", self.kind)):
            if value:
                where += f" AND {column} = ?"
                values.append(value)
        return where, values

    def _paths(self) -> GitIgnoreSpec | None:
        if self.path and len(self.path) > MAX_PATTERN:
            raise BadFilterError(f"Expected a path pattern of at most {MAX_PATTERN:,} characters.")
        try:
            return globs([self.path.removeprefix("./")]) if self.path else None
        except ValueError as error:
            raise BadFilterError(f"Expected a path pattern such as 'src/**/*.py', found {self.path!r}.") from error


def by_name(database: sqlite3.Connection, query: str, depth: int, where: str, values: list[Any]) -> list[Ranked]:
    """Chunks in which a name that the query spells out is defined."""
    names = names_in(query)
    if not names:
        return []
    rows = database.execute(
        "SELECT DISTINCT c.id FROM symbols s JOIN chunks c ON c.file = s.file AND s.line BETWEEN c.start_line AND "
        f"c.end_line JOIN files f ON f.id = c.file WHERE s.folded IN (SELECT value FROM json_each(?)) {where} "
        "ORDER BY s.kind = 'variable', s.scope <> '', length(f.path), c.id LIMIT ?",
        (json.dumps(names), *values, depth),
    )
    return [Ranked(row[0], 1.0 / rank) for rank, row in enumerate(rows, start=1)]


def begin_by_meaning(
    store: Store,
    vectors: Vectors,
    query: NDArray[np.float32],
    depth: int,
    where: str,
    values: list[Any],
    other: Executor | None = None,
) -> Callable[[], list[Ranked]]:
    """Chunks whose vectors are nearest, by their cosine: what has to be called for them.

    With `other`, vectors are compared there from now on, while this thread asks the store for something else. Until
    that is done the vectors may not be caught up with.
    """
    vectors.refresh(store)
    allowed: Iterable[int] | None = None
    if where:
        rows = store.database.execute(
            "SELECT DISTINCT e.id FROM embedded e JOIN chunks c ON c.hash = e.hash JOIN files f ON f.id = c.file "
            f"WHERE e.model = ? {where}",
            (vectors.model, *values),
        )
        allowed = [row[0] for row in rows]
    begun = other.submit(vectors.nearest, query, 2 * depth, allowed) if other is not None else None

    def ranking() -> list[Ranked]:
        asked = 2 * depth
        nearest = begun.result() if begun is not None else vectors.nearest(query, asked, allowed)
        while True:  # chunks that are gone keep their vectors for a while: ask for more until enough are there
            near = dict(nearest)
            found = store.database.execute(
                "SELECT c.id, e.id FROM embedded e JOIN chunks c ON c.hash = e.hash JOIN files f ON f.id = c.file "
                f"WHERE e.id IN (SELECT value FROM json_each(?)) {where}",
                (json.dumps(list(near)), *values),
            ).fetchall()
            if len(found) >= depth or len(near) < asked:
                break
            asked *= 4
            nearest = vectors.nearest(query, asked, allowed)
        ranked = [Ranked(chunk, near[number]) for chunk, number in found]
        return sorted(ranked, key=lambda each: (-each.score, each.chunk))[:depth]

    return ranking
