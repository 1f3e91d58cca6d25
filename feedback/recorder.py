"""Writes facts down without ever being in the way.

`record` puts a fact into a bounded queue and returns; one thread takes facts out, looks for secrets, and commits
them in batches as soon as it can. What was committed survives a killed process. Consent is looked at twice, when a
fact is recorded and again when it is written: a fact is stored only if both allow it, and with consent `off` no
file is even created. While the database is locked, read-only, full or damaged, facts wait in a bounded journal on
disk (`feedback.journal`) and come first when it is usable again. What is lost all the same is counted, reported once
per kind of trouble, and shown in `status`; it never costs the caller anything.
"""

import logging
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DatabaseError, DataError, IntegrityError, OperationalError, SQLAlchemyError

from feedback.consent import Consent, Consents
from feedback.database import DatabaseUnusable, Place, database_file, open_database, write
from feedback.journal import Journal
from feedback.records import Fact, Settled, Signal, Suggestion
from feedback.retention import Keep, prune
from feedback.store import LineBefore, Prepared, Stored, line_before, prepared, store, workspace_of
from inkling.errors import InklingError

log = logging.getLogger(__name__)

_BATCH = 256
_REMEMBERED = 10_000
_LOCKED_ATTEMPTS = 2  # each waits for the database's busy timeout
_REOPEN_SECONDS = 30.0
_RETRY_SECONDS = 5.0
_REFRESH_SECONDS = 1.0
_PRUNE_SECONDS = 900.0


@dataclass(frozen=True)
class RecorderStatus:
    """How recording goes, in facts. `trouble` is the last thing that went wrong, None while all is well."""

    queued: int
    waiting: int  # in the journal, until the database can be written again
    written: int
    redacted: int  # written without texts, because of a secret
    skipped: int  # consent off, secret file, known already, or about a suggestion that is not stored
    dropped: int  # lost: the queue or the journal was full, or a fact cannot be stored
    trouble: str | None


