"""What one workspace's index holds: files, chunks, symbols, uses, imports, words, and which chunks have a vector.

SQLite is the truth for everything but the files themselves. Chunks are known by a hash of what the embedding model
reads, so that a chunk that moved, was renamed or came back with a branch needs no new vector. Where the file lies and
how it is opened is `index.database`'s business; the vectors are in `index.vector_cache`.

Always: a write is one transaction, so that a process killed at any moment leaves a consistent index.
"""

import hashlib
import json
import sqlite3
import time
import uuid
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from index.chunks import Outline
from index.database import database_path, doubt, is_doubted, is_full, open_to_read, open_to_write, refused
from index.files import File
from index.records import Candidate, Chunk, Hit, Match
from index.words import spelled

Entry = tuple[File, bytes, str, Outline]  # a file, the hash of its text, its language, what is in it


@dataclass(frozen=True)
class Known:
    """What the index knows about a file without reading it again."""

    id: int
    size: int
    mtime_ns: int
    hash: bytes


@dataclass(frozen=True)
class Refused:
    """A file that has no text for us as it is, and why."""

    file: File
    reason: str


def text_to_embed(header: str, text: str) -> str:
    """What the embedding model reads of a chunk."""
    return f"{header}\n{text}" if header else text


def content_hash(chunk: Chunk) -> bytes:
    """16 bytes that name what the embedding model reads of a chunk."""
    return hashlib.sha256(text_to_embed(chunk.header, chunk.text).encode("utf-8", "replace")).digest()[:16]


