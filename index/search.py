"""Search one workspace: by words, by meaning and by name, fused into one ranking.

It only reads. While nothing is indexed it finds nothing, and while there are no embeddings it works by words alone; it
notices by itself when the indexing process has written more. Methods take turns, so that any thread may call them.
"""

import sqlite3
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from index.context import Ask, Catalog, find_context
from index.database import database_path, is_damage, is_doubted
from index.embedding import Encoder, NoMeaningError, as_question
from index.fusion import Answer, best, fuse
from index.late import Question
from index.lexical import Counts, by_words, weights_of
from index.names import best_symbols
from index.rankings import Filter, Ranked, begin_by_meaning, by_name
from index.records import Hit, Match, Symbol
from index.relevance import Relevance, installed
from index.store import Store, definition_lines, load_candidates, load_hits
from index.vectors import Vectors

T = TypeVar("T")
Meant = tuple[NDArray[np.float32], Question | None]  # a query's vector and tokens

ALL: frozenset[Match] = frozenset(get_args(Match))
DEPTH = 100  # how many results of each kind are fused, at least
MAX_QUERY = 4000  # characters
COMMON = 1000  # chunks: in how many of them a word stands is worth remembering


class Search:
    """Answers questions about the workspace at `root`. Without an encoder, by words and names alone.

    `note` says why there is no search by meaning, where that is not as intended. `relevance`: what chooses documents
    for a cursor, if not the weights that are in use on this machine.
    """

    def __init__(self, root: Path, embedder: Encoder | None, relevance: Relevance | None = None) -> None:
        self.root = root
        self.note = ""
        self._embedder = embedder
        self._vectors: Vectors | None = None
        self._catalog = Catalog(root.resolve().name)
        self._counts = Counts(COMMON)
        self._relevance = relevance or installed()
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
        by: frozenset[Match] = ALL,
    ) -> list[Hit]:
        """The best chunks for a question, an identifier, code or an error message; best first.

        `path` is a pattern as in .gitignore ("*.py", "src/**", "/docs"), `language` an LSP language id, `kind` one of
        `records.Kind`; `by` leaves rankings out. Raises BadFilterError for a pattern or kind that cannot be.
        """
        answer = self.answer(query, limit=limit, path=path, language=language, kind=kind, by=by)
        return [hit for _, hit in best([answer], limit)]

    def answer(
        self,
        query: str,
        *,
        limit: int,
        path: str | None = None,
        language: str | None = None,
        kind: str | None = None,
        by: frozenset[Match] = ALL,
    ) -> Answer:
        """What `search` makes its hits of, for whoever asks several workspaces (`index.fusion.best`)."""
        query = query[:MAX_QUERY].strip()
        if not query or limit < 1:
            return Answer()
        chosen = Filter(path, language, kind)
        # Loading the encoder takes seconds: nobody waits for it while holding the lock, nor is a snapshot kept.
        meant = self._encoded(query) if "meaning" in by and self._reading(self._knows_vectors, False) else None
        return self._reading(lambda store: self._answer(store, query, meant, limit, chosen, by), Answer())

    def symbols(self, query: str, limit: int) -> list[Symbol]:
        """Definitions whose name fits: exact, then by prefix, by a word's prefix, by substring, by letters in order."""
        return self._reading(lambda store: best_symbols(store.database, query[:200].strip(), limit), [])

    def context(self, ask: Ask) -> list[Hit]:
        """Chunks of other files that may help to complete at a cursor, the most helpful first. Looks at words and names
        only: no embedding per keystroke."""

        def find(store: Store) -> list[Hit]:
            self._catalog.refresh(store)
            return find_context(store.database, self._catalog, ask, self._relevance)

        return self._reading(find, [])

    def stats(self) -> dict[str, Any]:
        """What the index holds, in numbers: always the same keys."""
        empty: dict[str, Any] = {"files": 0, "chunks": 0, "symbols": 0, "embedded": 0, "generation": 0, "built": None}
        found = self._reading(self._stats, empty)
        path = database_path(self.root)
        parts = (path, path.with_name(path.name + "-wal"))
        return {
            **found,
            "note": self.note or (self._vectors.note if self._vectors is not None else ""),
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
            if self._store is not None and (self._store.replaced() or self._store.doubted):
                self._forget()
            if self._store is None and not is_doubted(database_path(self.root)):
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
            except sqlite3.DatabaseError as error:  # damaged or of another version by now: the writer will mend it
                if is_damage(error):
                    self._store.doubt()
                self._forget()
                return nothing
            finally:
                if self._store is not None and self._store.frozen:
                    self._forget()

    def _knows_vectors(self, store: Store) -> bool:
        """True if there is anything to compare a query with; catches up with the store."""
        if self._embedder is None:
            return False
        if self._vectors is None:
            try:
                self._vectors = Vectors(self._embedder.model)
            except NoMeaningError as error:
                self._without_meaning(error)
                return False
        self._vectors.refresh(store)
        return len(self._vectors) > 0

    def _encoded(self, query: str) -> Meant | None:
        try:
            return as_question(self._embedder, query) if self._embedder else None
        except NoMeaningError as error:
            self._without_meaning(error)
            return None

    def _without_meaning(self, error: NoMeaningError) -> None:
        """From here on by words alone; `stats` says why."""
        self._embedder, self.note = None, str(error)

    def _answer(
        self,
        store: Store,
        query: str,
        meant: Meant | None,
        limit: int,
        chosen: Filter,
        by: frozenset[Match],
    ) -> Answer:
        depth = max(DEPTH, 3 * limit)
        database = store.database
        where, values = chosen.condition(database)
        rankings: dict[Match, list[Ranked]] = {}
        with ThreadPoolExecutor(1) as other:  # comparing vectors takes as long as everything that the store is asked
            meaning = None
            if meant is not None and self._vectors is not None:
                meaning = begin_by_meaning(store, self._vectors, meant[0], depth, where, values, other)
            weights = weights_of(database, query, self._counts)
            if "words" in by:
                rankings["words"] = by_words(database, weights, depth, where, values)
            if "symbol" in by:
                rankings["symbol"] = by_name(database, query, depth, where, values)
            if meaning is not None:
                rankings["meaning"] = meaning()
        scores = fuse(rankings)
        candidates = load_candidates(database, scores)
        closeness: dict[int, float] = {}
        if meant is not None and meant[1] is not None and self._vectors is not None and len(rankings) > 1:
            closeness = self._vectors.closeness(meant[1], candidates)
        texts = load_hits(database, candidates, scores, dict.fromkeys(candidates, ()))
        hits = dict(zip(candidates, texts, strict=True))
        times = Counter((hit.path, hit.scope, hit.name) for hit in texts)
        alike = [chunk for chunk, hit in hits.items() if times[hit.path, hit.scope, hit.name] > 1]
        return Answer(rankings, weights, candidates, hits, definition_lines(database, alike), closeness)

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
