"""Search one workspace: by words, by meaning and by name, fused into one ranking.

It only reads. While nothing is indexed it finds nothing, and while there are no embeddings it works by words alone; it
notices by itself when the indexing process has written more. Methods take turns, so that any thread may call them.
"""

import json
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray
from pathspec import GitIgnoreSpec

from index.context import Catalog, find_context
from index.database import database_path
from index.embedding import Encoder, NoEmbeddingWeightsError
from index.names import best_symbols, names_in
from index.records import Hit, Kind, Match, Symbol
from index.store import Store, load_hits
from index.vectors import Vectors
from index.words import match_expression, query_words
from inkling.errors import UserError

T = TypeVar("T")

FUSION = 60  # the constant of reciprocal rank fusion (Cormack, Clarke and Buettcher 2009)
DEPTH = 50  # how many results of each kind are fused, at least
MAX_QUERY = 4000  # characters
MAX_QUERY_WORDS = 64
WEIGHTS = "1.0, 4.0, 2.0"  # of text, names and path in BM25


class BadFilterError(UserError):
    """A filter of a search makes no sense."""


class Search:
    """Answers questions about the workspace at `root`. Without an encoder, by words and names alone.

    `note` says why there is no search by meaning, where that is not as intended.
    """

    def __init__(self, root: Path, embedder: Encoder | None) -> None:
        self.root = root
        self.note = ""
        self._embedder = embedder
        self._vectors: Vectors | None = None
        self._catalog = Catalog(root.resolve().name)
        self._store: Store | None = None
        self._lock = threading.Lock()

    def search(
        self,
        query: str,
        *,
        limit: int = 10,
        path: str | None = None,
        language: str | None = None,
        kind: str | None = None,
    ) -> list[Hit]:
        """The best chunks for a question, an identifier, code or an error message; best first.

        `path` is a pattern as in .gitignore ("*.py", "src/**", "/docs"), `language` an LSP language id, `kind` one of
        `records.Kind`. Raises BadFilterError for a pattern or kind that cannot be.
        """
        query = query[:MAX_QUERY].strip()
        if not query or limit < 1:
            return []
        chosen = _Filter(path, language, kind)
        # Loading the encoder takes seconds: nobody waits for it while holding the lock, nor is a snapshot kept.
        vector = self._encoded(query) if self._reading(self._knows_vectors, False) else None
        return self._reading(lambda store: self._search(store, query, vector, limit, chosen), [])

    def symbols(self, query: str, limit: int) -> list[Symbol]:
        """Definitions whose name fits: exact, then by prefix, by a word's prefix, by substring, by letters in order."""
        return self._reading(lambda store: best_symbols(store.database, query[:200].strip(), limit), [])

    def context(self, path: str, prefix: str, suffix: str, *, limit: int, max_chars: int) -> list[Hit]:
        """Chunks of other files that may help to complete at a cursor: what is imported first, then what is similar.

        `prefix` and `suffix` are the text before and after the cursor. Looks at words only: no embedding per keystroke.
        """

        def find(store: Store) -> list[Hit]:
            self._catalog.refresh(store)
            return find_context(store.database, self._catalog, path, prefix, suffix, limit, max_chars)

        return self._reading(find, [])

    def stats(self) -> dict[str, Any]:
        """What the index holds, in numbers: always the same keys."""
        empty: dict[str, Any] = {"files": 0, "chunks": 0, "symbols": 0, "embedded": 0, "generation": 0, "built": None}
        found = self._reading(self._stats, empty)
        path = database_path(self.root)
        parts = (path, path.with_name(path.name + "-wal"))
        return {
            **found,
            "note": self.note,
            "bytes": sum(part.stat().st_size for part in parts if part.exists()),
            "database": str(path),
        }

    def close(self) -> None:
        """Let go of the database; the next call opens it again."""
        with self._lock:
            self._forget()

    def _forget(self) -> None:
        if self._store is not None:
            self._store.close()
        self._store = None

    def _reading(self, work: Callable[[Store], T], nothing: T) -> T:
        """Run `work` in one read transaction, so that it sees one state; `nothing` while there is no index."""
        with self._lock:
            if self._store is not None and self._store.replaced():
                self._forget()
            if self._store is None:
                self._store = Store.reader(self.root)
            if self._store is None:
                return nothing
            database = self._store.database
            try:
                database.execute("BEGIN")
                try:
                    return work(self._store)
                finally:
                    database.execute("ROLLBACK")
            except sqlite3.DatabaseError:  # broken or of another version by now: the writer will mend it
                self._forget()
                return nothing

    def _knows_vectors(self, store: Store) -> bool:
        """True if there is anything to compare a query with; catches up with the store."""
        if self._embedder is None:
            return False
        if self._vectors is None:
            try:
                self._vectors = Vectors(self._embedder.model)
            except NoEmbeddingWeightsError as error:
                self._without_meaning(error)
                return False
        self._vectors.refresh(store)
        return len(self._vectors) > 0

    def _encoded(self, query: str) -> NDArray[np.float32] | None:
        try:
            return self._embedder.encode([query])[0] if self._embedder else None
        except NoEmbeddingWeightsError as error:
            self._without_meaning(error)
            return None

    def _without_meaning(self, error: NoEmbeddingWeightsError) -> None:
        """From here on by words alone; `stats` says why."""
        self._embedder, self.note = None, str(error)

    def _search(
        self, store: Store, query: str, vector: NDArray[np.float32] | None, limit: int, chosen: "_Filter"
    ) -> list[Hit]:
        depth = max(DEPTH, 3 * limit)
        where, values = chosen.condition(store.database)
        rankings: dict[Match, list[int]] = {
            "words": _by_words(store.database, query, depth, where, values),
            "symbol": _by_name(store.database, query, depth, where, values),
            "meaning": self._by_meaning(store, vector, depth, where, values),
        }
        scores: dict[int, float] = {}
        matched: dict[int, tuple[Match, ...]] = {}
        for match, ranking in rankings.items():
            for rank, chunk in enumerate(ranking, start=1):
                scores[chunk] = scores.get(chunk, 0.0) + 1.0 / (FUSION + rank)
                matched[chunk] = (*matched.get(chunk, ()), match)
        best = sorted(scores, key=lambda chunk: (-scores[chunk], chunk))[:limit]
        return load_hits(store.database, best, scores, matched)

    def _by_meaning(
        self, store: Store, vector: NDArray[np.float32] | None, depth: int, where: str, values: list[Any]
    ) -> list[int]:
        if vector is None or self._vectors is None:
            return []
        self._vectors.refresh(store)
        allowed = None
        if where:
            rows = store.database.execute(
                "SELECT DISTINCT e.id FROM embedded e JOIN chunks c ON c.hash = e.hash JOIN files f ON f.id = c.file "
                f"WHERE e.model = ? {where}",
                (self._vectors.model, *values),
            )
            allowed = [row[0] for row in rows]
        # Chunks that are gone keep their embeddings for a while: ask for more than are needed.
        nearest = self._vectors.nearest(vector, 4 * depth, allowed)
        rank = {embedding: position for position, (embedding, _) in enumerate(nearest)}
        rows = store.database.execute(
            "SELECT c.id, e.id FROM embedded e JOIN chunks c ON c.hash = e.hash JOIN files f ON f.id = c.file "
            f"WHERE e.id IN (SELECT value FROM json_each(?)) {where}",
            (json.dumps(list(rank)), *values),
        )
        return [chunk for chunk, _ in sorted(rows, key=lambda row: (rank[row[1]], row[0]))][:depth]

    def _stats(self, store: Store) -> dict[str, Any]:
        def count(sql: str) -> int:
            return int(store.database.execute(sql).fetchone()[0])

        return {
            "files": count("SELECT count(*) FROM files"),
            "chunks": count("SELECT count(*) FROM chunks"),
            "symbols": count("SELECT count(*) FROM symbols"),
            "embedded": count("SELECT count(*) FROM chunks WHERE hash IN (SELECT hash FROM embedded)"),
            "generation": store.fact("generation"),
            "built": store.fact("built"),
        }