class Store:
    """An open index. Make one with `Store.reader` or `Store.writer`; not to be used by two threads at once."""

    def __init__(self, path: Path, connection: sqlite3.Connection, note: str = "", frozen: bool = False) -> None:
        self.path = path
        self.database = connection
        self.note = note
        self.frozen = frozen
        self.inode = path.stat().st_ino

    @classmethod
    def reader(cls, root: Path) -> "Store | None":
        """The index of `root`, for reading; None while there is none of our version. One that is `frozen` sees nothing
        that is written later: it is for one look."""
        path = database_path(root)
        opened = open_to_read(path)
        return cls(path, opened[0], frozen=opened[1]) if opened is not None else None

    @classmethod
    def writer(cls, root: Path, whole: int = 0) -> "Store":
        """The index of `root`, for writing; the caller holds `lock(root)`. `note` says if it had to be made anew;
        `whole` is the `inode` of one that need not be checked for damage."""
        connection, note = open_to_write(root, whole)
        return cls(database_path(root), connection, note)

    def close(self) -> None:
        """Close the database."""
        self.database.close()

    def replaced(self) -> bool:
        """True if another process has made the database anew, so that this one reads a file nobody else sees."""
        try:
            return self.path.stat().st_ino != self.inode
        except OSError:
            return True

    def doubt(self) -> None:
        """Tell the next writer that this database is damaged: its own look, at most once a start, may come late or
        find nothing."""
        if not self.replaced():
            doubt(self.path)

    @property
    def doubted(self) -> bool:
        """Whether somebody found it damaged."""
        return is_doubted(self.path)

    def fact(self, name: str) -> Any:
        """One of the facts: root; built (time of the last write); generation (counts writes, but for new vectors);
        chunks (how many there are); epoch (of the ids of vectors); base (the file of vectors, see `index.vectors`);
        cache (that vectors were found in); unicode, cut and grammars (the tables and the rules that words and chunks
        were found with)."""
        row = self.database.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def known(self, paths: Iterable[str] | None = None) -> dict[str, Known]:
        """Every file in the index; with `paths`, only those files and what lies below those folders."""
        rows = self._below("SELECT path, id, size, mtime_ns, hash FROM files", paths)
        return {path: Known(*rest) for path, *rest in rows}

    def refused(self, paths: Iterable[str] | None = None) -> dict[File, str]:
        """The files that were refused for what is in them, as they were then, and why; `paths` as for `known`."""
        rows = self._below("SELECT path, size, mtime_ns, reason FROM refused", paths)
        return {File(path, size, mtime_ns): reason for path, size, mtime_ns, reason in rows}

    def _below(self, asked: str, paths: Iterable[str] | None) -> Iterator[tuple[Any, ...]]:
        if paths is None:
            yield from self.database.execute(asked)
        for wanted in paths or ():  # "0" is what follows "/"
            values = (wanted, f"{wanted}/", f"{wanted}0")
            yield from self.database.execute(f"{asked} WHERE path = ? OR (path >= ? AND path < ?)", values)

    def count_files(self) -> int:
        """How many files are in the index."""
        return int(self.database.execute("SELECT count(*) FROM files").fetchone()[0])

    def put(self, entries: Iterable[Entry | File | Refused]) -> int:
        """In one transaction: what is in files replaces what was known of them, a file alone gets its new size and
        time, and of one that is refused nothing else stays known. How many were replaced. That files were refused is
        no new generation: nothing changes for readers."""
        replaced, changed = 0, False
        with self._transaction():
            for entry in entries:
                if isinstance(entry, Refused):
                    file = entry.file
                    changed |= self._forget(file.path)
                    refusal = (file.path, file.size, file.mtime_ns, entry.reason)
                    self.database.execute("INSERT INTO refused VALUES (?, ?, ?, ?)", refusal)
                    continue
                changed = True
                if isinstance(entry, File):
                    change = (entry.size, entry.mtime_ns, entry.path)
                    self.database.execute("UPDATE files SET size = ?, mtime_ns = ? WHERE path = ?", change)
                    continue
                file, digest, language, outline = entry
                self._forget(file.path)
                row = (file.path, language, file.size, file.mtime_ns, digest)
                added = self.database.execute(
                    "INSERT INTO files (path, language, size, mtime_ns, hash) VALUES (?, ?, ?, ?, ?)", row
                )
                assert added.lastrowid is not None
                self._insert(added.lastrowid, outline)
                replaced += 1
            if changed:
                self._changed()
        return replaced

    def remove(self, paths: Iterable[str]) -> None:
        """Forget these files, in one transaction, also those that were refused. Their embeddings stay for a while."""
        with self._transaction():
            if sum(self._forget(path) for path in paths):
                self._changed()

    def _forget(self, path: str) -> bool:
        """Whether anything was there to search."""
        rows = self.database.execute(
            "SELECT c.id, c.text, c.names, f.path FROM chunks c JOIN files f ON f.id = c.file WHERE f.path = ?", (path,)
        ).fetchall()
        gone = [("delete", number, *_words_of(text, names, name)) for number, text, names, name in rows]
        self.database.executemany("INSERT INTO words (words, rowid, text, names, path) VALUES (?, ?, ?, ?, ?)", gone)
        self._count(-len(rows))
        self.database.execute("DELETE FROM refused WHERE path = ?", (path,))
        return self.database.execute("DELETE FROM files WHERE path = ?", (path,)).rowcount > 0

    def _count(self, more: int) -> None:
        """So many chunks more. Counted here, as every search asks and SQLite would look at all of them."""
        self.database.execute("UPDATE facts SET value = value + ? WHERE name = 'chunks'", (more,))

    def _insert(self, file: int, outline: Outline) -> None:
        self._count(len(outline.chunks))
        for chunk, defined in zip(outline.chunks, _names_by_chunk(outline), strict=True):
            names = " ".join([chunk.scope, chunk.name, *defined])
            cursor = self.database.execute(
                "INSERT INTO chunks (file, hash, kind, name, scope, start_line, end_line, text, header, names) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(file, content_hash(chunk), chunk.kind, _storable(chunk.name), _storable(chunk.scope)),
                    *(chunk.start_line, chunk.end_line, _storable(chunk.text), _storable(chunk.header)),
                    _storable(names),
                ),
            )
            self.database.execute(
                "INSERT INTO words (rowid, text, names, path) VALUES (?, ?, ?, ?)",
                (cursor.lastrowid, *_words_of(_storable(chunk.text), _storable(names), chunk.path)),
            )
        self.database.executemany(
            "INSERT INTO symbols (file, name, folded, kind, scope, line, start, end) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    *(file, _storable(each.name), _storable(each.name.casefold()), each.kind, _storable(each.scope)),
                    *(each.line, each.column, each.end_column),
                )
                for each in outline.symbols
            ],
        )
        self.database.executemany(
            "INSERT OR IGNORE INTO uses (name, file, lines) VALUES (?, ?, ?)",
            [(_storable(name), file, json.dumps(lines)) for name, lines in outline.references.items()],
        )
        self.database.executemany(
            "INSERT OR IGNORE INTO imports (file, line, module) VALUES (?, ?, ?)",
            [(file, each.line, _storable(each.name)) for each in outline.imports],
        )

    def missing(self, model: str, paths: Iterable[str] | None = None) -> list[bytes]:
        """Content hashes that have no vector by `model`, those of recently changed files first; with `paths`, only
        those of these files."""
        inside = "" if paths is None else "AND f.path IN (SELECT value FROM json_each(?)) "
        rows = self.database.execute(
            "SELECT c.hash FROM chunks c JOIN files f ON f.id = c.file "
            f"LEFT JOIN embedded e ON e.hash = c.hash AND e.model = ? WHERE e.id IS NULL {inside}"
            "GROUP BY c.hash ORDER BY max(f.mtime_ns) DESC",
            (model,) if paths is None else (model, json.dumps(list(paths))),
        )
        return [row[0] for row in rows]

    def texts(self, hashes: Sequence[bytes]) -> list[tuple[bytes, str]]:
        """(hash, text to embed) of those chunks that are still there."""
        marks = ", ".join("?" * len(hashes))
        rows = self.database.execute(
            f"SELECT hash, header, text FROM chunks WHERE hash IN ({marks}) GROUP BY hash", list(hashes)
        )
        return [(digest, text_to_embed(header, text)) for digest, header, text in rows]

    def bind(self, model: str, hashes: Iterable[bytes]) -> None:
        """These hashes have a vector now; each gets an id, higher than all before. That is no new generation: whoever
        keeps files in memory need not look at them again several times a second."""
        with self._transaction():
            rows = [(digest, model) for digest in hashes]
            self.database.executemany("INSERT OR IGNORE INTO embedded (hash, model) VALUES (?, ?)", rows)

    def last_embedded(self) -> int:
        """The highest id of a vector; 0 without any."""
        return int(self.database.execute("SELECT max(id) FROM embedded").fetchone()[0] or 0)

    def embedded_after(self, model: str, last: int) -> list[tuple[int, bytes]]:
        """(id, hash) of what has a vector, ids above `last` in order."""
        rows = self.database.execute(
            "SELECT id, hash FROM embedded WHERE model = ? AND id > ? ORDER BY id", (model, last)
        )
        return rows.fetchall()

    def live(self, model: str) -> list[tuple[int, bytes]]:
        """The same for all hashes that still have a chunk."""
        rows = self.database.execute(
            "SELECT id, hash FROM embedded e WHERE model = ? AND EXISTS (SELECT 1 FROM chunks c WHERE c.hash = e.hash) "
            "ORDER BY id",
            (model,),
        )
        return rows.fetchall()

    def count_embedded(self, model: str) -> int:
        """How many hashes have an id, those without chunks included."""
        return int(self.database.execute("SELECT count(*) FROM embedded WHERE model = ?", (model,)).fetchone()[0])

    def put_base(self, facts: str, model: str, kept: set[int]) -> None:
        """There is a new file of vectors: what is not in it has no vector any more."""
        with self._transaction():
            gone = [(number,) for number, _ in self.embedded_after(model, 0) if number not in kept]
            self.database.executemany("DELETE FROM embedded WHERE id = ?", gone)
            self.database.execute("INSERT OR REPLACE INTO facts VALUES ('base', ?)", (facts,))
            self._changed()

    def unbind(self, keep_model: str) -> None:
        """Forget vectors by other models."""
        with self._transaction():
            if self.database.execute("DELETE FROM embedded WHERE model <> ?", (keep_model,)).rowcount:
                self._renewed()

    def check_bound(self, identity: str, model: str, there: Callable[[str, list[bytes]], set[bytes]]) -> bool:
        """Forget vectors that are lost, where `identity` says that some may be; `there` knows which are not. Whether
        that had to be asked."""
        if self.fact("cache") == identity:
            return False
        bound = [digest for _, digest in self.embedded_after(model, 0)]
        kept = there(model, bound)
        with self._transaction():
            gone = [(model, digest) for digest in bound if digest not in kept]
            self.database.executemany("DELETE FROM embedded WHERE model = ? AND hash = ?", gone)
            self.database.execute("INSERT OR REPLACE INTO facts VALUES ('cache', ?)", (identity,))
            if gone:
                self._renewed()
        return True

    def _renewed(self) -> None:
        """Ids are gone: whoever keeps some in memory starts over."""
        self.database.execute("UPDATE facts SET value = ? WHERE name = 'epoch'", (uuid.uuid4().hex,))
        self._changed()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """One write, or none at all. Raises IndexFullError."""
        try:
            with self.database:
                self.database.execute("BEGIN IMMEDIATE")
                yield
        except sqlite3.OperationalError as error:
            if not is_full(error):
                raise
            raise refused(self.path, error) from error

    def _changed(self) -> None:
        self.database.execute("UPDATE facts SET value = value + 1 WHERE name = 'generation'")
        self.database.execute("UPDATE facts SET value = ? WHERE name = 'built'", (time.time(),))


