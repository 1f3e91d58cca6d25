"""The database file of an index: where it lies, who may write it, and how it is opened, migrated or made anew.

Always: one process writes (whoever holds `lock()`), any number read. An index can be made again from its folder, so a
database that is broken or of another version is put aside by the next writer, one per workspace, and a new one takes
its place in one step. What the tables mean is not known here.
"""

import contextlib
import errno
import hashlib
import os
import shutil
import sqlite3
import uuid
from contextlib import closing
from pathlib import Path
from typing import Any
from unicodedata import unidata_version

from filelock import FileLock, Timeout

from inkling.errors import UserError
from inkling.folders import index_folder

REVISION = "0002"  # the newest step in `migrations/`
# Counts up with a change of which files have text and how they become chunks, definitions and words: what is indexed
# is made anew then.
CUT = 2
ENDINGS = ("", "-journal", "-wal", "-shm")
# What SQLite says where the disk or a user's share of it has no room: of a share it only learns that writing failed.
_FULL = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE})
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
_LEAST_ROOM = 1_000_000  # bytes; with less, whatever fails does so for want of room


class IndexBusyError(UserError):
    """Another process is building this index."""


class IndexBrokenError(UserError):
    """The index cannot be opened, nor made anew."""


class IndexFullError(IndexBrokenError):
    """The disk has no room for the index. What was written before is still there."""


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
        raise refused(path, error) from error
    return taken


def remove_index(root: Path) -> None:
    """Remove everything that is kept about the workspace at `root`; nobody may be using it."""
    path = database_path(root)
    for file in path.parent.glob(f"{path.stem}.*"):
        file.unlink(missing_ok=True)


def open_to_read(path: Path) -> tuple[sqlite3.Connection, bool] | None:
    """A connection that cannot write, and whether it is frozen: where a disk without room refuses what readers share
    with a writer, the file is read as it lies there, for one look. None while there is no database of our version."""
    if not path.exists():
        return None
    for frozen in (False, True):
        if frozen and _unfinished(path):
            break
        connection = None
        try:
            connection = _as_it_lies(path) if frozen else connect(path)
            if _revision(connection) == REVISION:
                connection.execute("PRAGMA query_only = ON")
                return connection, frozen
        except (sqlite3.DatabaseError, OSError) as error:
            if is_damage(error):
                doubt(path)
        if connection is not None:
            connection.close()
    return None


def doubt(path: Path) -> None:
    """Say that this database is damaged: the writer makes it anew, and readers let go of it."""
    with contextlib.suppress(OSError):
        _doubt(path).touch()


def is_doubted(path: Path) -> bool:
    """Whether that was said, and nobody has made it anew since."""
    return _doubt(path).exists()


def open_to_write(root: Path, whole: int = 0) -> tuple[sqlite3.Connection, str]:
    """The database of `root` for the holder of its lock, and a sentence for a person if it had to be made anew.

    `whole` is the inode of a file that was found whole before: it is not read from end to end again.
    """
    path = database_path(root)
    if not path.exists():
        return _made_anew(root, path), ""
    note = f"The index of {root} was damaged; it is made anew. What was there is kept as {_aside(path)}."
    connection = None
    try:
        if not is_doubted(path):
            connection = connect(path)
            if path.stat().st_ino == whole or _is_whole(connection):
                if _revision(connection) == REVISION and _cut_alike(connection):
                    _touch(path)
                    return connection, ""
                note = ""  # of another version: nothing is wrong with it
    except sqlite3.DatabaseError as error:
        if not is_ours_to_replace(error):
            if connection is not None:
                connection.close()
            raise refused(path, error) from error
    if connection is not None:
        connection.close()
    return _made_anew(root, path, keep=bool(note)), note


def remove_database(path: Path) -> None:
    """A database, and then what SQLite keeps beside it: nobody sees the one without the other. Raises OSError."""
    for ending in ENDINGS:
        path.with_name(path.name + ending).unlink(missing_ok=True)