class _Filter:
    """What a search is restricted to, as an SQL condition on chunks `c` and files `f`."""

    def __init__(self, path: str | None, language: str | None, kind: str | None) -> None:
        if kind and kind not in get_args(Kind):
            raise BadFilterError(f"Expected one of {', '.join(get_args(Kind))} as the kind, found {kind!r}.")
        try:
            self._paths = GitIgnoreSpec.from_lines([path.removeprefix("./")]) if path else None
        except ValueError as error:
            raise BadFilterError(f"Expected a path pattern such as 'src/**/*.py', found {path!r}.") from error
        self._language, self._kind = language, kind

    def condition(self, database: sqlite3.Connection) -> tuple[str, list[Any]]:
        """ " AND ..." with its values; "" if everything is allowed."""
        where, values = "", []
        if self._paths is not None:
            files = database.execute("SELECT id, path FROM files")
            where += " AND f.id IN (SELECT value FROM json_each(?))"
            values.append(json.dumps([number for number, path in files if self._paths.match_file(path)]))
        for column, value in (("f.language", self._language), ("c.kind", self._kind)):
            if value:
                where += f" AND {column} = ?"
                values.append(value)
        return where, values


def _by_words(database: sqlite3.Connection, query: str, depth: int, where: str, values: list[Any]) -> list[int]:
    wanted = query_words(query)[:MAX_QUERY_WORDS]
    if not wanted:
        return []
    rows = database.execute(
        "SELECT c.id FROM words JOIN chunks c ON c.id = words.rowid JOIN files f ON f.id = c.file "
        f"WHERE words MATCH ? {where} ORDER BY bm25(words, {WEIGHTS}), c.id LIMIT ?",
        (match_expression(wanted), *values, depth),
    )
    return [row[0] for row in rows]


def _by_name(database: sqlite3.Connection, query: str, depth: int, where: str, values: list[Any]) -> list[int]:
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
    return [row[0] for row in rows]