def load_hits(
    database: sqlite3.Connection,
    chunks: Iterable[int],
    scores: dict[int, float],
    matched: dict[int, tuple[Match, ...]],
) -> list[Hit]:
    """The chunks with these ids as hits, in this order."""
    order = list(chunks)
    rows = database.execute(
        "SELECT c.id, f.path, f.language, c.kind, c.name, c.scope, c.start_line, c.end_line, c.text "
        "FROM chunks c JOIN files f ON f.id = c.file WHERE c.id IN (SELECT value FROM json_each(?))",
        (json.dumps(order),),
    )
    found = {row[0]: row[1:] for row in rows}
    hits: list[Hit] = []
    for chunk in order:
        if chunk in found:
            path, language, kind, name, scope, start_line, end_line, text = found[chunk]
            score = scores[chunk]
            hits.append(Hit(path, language, kind, name, scope, start_line, end_line, text, score, matched[chunk]))
    return hits


def definition_lines(database: sqlite3.Connection, chunks: Iterable[int]) -> dict[int, int]:
    """The line on which the definition starts that each of these chunks is named after, and may be one piece of."""
    rows = database.execute(
        "SELECT c.id, max(s.line) FROM chunks c JOIN symbols s ON s.file = c.file AND s.name = c.name "
        "AND s.scope = c.scope AND s.line <= c.end_line WHERE c.id IN (SELECT value FROM json_each(?)) GROUP BY c.id",
        (json.dumps(list(chunks)),),
    )
    return dict(rows.fetchall())


def load_candidates(database: sqlite3.Connection, chunks: Iterable[int]) -> dict[int, Candidate]:
    """What the reranker has to know of these chunks, in this order."""
    order = list(chunks)
    rows = database.execute(
        "SELECT id, kind, names, hash FROM chunks WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(order),)
    )
    found = {row[0]: Candidate(*row[1:]) for row in rows}
    return {chunk: found[chunk] for chunk in order if chunk in found}


def _names_by_chunk(outline: Outline) -> list[list[str]]:
    """The names that each chunk defines."""
    ends = [chunk.end_line for chunk in outline.chunks]
    found: list[list[str]] = [[] for _ in ends]
    for symbol in outline.symbols:
        place = bisect_left(ends, symbol.line)
        if place < len(ends) and outline.chunks[place].start_line <= symbol.line:
            found[place].append(symbol.name)
    return found


def _words_of(text: str, names: str, path: str) -> tuple[str, str, str]:
    """The three indexed columns; the same again when a row is removed, which a table without content asks for."""
    return spelled(text), spelled(names), spelled(path)


def _storable(text: str) -> str:
    """The text without lone surrogates, which SQLite cannot hold."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