class Recorder:
    """The one place through which a process records facts. Thread-safe.

    `is_secret_file` says which paths must not be recorded at all. `report` is called from the writer thread with a
    sentence for people, once for each kind of trouble. `close` it, or facts of the last moment are lost.
    """

    def __init__(
        self,
        place: Place,
        consents: Consents,
        is_secret_file: Callable[[str], bool],
        report: Callable[[str], None] | None = None,
        capacity: int = 4096,
        journal: Path | None = None,
        keep: Keep | None = None,
    ) -> None:
        self._place = place
        self._consents = consents
        self._is_secret_file = is_secret_file
        self._report = report
        self._capacity = capacity
        self._reported: set[str] = set()
        self._condition = threading.Condition()
        self._pending: deque[Fact] = deque()
        self._workspaces: OrderedDict[str, str] = OrderedDict()  # of suggestions recorded here
        self._taken = 0  # facts that entered the queue
        self._handled = 0  # facts that left it for good
        self._lost = False  # since the last flush
        self._overflowed = False  # since the writer last looked
        self._closing = False
        self._status = RecorderStatus(0, 0, 0, 0, 0, 0, None)
        file = database_file(place)
        self._journal = Journal(journal or (file.parent if file else Path.cwd()) / "waiting")
        self._lines: OrderedDict[str, LineBefore | None] = OrderedDict()  # by suggestion; None: not kept
        self._retry = float("-inf")
        self._keep = keep or Keep()
        self._pruned = time.monotonic()
        self._engine: Engine | None = None
        self._opened = float("-inf")
        self._refresh_consents()
        self._thread = threading.Thread(target=self._run, name="inkling-feedback", daemon=True)
        self._thread.start()

    def record(self, fact: Fact) -> None:
        """Queue a fact. Returns at once and raises nothing; without consent the fact is forgotten here."""
        with self._condition:
            workspace = self._workspace(fact)
            if workspace is not None and self._consents.known(workspace) is Consent.OFF:
                self._count(skipped=1)
            elif self._closing or len(self._pending) >= self._capacity:
                self._lost = self._overflowed = True
                self._count(dropped=1)
            else:
                self._pending.append(fact)
                self._taken += 1
                self._condition.notify_all()

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until everything recorded before is committed. False if time ran out or a fact was lost."""
        with self._condition:
            until = self._taken
            done = self._condition.wait_for(lambda: self._handled >= until, timeout)
            lost, self._lost = self._lost, False
            return done and not lost

    def close(self, timeout: float = 5.0) -> bool:
        """Write what is queued and end. False if that took longer than `timeout` seconds."""
        with self._condition:
            self._closing = True
            self._condition.notify_all()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def status(self) -> RecorderStatus:
        with self._condition:
            return replace(self._status, queued=self._taken - self._handled)

    def _workspace(self, fact: Fact) -> str | None:
        if isinstance(fact, Suggestion):
            self._workspaces[fact.id] = fact.workspace
            if len(self._workspaces) > _REMEMBERED:
                self._workspaces.popitem(last=False)
            return fact.workspace
        return fact.workspace if isinstance(fact, Signal) else self._workspaces.get(fact.suggestion)

    def _count(self, written: int = 0, redacted: int = 0, skipped: int = 0, dropped: int = 0) -> None:
        now = self._status
        self._status = replace(
            now,
            written=now.written + written,
            redacted=now.redacted + redacted,
            skipped=now.skipped + skipped,
            dropped=now.dropped + dropped,
        )

    # What follows runs in the writer thread.

    def _run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._pending or self._closing, _REFRESH_SECONDS)
                batch = [self._pending.popleft() for _ in range(min(_BATCH, len(self._pending)))]
                ended = self._closing and not batch
                full, self._overflowed = self._overflowed, False
            try:
                self._turn(batch, full)
            except Exception:  # whatever it was, the next facts are recorded
                self._failed(batch)
            if ended:
                break
        self._journal.close()
        if self._engine is not None:
            self._engine.dispose()

    def _turn(self, batch: list[Fact], full: bool) -> None:
        self._refresh_consents()
        if full:
            self._trouble("queue", "Feedback comes in faster than it can be written; some of it was left out.")
        if batch or self._journal.waiting:
            self._handle(batch)
        elif self._engine is not None and time.monotonic() - self._pruned > _PRUNE_SECONDS:
            self._prune(self._engine)

    def _failed(self, batch: list[Fact]) -> None:
        """A turn ended by a fault: its facts are lost, and counted."""
        log.exception("a turn of the feedback writer failed")
        self._trouble("fault", "Recording met a fault in Inkling, and some feedback may be lost; see the log.")
        self._retry = time.monotonic() + _RETRY_SECONDS
        with self._condition:
            self._lost = self._lost or bool(batch)
            self._count(dropped=len(batch))
            self._handled += len(batch)
            self._condition.notify_all()

    def _handle(self, batch: list[Fact]) -> None:
        """Write a batch, after everything that waits; where that fails it waits as well."""
        allowed = [self._prepared(fact) for fact in batch if self._may_be_written(fact)]
        written = self._drain() and (not allowed or self._write(allowed))
        if not written and allowed:
            self._let_wait(allowed)
        with self._condition:
            self._lost = self._lost or (not written and bool(batch))
            self._count(skipped=len(batch) - len(allowed))
            self._status = replace(self._status, waiting=self._journal.waiting)
            self._handled += len(batch)
            self._condition.notify_all()

    def _drain(self) -> bool:
        """Write what waits. True if nothing waits any more."""
        if not self._journal.waiting:
            return True
        if time.monotonic() < self._retry:
            return False
        for facts in self._journal.read(_BATCH):
            if not self._write([fact for fact in facts if self._may_be_written(fact.fact)]):
                return False
        self._journal.clear()
        return True

    def _let_wait(self, facts: list[Prepared]) -> None:
        try:
            dropped = self._journal.append(facts)
        except OSError:  # the disk is full or read-only for the journal as well
            dropped = len(facts)
        with self._condition:
            self._count(dropped=dropped)

    def _write(self, facts: list[Prepared]) -> bool:
        """Commit facts. False if the database cannot be used now; a fact that can never be stored is dropped."""
        if not facts:
            return True
        try:
            fates = Counter(fate.value for fate in self._commit(facts))
        except Exception as error:
            if _is_of_the_database(error):
                reason = str(getattr(error, "orig", None) or error)
                self._trouble("disk", f"Feedback cannot be written, and waits until it can: {reason}")
                self._retry = time.monotonic() + _RETRY_SECONDS
                return False
            # one fact that cannot be stored must neither end recording nor cost its neighbours
            if len(facts) > 1:
                each = [self._write([fact]) for fact in facts]  # all of them, whatever becomes of one
                return all(each)
            log.exception("a fact could not be stored")
            self._trouble("fact", "Some feedback could not be stored because of a fault in Inkling; see the log.")
            with self._condition:
                self._lost = True
                self._count(dropped=1)
            return True
        with self._condition:
            self._count(**fates)
            if fates[Stored.SKIPPED.value] < len(facts):
                self._status = replace(self._status, trouble=None)
        return True

    def _commit(self, facts: list[Prepared]) -> list[Stored]:
        engine = self._open()
        for attempt in range(_LOCKED_ATTEMPTS):
            try:
                with write(engine).begin() as connection:
                    return [self._store_allowed(connection, fact) for fact in facts]
            except OperationalError as error:
                if "locked" not in str(error.orig) or attempt == _LOCKED_ATTEMPTS - 1:
                    raise
        raise AssertionError("unreachable")

    def _prepared(self, fact: Fact) -> Prepared:
        """The fact without texts that must not be kept anywhere, not even in the journal; where the bound of consent
        keeps it from a team now, it is kept from it for good."""
        line = self._line_before(fact.suggestion) if isinstance(fact, Settled) else None
        ready = prepared(fact, self._is_secret_file, line)
        if self._consents.at_most is not Consent.TEAM:
            ready = replace(ready, local=True)
        if isinstance(fact, Suggestion):
            self._lines[fact.id] = None if ready.bare else LineBefore(fact.prefix.rpartition("\n")[2], fact.path)
            if len(self._lines) > _REMEMBERED:
                self._lines.popitem(last=False)
        return ready

    def _line_before(self, suggestion: str) -> LineBefore | None:
        if suggestion in self._lines:
            return self._lines[suggestion]
        try:
            with self._open().connect() as connection:
                return line_before(connection, suggestion)
        except (SQLAlchemyError, InklingError, OSError):  # better no text than one that may hold a secret
            return None

    def _may_be_written(self, fact: Fact) -> bool:
        with self._condition:
            workspace = self._workspace(fact)
        if workspace is None:  # about a suggestion of an earlier process: its row tells, in _store_allowed
            return any(value is not Consent.OFF for value in self._consents.all().values())
        if self._consents.known(workspace) is Consent.OFF:
            return False
        return not (isinstance(fact, Suggestion | Signal) and self._is_secret_file(fact.path))

    def _store_allowed(self, connection: Connection, ready: Prepared) -> Stored:
        fact = ready.fact
        if not isinstance(fact, Suggestion | Signal):
            workspace = workspace_of(connection, fact.suggestion)
            if workspace is None or self._consents.known(workspace) is Consent.OFF:
                return Stored.SKIPPED
        return store(connection, ready)

    def _prune(self, engine: Engine) -> None:
        """Let go of texts that are too old or too many, while nothing else is to be written."""
        self._pruned = time.monotonic()
        try:
            prune(engine, self._keep)
        except (SQLAlchemyError, OSError) as error:
            log.info("old texts could not be removed now: %s", error)

    def _open(self) -> Engine:
        file = database_file(self._place)
        if self._engine is not None and file is not None and not file.exists():  # deleted under us
            self._engine.dispose()
            self._engine = None
        if self._engine is None:
            wait = self._opened + _REOPEN_SECONDS - time.monotonic()
            if wait > 0:
                raise DatabaseUnusable(f"the database could not be opened; next try in {wait:.0f} s")
            self._opened = time.monotonic()
            self._engine = open_database(self._place)
        return self._engine

    def _refresh_consents(self) -> None:
        try:
            self._consents.refresh()
        except (SQLAlchemyError, InklingError, OSError) as error:
            self._trouble("consent", f"Consent cannot be read, so that no feedback is written: {error}")

    def _trouble(self, kind: str, sentence: str) -> None:
        with self._condition:
            self._status = replace(self._status, trouble=sentence)
            new = kind not in self._reported
            self._reported.add(kind)
        if new:
            log.warning("%s", sentence)
            if self._report is not None:
                try:
                    self._report(sentence)
                except Exception:  # whoever is told may fail; recording goes on
                    log.exception("the report of a feedback trouble failed")


def _is_of_the_database(error: Exception) -> bool:
    """Whether it is the database that cannot be used (locked, full, damaged), and not one fact that does not fit."""
    if isinstance(error, IntegrityError | DataError):
        return False
    return isinstance(error, DatabaseError | InklingError | OSError)