def connect(path: Path) -> sqlite3.Connection:
    """A connection in autocommit: transactions are begun by name. Threads take turns (the caller sees to it)."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=10, isolation_level=None, check_same_thread=False
    )
    try:
        for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON", "busy_timeout = 10000"):
            connection.execute(f"PRAGMA {pragma}")
    except sqlite3.DatabaseError:
        connection.close()
        raise
    return connection


def refused(path: Path, error: Exception) -> IndexBrokenError:
    """What to say where the system refuses to open or to write a file of the index that may be whole."""
    if is_full(error) or _room(path) < _LEAST_ROOM:
        return IndexFullError(
            f"The disk has no room for the index {path}. Free some space, or index less (`index.maxFiles`, "
            ".gitignore); what is indexed already can be searched."
        )
    return IndexBrokenError(
        f"Expected to write the index at {path}, but: {error}. "
        "Free some space or make the folder writable, or set INKLING_HOME to another one."
    )


def is_full(error: Exception) -> bool:
    """Whether this error means that the disk has no room."""
    if isinstance(error, OSError):
        return error.errno in _NO_ROOM
    return isinstance(error, sqlite3.OperationalError) and _code(error) in _FULL


def is_damage(error: Exception) -> bool:
    """Whether this error means that the file is not as it was written."""
    return isinstance(error, sqlite3.DatabaseError) and _code(error) & 0xFF in _DAMAGED


def is_ours_to_replace(error: Exception) -> bool:
    """The same, or that tables are missing; else something is in the way of a file that may be whole."""
    return is_damage(error) or (isinstance(error, sqlite3.DatabaseError) and _code(error) == sqlite3.SQLITE_ERROR)


def _code(error: sqlite3.DatabaseError) -> int:
    """SQLite's code, with its details; a text that is no UTF-8 is Python's to find, and has none."""
    unreadable = sqlite3.SQLITE_CORRUPT if "decode" in str(error) else sqlite3.SQLITE_ERROR
    return getattr(error, "sqlite_errorcode", unreadable)


def _room(path: Path) -> int:
    """Bytes that are free where `path` lies."""
    try:
        return shutil.disk_usage(path.parent).free
    except OSError:
        return _LEAST_ROOM


def _as_it_lies(path: Path) -> sqlite3.Connection:
    where = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
    return sqlite3.connect(where, uri=True, isolation_level=None, check_same_thread=False)


def _unfinished(path: Path) -> bool:
    """Whether some of what was written lies beside the file."""
    try:
        return path.with_name(path.name + "-wal").stat().st_size > 0
    except OSError:
        return False


def _is_whole(connection: sqlite3.Connection) -> bool:
    """Reads everything: of 100,000 chunks in a second and a half. SQLite's own check does not look into the words."""
    if connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
        return False
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'words'").fetchone():
        connection.execute("INSERT INTO words (words) VALUES ('integrity-check')")
    return True


def put_aside(path: Path) -> Path:
    """Move a damaged file out of the way; where it is now, as new as the damage. Raises OSError."""
    aside = _aside(path)
    path.replace(aside)
    _touch(aside)
    return aside


def _aside(path: Path) -> Path:
    return path.with_suffix(".broken")


def _doubt(path: Path) -> Path:
    return path.with_suffix(".damaged")


def _touch(path: Path) -> None:
    """It is needed still (see `index.housekeeping`)."""
    with contextlib.suppress(OSError):
        os.utime(path)


def _revision(connection: sqlite3.Connection) -> str | None:
    """The step that the database is at; None if it is none of ours."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone():
        return None
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return row[0] if row else None


def _cut_alike(connection: sqlite3.Connection) -> bool:
    """Whether files would be cut now as they were then. Words are removed by finding them again, which also takes the
    same tables of characters."""
    facts = dict(connection.execute("SELECT name, value FROM facts").fetchall())
    return all(facts.get(name) == value for name, value in _rules().items())


def _rules() -> dict[str, Any]:
    """What decides how files are cut and words are found."""
    from index.grammars import installed

    return {"unicode": unidata_version, "cut": CUT, "grammars": installed()}


def _made_anew(root: Path, path: Path, keep: bool = False) -> sqlite3.Connection:
    """An empty index, built beside the old one and moved into its place in one step."""
    draft = path.with_suffix(".new")
    try:
        remove_database(draft)
        _migrate(draft)
        with closing(sqlite3.connect(draft, isolation_level=None)) as connection:
            named = os.fsencode(root).decode("utf-8", "replace")
            facts: dict[str, Any] = {
                "root": named,
                "epoch": uuid.uuid4().hex,
                "generation": 0,
                "chunks": 0,
                "built": 0.0,
            }
            facts |= _rules()
            connection.executemany("INSERT INTO facts VALUES (?, ?)", facts.items())
        if path.exists():
            doubt(path)  # readers let go of it, which Windows waits for
        if keep:
            put_aside(path)
        remove_database(path)
        draft.replace(path)
        _doubt(path).unlink(missing_ok=True)
        return connect(path)
    except PermissionError as error:
        if os.name != "nt":
            raise refused(path, error) from error
        raise IndexBusyError(f"The index {path} is to be made anew, but another process reads it.") from error
    except (OSError, sqlite3.Error) as error:
        raise refused(path, error) from error


def _migrate(path: Path) -> None:
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine
    from sqlalchemy.engine import URL
    from sqlalchemy.exc import DatabaseError

    config = Config()
    folder = Path(__file__).resolve().parent / "migrations"
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    engine = create_engine(URL.create("sqlite", database=str(path)))
    try:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except DatabaseError as error:
        raise (error.orig if isinstance(error.orig, sqlite3.Error) else OSError(str(error))) from error
    finally:
        engine.dispose()
