"""Vectors of every text that was ever embedded on this machine, and its parts (`index.late`), by hash and model.

All workspaces share it, so that what one branch, worktree or clone has embedded is never embedded again. It knows no
chunks and no files, and finds nothing near: that is `index.vectors`. Several processes write at once and take turns.

Always: it may lose vectors (the least recently used beyond `MOST_VECTORS`, but none that was used today, or all of them
if its file is damaged, which is put aside then), and whoever asks for them embeds again.
"""

import contextlib
import os
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from index.database import connect, is_damage, is_ours_to_replace, put_aside, refused, remove_database
from inkling.folders import index_folder

T = TypeVar("T")

MOST_VECTORS = 250_000  # about 600 MB
VERSION = 2
_BATCH = 500
_DAY = 86_400
_TABLE = """
CREATE TABLE vectors (
  id INTEGER PRIMARY KEY, hash BLOB NOT NULL, model TEXT NOT NULL, day INTEGER NOT NULL, vector BLOB NOT NULL,
  parts BLOB, UNIQUE (hash, model)
) STRICT;
CREATE INDEX vectors_day ON vectors (day);
"""


class VectorCache:
    """An open cache. Not to be used by two threads at once. `note` says if its file was damaged.

    Every method raises IndexFullError and IndexBrokenError where the system refuses the file.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or index_folder() / "vectors.sqlite"
        self.note = ""
        self._database: sqlite3.Connection | None = None
        self._inode = 0

    def close(self) -> None:
        """Let go of the file; the next call opens it again."""
        if self._database is not None:
            self._database.close()
        self._database = None

    @property
    def identity(self) -> str:
        """Another text whenever vectors were lost, and every day: those that were there before have to be asked for
        again, which is also what counts as using them."""
        number = self._tried(lambda database: database.execute("PRAGMA application_id").fetchone()[0], 0)
        return f"{number} {_today()}"

    def among(self, model: str, hashes: Sequence[bytes]) -> set[bytes]:
        """Those of the hashes that have a vector. They count as used today."""

        def ask(database: sqlite3.Connection) -> set[bytes]:
            found: set[bytes] = set()
            today = _today()
            for batch in _batches(hashes):
                marks = ", ".join("?" * len(batch))
                rows = database.execute(
                    f"SELECT hash FROM vectors WHERE model = ? AND hash IN ({marks})", (model, *batch)
                ).fetchall()
                found |= {row[0] for row in rows}
                old = f"UPDATE vectors SET day = ? WHERE model = ? AND hash IN ({marks}) AND day < ?"
                database.execute(old, (today, model, *batch, today))
            return found

        return self._tried(ask, set())

    def get(self, model: str, hashes: Sequence[bytes]) -> dict[bytes, NDArray[np.float16]]:
        """Vectors of those hashes that have one, float16 (dimension,)."""
        return {digest: np.frombuffer(blob, dtype="<f2") for digest, blob in self._column("vector", model, hashes)}

    def parts(self, model: str, hashes: Sequence[bytes]) -> dict[bytes, NDArray[np.int8]]:
        """Parts of those hashes that have some, one after the other: int8 (parts * dimension,)."""
        return {digest: np.frombuffer(blob, dtype=np.int8) for digest, blob in self._column("parts", model, hashes)}

    def _column(self, name: str, model: str, hashes: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
        def ask(database: sqlite3.Connection) -> list[tuple[bytes, bytes]]:
            found: list[tuple[bytes, bytes]] = []
            for batch in _batches(hashes):
                marks = ", ".join("?" * len(batch))
                rows = database.execute(
                    f"SELECT hash, {name} FROM vectors WHERE model = ? AND hash IN ({marks}) AND {name} IS NOT NULL",
                    (model, *batch),
                )
                found += rows.fetchall()
            return found

        return self._tried(ask, [])

    def put(
        self,
        model: str,
        hashes: Sequence[bytes],
        vectors: NDArray[np.float32],
        parts: Sequence[NDArray[np.int8]] | None = None,
    ) -> None:
        """Keep one vector per hash as float16, and its parts if there are any, in one transaction."""
        day = _today()
        blobs = [None] * len(hashes) if parts is None else [one.tobytes() for one in parts]
        rows = [
            (digest, model, day, vector.astype("<f2").tobytes(), blob)
            for digest, vector, blob in zip(hashes, vectors, blobs, strict=True)
        ]

        insertion = "INSERT OR IGNORE INTO vectors (hash, model, day, vector, parts) VALUES (?, ?, ?, ?, ?)"

        def insert(database: sqlite3.Connection) -> bool:
            with database:
                database.execute("BEGIN IMMEDIATE")
                database.executemany(insertion, rows)
            return True

        if not self._tried(insert, False) and not self._tried(insert, False):  # the second time into a new file
            raise refused(self.path, sqlite3.DatabaseError("it is damaged"))

    def prune(self, most: int = MOST_VECTORS) -> int:
        """Remove the least recently used vectors beyond `most`, but none that was used today; how many."""

        def remove(database: sqlite3.Connection) -> int:
            held = int(database.execute("SELECT count(*) FROM vectors").fetchone()[0])
            if held <= most:
                return 0
            with database:
                database.execute("BEGIN IMMEDIATE")
                oldest = "SELECT id FROM vectors WHERE day < ? ORDER BY day LIMIT ?"
                delete = f"DELETE FROM vectors WHERE id IN ({oldest})"
                gone = database.execute(delete, (_today(), held - most)).rowcount
                if gone:
                    database.execute(f"PRAGMA application_id = {_fresh()}")
                return gone

        return self._tried(remove, 0)

    def _tried(self, work: Callable[[sqlite3.Connection], T], absent: T) -> T:
        """What `work` makes of the open file; `absent` if that turns out to be damaged."""
        try:
            return work(self._opened())
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise refused(self.path, error) from error
            self._put_aside()
            return absent

    def _put_aside(self) -> None:
        """Close a damaged file and move it out of the way, unless another process has done that already, or has it open
        where that cannot be done."""
        self.close()
        with contextlib.suppress(OSError), self._turn():
            if self.path.stat().st_ino == self._inode:
                self._move_aside()

    def _move_aside(self) -> None:
        aside = put_aside(self.path)
        self.note = f"The vectors in {self.path} were damaged; they are made anew. What was there is kept as {aside}."

    def _turn(self) -> FileLock:
        """Whoever holds it may put another file into this place."""
        return FileLock(self.path.with_suffix(".lock"))

    def _opened(self) -> sqlite3.Connection:
        if self._database is not None and self._replaced():
            self.close()
        if self._database is None:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                with self._turn():
                    self._database = self._usable() or self._made_anew()
                    self._inode = self.path.stat().st_ino
            except (OSError, sqlite3.Error) as error:
                raise refused(self.path, error) from error
        return self._database

    def _replaced(self) -> bool:
        """Whether another process has put the file aside, or somebody has removed it."""
        try:
            return self.path.stat().st_ino != self._inode
        except OSError:
            return True

    def _usable(self) -> sqlite3.Connection | None:
        """The file if it is whole and of our version. A damaged one is put aside; one that the system refuses stays."""
        if not self.path.exists():
            return None
        database = None
        try:
            database = connect(self.path)
            if database.execute("PRAGMA user_version").fetchone()[0] == VERSION:
                database.execute("SELECT count(*) FROM (SELECT 1 FROM vectors LIMIT 1)").fetchone()
                return database
            database.close()
        except sqlite3.DatabaseError as error:
            if database is not None:
                database.close()
            if not is_ours_to_replace(error):
                raise
            self._move_aside()
        return None

    def _made_anew(self) -> sqlite3.Connection:
        """An empty one, made beside its place: what is there is lost only once there is another."""
        draft = self.path.with_suffix(".new")
        remove_database(draft)
        os.close(os.open(draft, os.O_CREAT | os.O_RDWR, 0o600))
        with contextlib.closing(sqlite3.connect(draft, isolation_level=None)) as database:  # nothing is left beside it
            database.executescript(
                f"BEGIN; {_TABLE} PRAGMA user_version = {VERSION}; PRAGMA application_id = {_fresh()}; COMMIT;"
            )
        remove_database(self.path)
        draft.replace(self.path)
        return connect(self.path)


def _today() -> int:
    """Days since 1970."""
    return int(time.time()) // _DAY


def _fresh() -> int:
    return secrets.randbelow(1 << 31)


def _batches(hashes: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    for start in range(0, len(hashes), _BATCH):
        yield hashes[start : start + _BATCH]
