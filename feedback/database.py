"""Opening the feedback database: the folder, the file's rights, the pragmas, the migrations, and what can go wrong.

Before a migration the file is copied beside itself (`feedback.sqlite.0001.backup`); a version that is newer than this
program is refused, and nothing ever goes back. It knows nothing of what is stored. `open_database` may create a
database, so it is called only once somebody consented or asked for it; `find_database` never creates one. A file that
cannot be read is left as it is. A place is a path, or an SQLAlchemy URL (SQLite or PostgreSQL).
"""

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout
from sqlalchemy import Connection, Engine, Table, create_engine, event, inspect, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, NoSuchModuleError, OperationalError

from feedback.schema import REVISION
from inkling.errors import UserError

if TYPE_CHECKING:
    from alembic.config import Config

BUSY_SECONDS = 5.0
MIGRATION_SECONDS = 60.0
_WAL_RETRY_SECONDS = 0.02
_LOG_BYTES = 32_000_000  # the write-ahead log is cut to this once it was written into the file
_MIGRATION_KEY = 0x1A6B11A6  # any number that nobody else locks in this database

Place = Path | str


class DatabaseUnusable(UserError):  # noqa: N818 - it names a state of the file, and reads as one
    """The database is there but cannot be used: corrupt, of a newer version, not writable, or locked."""


def database_url(place: Place) -> URL:
    """The URL of a place: a path means SQLite."""
    if isinstance(place, str) and "://" in place:
        try:
            url = make_url(place)
            url.get_dialect()
        except (ArgumentError, NoSuchModuleError) as error:
            raise DatabaseUnusable(f"'{place}' is not a database URL that can be used: {error}") from error
        return url
    return URL.create("sqlite", database=str(Path(place).expanduser()))


def database_file(place: Place) -> Path | None:
    """The file of an SQLite database; None for a server, or for a database in memory."""
    url = database_url(place)
    if url.get_backend_name() != "sqlite" or url.database in (None, "", ":memory:"):
        return None
    return Path(str(url.database))


def open_database(place: Place) -> Engine:
    """An engine on the database at `place`, created and migrated where needed.

    Raises DatabaseUnusable with a sentence for people. Never deletes or replaces a file.
    """
    url, file = database_url(place), database_file(place)
    engine = _engine(url)
    try:
        if file is not None:
            _create_private(file)
        if _revision(engine) != REVISION:
            _migrate(engine, file)
    except (DatabaseError, OSError) as error:
        engine.dispose()
        raise _unusable(url, error) from error
    except BaseException:
        engine.dispose()
        raise
    return engine


def find_database(place: Place) -> Engine | None:
    """Like `open_database`, but None where there is no database yet. Never creates a file."""
    file = database_file(place)
    return None if file is not None and not file.exists() else open_database(place)


def insert_once(connection: Connection, table: Table, values: dict[str, Any]) -> bool:
    """Insert a row unless its key is there already (facts are immutable: the first one stays). True if it was new."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    key = next(iter(table.primary_key.columns))
    statement = dialect.insert(table).values(values).on_conflict_do_nothing().returning(key)
    return connection.execute(statement).first() is not None


def write(engine: Engine) -> Engine:
    """The same engine, whose transactions take SQLite's write lock at their start.

    A transaction that reads first and writes later fails at once when another process wrote in between;
    one that starts as a writer waits for its turn (BUSY_SECONDS).
    """
    return engine.execution_options(immediate=True)


def _engine(url: URL) -> Engine:
    """An engine whose errors tell no values: they would bring the user's text into a log."""
    if url.get_backend_name() != "sqlite":
        return create_engine(url, hide_parameters=True)
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS}, hide_parameters=True)
    event.listen(engine, "connect", _on_connect)
    event.listen(engine, "begin", _on_begin)
    return engine


def _on_connect(connection: Any, record: Any) -> None:
    connection.isolation_level = None  # transactions are begun by _on_begin, not guessed by the driver
    _use_wal(connection)
    for pragma in ("synchronous=NORMAL", "foreign_keys=ON", "secure_delete=ON", f"journal_size_limit={_LOG_BYTES}"):
        connection.execute(f"PRAGMA {pragma}").close()


def _use_wal(connection: Any) -> None:
    """Turn on the write-ahead log. SQLite does not wait for its turn to do that, so we do."""
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL").close()
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(_WAL_RETRY_SECONDS)


def _on_begin(connection: Connection) -> None:
    immediate = connection.get_execution_options().get("immediate", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def _create_private(file: Path) -> None:
    """Make the folder (0700) and an empty file (0600) before SQLite does so with wider rights."""
    if not file.parent.exists():
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not file.exists():
        os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))


def _revision(engine: Engine) -> str | None:
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _migrate(engine: Engine, file: Path | None) -> None:
    from alembic import command
    from alembic.script import ScriptDirectory

    config = _alembic_config()
    lock = FileLock(f"{file}.lock", timeout=MIGRATION_SECONDS, mode=0o600) if file is not None else None
    if lock is not None:
        try:
            lock.acquire()
        except Timeout as error:
            raise DatabaseUnusable(
                f"Another process has been preparing {file} for {MIGRATION_SECONDS:.0f} seconds. "
                "End it, or try again when it is done."
            ) from error
    try:
        revision = _revision(engine)  # again: another process may have migrated while we waited
        if revision == REVISION:
            return
        known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
        if revision is not None and revision not in known:
            raise DatabaseUnusable(
                f"The feedback database {engine.url.render_as_string()} was written by a newer Inkling "
                f"(its version is {revision}, this one knows up to {REVISION}). Update Inkling as you "
                'installed it ("Use it" in its README), or point INKLING_HOME at another folder.'
            )
        if file is not None and revision is not None:
            _back_up(file, revision)
        with write(engine).begin() as connection:
            if connection.dialect.name == "postgresql":  # there is no file to lock; waits for its turn
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_KEY})
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    finally:
        if lock is not None:
            lock.release()


def _back_up(file: Path, revision: str) -> None:
    """A copy of the database as it was, beside it; the one of an earlier try stays. Readable by its owner alone."""
    copy = file.with_name(f"{file.name}.{revision}.backup")
    if copy.exists():
        return
    unfinished = file.with_name(f"{copy.name}.part")
    unfinished.unlink(missing_ok=True)
    os.close(os.open(unfinished, os.O_CREAT | os.O_RDWR, 0o600))
    with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(unfinished)) as target:
        source.backup(target)
    unfinished.replace(copy)


def backups(file: Path) -> list[Path]:
    """The copies that were made before migrations: whoever erases must know of them."""
    return sorted(file.parent.glob(f"{file.name}.*.backup"))


def _alembic_config() -> "Config":
    from alembic.config import Config

    config = Config()
    folder = Path(__file__).resolve().parent / "migrations"
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _unusable(url: URL, error: Exception) -> DatabaseUnusable:
    name = url.render_as_string()
    reason = str(getattr(error, "orig", None) or error)
    if "not a database" in reason or "malformed" in reason:
        return DatabaseUnusable(
            f"The feedback database {name} is damaged ({reason}). It was left untouched. "
            "Move it aside to start a new one, or restore it from a backup."
        )
    if isinstance(error, OperationalError) and "locked" in reason:
        return DatabaseUnusable(f"The feedback database {name} is held by another program ({reason}). Try again.")
    return DatabaseUnusable(
        f"The feedback database {name} cannot be opened ({reason}). Check the rights and the free space of its "
        "folder, or point INKLING_HOME at another one."
    )
