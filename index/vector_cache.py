"""Vectors of every text that was ever embedded on this machine, by the hash of the text and the model.

All workspaces share it, so that what one branch, worktree or clone has embedded is never embedded again. It knows no
chunks and no files, and finds nothing near: that is `index.vectors`. Several processes write at once and take turns.

Always: it may lose vectors (the least recently used beyond `MOST_VECTORS`, or all of them if its file is damaged), and
whoever asks for them then embeds again.
"""

import os
import secrets
import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from index.database import ENDINGS, IndexFullError, broken, connect, is_full
from inkling.folders import index_folder

MOST_VECTORS = 500_000  # about 450 MB
VERSION = 1
_BATCH = 500
_DAY = 86_400
_TABLE = """
CREATE TABLE vectors (
  model TEXT NOT NULL, hash BLOB NOT NULL, day INTEGER NOT NULL, vector BLOB NOT NULL, PRIMARY KEY (model, hash)
) STRICT, WITHOUT ROWID;
CREATE INDEX vectors_day ON vectors (day);
"""


class VectorCache:
    """An open cache. Not to be used by two threads at once."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or index_folder() / "vectors.sqlite"
        self._database: sqlite3.Connection | None = None

    def close(self) -> None:
        """Let go of the file; the next call opens it again."""
        if self._database is not None:
            self._database.close()
        self._database = None

    @property
    def identity(self) -> int:
        """Another number whenever vectors were lost: those that were there before have to be asked for again."""
        return int(self._opened().execute("PRAGMA application_id").fetchone()[0])

    def among(self, model: str, hashes: Sequence[bytes]) -> set[bytes]:
        """Those of the hashes that have a vector. They count as used today."""
        found: set[bytes] = set()
        database = self._opened()
        for batch in _batches(hashes):
            marks = ", ".join("?" * len(batch))
            rows = database.execute(
                f"SELECT hash FROM vectors WHERE model = ? AND hash IN ({marks})", (model, *batch)
            ).fetchall()
            found |= {row[0] for row in rows}
            old = f"UPDATE vectors SET day = ? WHERE model = ? AND hash IN ({marks}) AND day < ?"
            today = int(time.time()) // _DAY
            database.execute(old, (today, model, *batch, today))
        return found

    def get(self, model: str, hashes: Sequence[bytes]) -> dict[bytes, NDArray[np.float16]]:
        """Vectors of those hashes that have one, float16 (dimension,)."""
        found: dict[bytes, NDArray[np.float16]] = {}
        for batch in _batches(hashes):
            marks = ", ".join("?" * len(batch))
            rows = self._opened().execute(
                f"SELECT hash, vector FROM vectors WHERE model = ? AND hash IN ({marks})", (model, *batch)
            )
            found |= {digest: np.frombuffer(blob, dtype="<f2") for digest, blob in rows}
        return found

    def put(self, model: str, hashes: Sequence[bytes], vectors: NDArray[np.float32]) -> None:
        """Keep one vector per hash, in one transaction, as float16. Raises IndexFullError."""
        day = int(time.time()) // _DAY
        rows = [
            (model, digest, day, vector.astype("<f2").tobytes()) for digest, vector in zip(hashes, vectors, strict=True)
        ]
        database = self._opened()
        try:
            with database:
                database.execute("BEGIN IMMEDIATE")
                database.executemany("INSERT OR IGNORE INTO vectors VALUES (?, ?, ?, ?)", rows)
        except sqlite3.OperationalError as error:
            if is_full(error):
                raise IndexFullError(
                    f"The disk has no room for the vectors in {self.path}. Free some space."
                ) from error
            raise

    def prune(self, most: int = MOST_VECTORS) -> int:
        """Remove the least recently used vectors beyond `most`; how many."""
        database = self._opened()
        held = int(database.execute("SELECT count(*) FROM vectors").fetchone()[0])
        if held <= most:
            return 0
        with database:
            database.execute("BEGIN IMMEDIATE")
            database.execute(f"PRAGMA application_id = {_fresh()}")
            return database.execute(
                "DELETE FROM vectors WHERE (model, hash) IN (SELECT model, hash FROM vectors ORDER BY day LIMIT ?)",
                (held - most,),
            ).rowcount

    def _opened(self) -> sqlite3.Connection:
        if self._database is None:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                with FileLock(self.path.with_suffix(".lock")):
                    self._database = self._usable() or self._made_anew()
            except (OSError, sqlite3.Error) as error:
                raise broken(self.path, error) from error
        return self._database

    def _usable(self) -> sqlite3.Connection | None:
        if not self.path.exists():
            return None
        database = None
        try:
            database = connect(self.path)
            if database.execute("PRAGMA user_version").fetchone()[0] == VERSION:
                database.execute("SELECT count(*) FROM (SELECT 1 FROM vectors LIMIT 1)").fetchone()
                return database
        except sqlite3.DatabaseError:
            pass
        if database is not None:
            database.close()
        return None

    def _made_anew(self) -> sqlite3.Connection:
        for ending in ENDINGS:
            self.path.with_name(self.path.name + ending).unlink(missing_ok=True)
        os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
        database = connect(self.path)
        database.executescript(
            f"BEGIN; {_TABLE} PRAGMA user_version = {VERSION}; PRAGMA application_id = {_fresh()}; COMMIT;"
        )
        return database


def _fresh() -> int:
    return secrets.randbelow(1 << 31)


def _batches(hashes: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    for start in range(0, len(hashes), _BATCH):
        yield hashes[start : start + _BATCH]
