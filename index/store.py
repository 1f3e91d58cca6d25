"""The index of one workspace in one SQLite file: files, chunks, symbols, words, embeddings.

SQLite is the truth for everything but the files themselves. Chunks are known by a hash of what the embedding model
reads, so that a chunk that moved, was renamed or came back with a branch is never embedded twice.

Always: one process writes (whoever holds `lock()`), any number read, and a process killed at any moment leaves a
database that opens and is consistent. A database of another version, or a broken one, is thrown away by the next
writer: it is a cache.
"""

import hashlib
import json
import os
import sqlite3
import time
import uuid
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unicodedata import unidata_version

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from index.chunks import Outline
from index.files import File
from index.records import Chunk, Hit, Match, Symbol
from index.words import words
from inkling.errors import UserError
from inkling.folders import index_folder

VERSION = 1
SPARE_EMBEDDINGS = 20_000  # of chunks that are gone now: kept for the next branch switch

_SCHEMA = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value ANY) STRICT;
CREATE TABLE files (
  id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, language TEXT NOT NULL,
  size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, hash BLOB NOT NULL
) STRICT;
CREATE TABLE chunks (
  id INTEGER PRIMARY KEY, file INTEGER NOT NULL REFERENCES files (id) ON DELETE CASCADE, hash BLOB NOT NULL,
  kind TEXT NOT NULL, name TEXT NOT NULL, scope TEXT NOT NULL, start_line INTEGER NOT NULL, end_line INTEGER NOT NULL,
  text TEXT NOT NULL, header TEXT NOT NULL, names TEXT NOT NULL
) STRICT;
CREATE INDEX chunks_file ON chunks (file, start_line);
CREATE INDEX chunks_hash ON chunks (hash);
CREATE TABLE symbols (
  id INTEGER PRIMARY KEY, file INTEGER NOT NULL REFERENCES files (id) ON DELETE CASCADE, name TEXT NOT NULL,
  folded TEXT NOT NULL, kind TEXT NOT NULL, scope TEXT NOT NULL, line INTEGER NOT NULL, start INTEGER NOT NULL,
  end INTEGER NOT NULL
) STRICT;
CREATE INDEX symbols_file ON symbols (file);
CREATE INDEX symbols_folded ON symbols (folded);
CREATE TABLE embeddings (
  id INTEGER PRIMARY KEY AUTOINCREMENT, hash BLOB NOT NULL, model TEXT NOT NULL, vector BLOB NOT NULL,
  UNIQUE (model, hash)
) STRICT;
CREATE VIRTUAL TABLE words USING fts5 (
  text, names, path, content='', tokenize="unicode61 remove_diacritics 2 tokenchars '_'"
);
CREATE VIRTUAL TABLE vocabulary USING fts5vocab (words, row);
"""


class IndexBusyError(UserError):
    """Another process is building this index."""


class IndexBrokenError(UserError):
    """The index cannot be opened, nor made anew."""


@dataclass(frozen=True)
class Known:
    """What the index knows about a file without reading it again."""

    id: int
    size: int
    mtime_ns: int
    hash: bytes


def database_path(root: Path) -> Path:
    """Where the index of the workspace at `root` lies."""
    key = hashlib.sha256(os.fsencode(os.path.realpath(root))).hexdigest()[:20]
    return index_folder() / f"{key}.sqlite"


def lock(root: Path) -> FileLock:
    """Take the right to write the index of `root`. Raises IndexBusyError at once if another process has it."""
    path = database_path(root)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        taken = FileLock(path.with_suffix(".lock"))
        taken.acquire(timeout=0)
    except Timeout as error:
        raise IndexBusyError(
            f"The index of {root} is being built by another process (an open editor, or `inkling index`). "
            "Searching works meanwhile; to build it here, close the other one first."
        ) from error
    except OSError as error:
        raise IndexBrokenError(
            f"Expected to write the index at {path}, but: {error}. "
            "Make the folder writable, or set INKLING_HOME to another one."
        ) from error
    return taken


def text_to_embed(header: str, text: str) -> str:
    """What the embedding model reads of a chunk."""
    return f"{header}\n{text}" if header else text


def content_hash(chunk: Chunk) -> bytes:
    """16 bytes that name what the embedding model reads of a chunk."""
    return hashlib.sha256(text_to_embed(chunk.header, chunk.text).encode("utf-8", "replace")).digest()[:16]


class Store:
    """An open index. Make one with `Store.reader` or `Store.writer`; not to be used by two threads at once."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self.database = connection
        self._inode = path.stat().st_ino

    @classmethod
    def reader(cls, root: Path) -> "Store | None":
        """The index of `root`, for reading; None while there is none of our version."""
        path = database_path(root)
        if not path.exists():
            return None
        connection = None
        try:
            connection = _connect(path, "rw")  # a reader of a WAL database needs its shared memory file
            if connection.execute("PRAGMA user_version").fetchone()[0] == VERSION:
                connection.execute("PRAGMA query_only = ON")
                return cls(path, connection)
        except (sqlite3.DatabaseError, OSError):
            pass  # the next writer makes it anew
        if connection is not None:
            connection.close()
        return None

    @classmethod
    def writer(cls, root: Path) -> "Store":
        """The index of `root`, for writing; the caller holds `lock(root)`."""
        path = database_path(root)
        if path.exists():
            connection = None
            try:
                connection = _connect(path, "rw")
                healthy = connection.execute("PRAGMA user_version").fetchone()[0] == VERSION
                healthy = healthy and connection.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok"
                store = cls(path, connection)
                # Words are removed by finding them again: that takes the same tables.
                if healthy and store.fact("unicode") == unidata_version:
                    return store
            except sqlite3.DatabaseError:
                pass  # broken: made anew below
            if connection is not None:
                connection.close()
        return cls._made_anew(root, path)

    @classmethod
    def _made_anew(cls, root: Path, path: Path) -> "Store":
        """An empty index, built beside the old one and moved into its place in one step."""
        draft = path.with_suffix(".new")
        try:
            for old in (draft, *(path.with_name(path.name + ending) for ending in ("-wal", "-shm", ""))):
                old.unlink(missing_ok=True)
            with closing(sqlite3.connect(draft, isolation_level=None)) as connection:
                connection.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")
                facts: dict[str, Any] = {"root": str(root), "epoch": uuid.uuid4().hex, "generation": 0, "built": 0.0}
                facts["unicode"] = unidata_version
                connection.executemany("INSERT INTO facts VALUES (?, ?)", facts.items())
            draft.replace(path)
            return cls(path, _connect(path, "rw"))
        except (OSError, sqlite3.Error) as error:
            raise IndexBrokenError(
                f"Expected to make the index at {path}, but: {error}. "
                "Free some space or make the folder writable, or set INKLING_HOME to another one."
            ) from error

    def close(self) -> None:
        """Close the database."""
        self.database.close()

    def replaced(self) -> bool:
        """True if another process has made the database anew, so that this one reads a file nobody else sees."""
        try:
            return self.path.stat().st_ino != self._inode
        except OSError:
            return True

    def fact(self, name: str) -> Any:
        """One of the facts: root; built (time of the last write); generation (counts writes); epoch (changes when
        embeddings were removed); unicode (the tables that words were found with)."""
        row = self.database.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def known(self) -> dict[str, Known]:
        """Every file in the index."""
        rows = self.database.execute("SELECT path, id, size, mtime_ns, hash FROM files")
        return {path: Known(*rest) for path, *rest in rows}

    def put(self, entries: Sequence[tuple[File, bytes, str, Outline]], touched: Sequence[File] = ()) -> None:
        """In one transaction: (file, hash of its bytes, language, outline) replace what was known of these files, and
        `touched` files get their new size and time."""
        with self.database:
            self.database.execute("BEGIN IMMEDIATE")
            for file in touched:
                change = (file.size, file.mtime_ns, file.path)
                self.database.execute("UPDATE files SET size = ?, mtime_ns = ? WHERE path = ?", change)
            for file, digest, language, outline in entries:
                self._forget(file.path)
                row = (file.path, language, file.size, file.mtime_ns, digest)
                added = self.database.execute(
                    "INSERT INTO files (path, language, size, mtime_ns, hash) VALUES (?, ?, ?, ?, ?)", row
                )
                assert added.lastrowid is not None
                self._insert(added.lastrowid, outline)
            self._changed()

    def remove(self, paths: Iterable[str]) -> None:
        """Forget these files, in one transaction. Their embeddings stay for a while."""
        with self.database:
            self.database.execute("BEGIN IMMEDIATE")
            for path in paths:
                self._forget(path)
            self._changed()

    def _forget(self, path: str) -> None:
        rows = self.database.execute(
            "SELECT c.id, c.text, c.names, f.path FROM chunks c JOIN files f ON f.id = c.file WHERE f.path = ?", (path,)
        ).fetchall()
        gone = [("delete", number, *_words_of(text, names, name)) for number, text, names, name in rows]
        self.database.executemany("INSERT INTO words (words, rowid, text, names, path) VALUES (?, ?, ?, ?, ?)", gone)
        self.database.execute("DELETE FROM files WHERE path = ?", (path,))

    def _insert(self, file: int, outline: Outline) -> None:
        for chunk in outline.chunks:
            names = " ".join([chunk.scope, chunk.name, *_names_in(chunk, outline.symbols)])
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

    def missing(self, model: str) -> list[bytes]:
        """Content hashes that have no embedding by `model`, those of recently changed files first."""
        rows = self.database.execute(
            "SELECT c.hash FROM chunks c JOIN files f ON f.id = c.file "
            "LEFT JOIN embeddings e ON e.hash = c.hash AND e.model = ? WHERE e.id IS NULL "
            "GROUP BY c.hash ORDER BY max(f.mtime_ns) DESC",
            (model,),
        )
        return [row[0] for row in rows]

    def texts(self, hashes: Sequence[bytes]) -> list[tuple[bytes, str]]:
        """(hash, text to embed) of those chunks that are still there."""
        marks = ", ".join("?" * len(hashes))
        rows = self.database.execute(
            f"SELECT hash, header, text FROM chunks WHERE hash IN ({marks}) GROUP BY hash", list(hashes)
        )
        return [(digest, text_to_embed(header, text)) for digest, header, text in rows]

    def put_embeddings(self, model: str, hashes: Sequence[bytes], vectors: NDArray[np.float32]) -> None:
        """Keep one vector per content hash, in one transaction, as float16."""
        blobs = [vector.astype("<f2").tobytes() for vector in vectors]
        with self.database:
            self.database.execute("BEGIN IMMEDIATE")
            self.database.executemany(
                "INSERT OR IGNORE INTO embeddings (hash, model, vector) VALUES (?, ?, ?)",
                [(digest, model, blob) for digest, blob in zip(hashes, blobs, strict=True)],
            )
            self._changed()

    def embeddings_after(self, model: str, last: int) -> tuple[list[int], NDArray[np.float32]]:
        """Ids above `last` in order and their vectors, float32 (n, dimension); (0, 0) if there are none."""
        rows = self.database.execute(
            "SELECT id, vector FROM embeddings WHERE model = ? AND id > ? ORDER BY id", (model, last)
        ).fetchall()
        if not rows:
            return [], np.zeros((0, 0), dtype=np.float32)
        vectors = np.frombuffer(b"".join(row[1] for row in rows), dtype="<f2").astype(np.float32)
        return [row[0] for row in rows], vectors.reshape(len(rows), -1)

    def prune(self, model: str, spare: int = SPARE_EMBEDDINGS) -> int:
        """Remove embeddings by other models, and the oldest of chunks that are gone beyond `spare`; how many."""
        with self.database:
            self.database.execute("BEGIN IMMEDIATE")
            removed = self.database.execute("DELETE FROM embeddings WHERE model <> ?", (model,)).rowcount
            removed += self.database.execute(
                "DELETE FROM embeddings WHERE id IN (SELECT e.id FROM embeddings e WHERE NOT EXISTS "
                "(SELECT 1 FROM chunks c WHERE c.hash = e.hash) ORDER BY e.id DESC LIMIT -1 OFFSET ?)",
                (spare,),
            ).rowcount
            if removed:
                self.database.execute("UPDATE facts SET value = ? WHERE name = 'epoch'", (uuid.uuid4().hex,))
                self._changed()
        return removed

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


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    """A connection in autocommit: transactions are begun by name. Threads take turns (the caller sees to it)."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=10, isolation_level=None, check_same_thread=False
    )
    try:
        for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON", "busy_timeout = 10000"):
            connection.execute(f"PRAGMA {pragma}")
    except sqlite3.DatabaseError:
        connection.close()
        raise
    return connection


def _names_in(chunk: Chunk, symbols: Iterable[Symbol]) -> list[str]:
    return [each.name for each in symbols if chunk.start_line <= each.line <= chunk.end_line]


def _words_of(text: str, names: str, path: str) -> tuple[str, str, str]:
    """The three indexed columns; the same again when a row is removed, which a table without content asks for."""
    return " ".join(words(text)), " ".join(words(names)), " ".join(words(path))


def _storable(text: str) -> str:
    """The text without lone surrogates, which SQLite cannot hold."""
    return text.encode("utf-8", "replace").decode("utf-8")
