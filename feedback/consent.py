"""What a person allowed to be written down, per workspace: nothing (`off`) until they chose.

Consent lives in the database's own table, so that every process sees the same. Reading never creates a database:
without one the answer is `off`. Reading is cheap enough for every keystroke: the answers are kept and read again
only when the database's files changed, which is looked at not more often than every `fresh` seconds.
"""

import threading
import time
from enum import Enum
from pathlib import Path

from sqlalchemy import Engine, delete, select

from feedback.database import Place, database_file, find_database, insert_once, open_database, write
from feedback.schema import consents
from inkling.folders import feedback_database

_Stamp = tuple[tuple[int, int, int] | None, ...]


class Consent(Enum):
    """off: nothing is written. local: kept on this machine. team: also sent to the team's service."""

    OFF = "off"
    LOCAL = "local"
    TEAM = "team"


class Consents:
    """The consents of one database, kept in memory and kept up to date with what other processes choose.

    May be used from several threads. `get` raises DatabaseUnusable where the database cannot be read. No answer goes
    beyond `at_most`, whatever was chosen: that is how an editor's telemetry switch is obeyed.
    """

    def __init__(self, place: Place | None = None, fresh: float = 1.0, at_most: Consent = Consent.TEAM) -> None:
        self.at_most = at_most
        self._place: Place = feedback_database() if place is None else place
        self._file = database_file(self._place)
        self._fresh = fresh
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._values: dict[str, Consent] = {}
        self._stamp: _Stamp | None = None
        self._looked = float("-inf")

    def get(self, root: str | Path) -> Consent:
        """The consent for the workspace with this root folder."""
        with self._lock:
            if time.monotonic() - self._looked >= self._fresh:
                self._refresh()
            return self._bounded(self._values.get(_key(root), Consent.OFF))

    def known(self, root: str | Path) -> Consent:
        """The consent as it was last read: looks at memory only, never at the disk."""
        return self._bounded(self._values.get(_key(root), Consent.OFF))

    def refresh(self) -> None:
        """Read again if the database changed. Raises DatabaseUnusable."""
        with self._lock:
            self._refresh()

    def set(self, root: str | Path, value: Consent) -> None:
        """Choose. Creates the database, unless the choice is `off` and there is none."""
        with self._lock:
            engine = self._find() if value is Consent.OFF else self._open()
            if engine is not None:
                with write(engine).begin() as connection:
                    connection.execute(delete(consents).where(consents.c.workspace == _key(root)))
                    insert_once(
                        connection, consents, {"workspace": _key(root), "value": value.value, "at": time.time()}
                    )
            self._stamp = None
            self._refresh()

    def all(self) -> dict[str, Consent]:
        """Every workspace that somebody chose for, by root."""
        with self._lock:
            self._refresh()
            return {root: self._bounded(value) for root, value in self._values.items()}

    def chosen(self) -> bool:
        """True if somebody chose to record, as it was last read, whatever the bound makes of it."""
        return any(value is not Consent.OFF for value in self._values.values())

    def close(self) -> None:
        with self._lock:
            if self._engine is not None:
                self._engine.dispose()
                self._engine = None

    def _bounded(self, value: Consent) -> Consent:
        order = list(Consent)
        return min(value, self.at_most, key=order.index)

    def _refresh(self) -> None:
        self._looked = time.monotonic()
        stamp = self._look()
        if self._stamp is not None and stamp == self._stamp:
            return
        values: dict[str, Consent] = {}
        engine = self._find()
        if engine is not None:
            with engine.connect() as connection:
                for workspace, value in connection.execute(select(consents.c.workspace, consents.c.value)):
                    values[workspace] = Consent(value)
        self._values = values
        self._stamp = stamp if _past(stamp) else None

    def _look(self) -> _Stamp | None:
        """What changes when another process writes; None where that cannot be told without asking the database."""
        if self._file is None:
            return None
        return tuple(_file_stamp(file) for file in (self._file, self._file.with_name(self._file.name + "-wal")))

    def _find(self) -> Engine | None:
        if self._file is not None and not self._file.exists():  # also when it was deleted under us
            if self._engine is not None:
                self._engine.dispose()
            self._engine = None
        elif self._engine is None:
            self._engine = find_database(self._place)
        return self._engine

    def _open(self) -> Engine:
        engine = self._find()
        if engine is None:
            engine = self._engine = open_database(self._place)
        return engine


def consent(root: str | Path, place: Place | None = None) -> Consent:
    """The consent for one workspace, read once. A server keeps a `Consents` instead."""
    book = Consents(place)
    try:
        return book.get(root)
    finally:
        book.close()


def set_consent(root: str | Path, value: Consent, place: Place | None = None) -> None:
    """Choose for one workspace; a running server sees it within a second."""
    book = Consents(place)
    try:
        book.set(root, value)
    finally:
        book.close()


def list_consents(place: Place | None = None) -> dict[str, Consent]:
    """Every workspace that somebody chose for."""
    book = Consents(place)
    try:
        return book.all()
    finally:
        book.close()


def _key(root: str | Path) -> str:
    """One spelling per folder: no trailing slash. Links are not followed: that would look at the disk."""
    text = str(root)
    return text.rstrip("/\\") or text


def _past(stamp: _Stamp | None) -> bool:
    """True if the files rest. A file that is being written may change again without its time changing."""
    return stamp is not None and all(part is None or part[1] < time.time_ns() - 1_000_000_000 for part in stamp)


def _file_stamp(file: Path) -> tuple[int, int, int] | None:
    try:
        stat = file.stat()
    except FileNotFoundError:
        return None
    return stat.st_ino, stat.st_mtime_ns, stat.st_size
