"""Writes facts down without ever being in the way.

`record` puts a fact into a bounded queue and returns; one thread takes facts out, looks for secrets, and commits
them in batches as soon as it can. What was committed survives a killed process. Consent is looked at twice, when a
fact is recorded and again when it is written: a fact is stored only if both allow it, and with consent `off` no
file is even created. Troubles (a full queue, a full disk) cost facts, never the caller: they are counted, reported
once per kind, and shown in `status`.
"""

import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from feedback.consent import Consent, Consents
from feedback.database import DatabaseUnusable, Place, database_file, open_database, write
from feedback.records import Fact, Signal, Suggestion
from feedback.store import Stored, store, workspace_of
from inkling.errors import InklingError

log = logging.getLogger(__name__)

_BATCH = 256
_REMEMBERED = 10_000
_LOCKED_ATTEMPTS = 6  # each waits for the database's busy timeout
_REOPEN_SECONDS = 30.0
_REFRESH_SECONDS = 1.0


@dataclass(frozen=True)
class RecorderStatus:
    """How recording goes, in facts. `trouble` is the last thing that went wrong, None while all is well."""

    queued: int
    written: int
    redacted: int  # written without texts, because of a secret
    skipped: int  # consent off, secret file, known already, or about a suggestion that is not stored
    dropped: int  # lost: the queue was full or the database failed
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
        self._status = RecorderStatus(0, 0, 0, 0, 0, None)
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
            self._refresh_consents()
            if full:
                self._trouble("queue", "Feedback comes in faster than it can be written; some of it was left out.")
            if batch:
                self._handle(batch)
            if ended:
                break
        if self._engine is not None:
            self._engine.dispose()

    def _handle(self, batch: list[Fact]) -> None:
        fates: list[Stored] | None = None
        try:
            fates = self._write(batch)
        except (OperationalError, InklingError, OSError) as error:
            reason = str(getattr(error, "orig", None) or error)
            self._trouble("disk", f"Feedback cannot be written, and is left out until it can: {reason}")
        except Exception:  # one fact that cannot be stored must neither end recording nor cost its neighbours
            if len(batch) > 1:
                for fact in batch:
                    self._handle([fact])
                return
            log.exception("a fact could not be stored")
            self._trouble("fact", "Some feedback could not be stored because of a fault in Inkling; see the log.")
        with self._condition:
            if fates is None:
                self._lost = True
                self._count(dropped=len(batch))
            else:
                self._count(**{fate.value: fates.count(fate) for fate in Stored})
                if fates.count(Stored.SKIPPED) < len(fates):
                    self._status = replace(self._status, trouble=None)
            self._handled += len(batch)
            self._condition.notify_all()

    def _write(self, batch: list[Fact]) -> list[Stored]:
        allowed = [fact for fact in batch if self._may_be_written(fact)]
        skipped = [Stored.SKIPPED] * (len(batch) - len(allowed))
        if not allowed:
            return skipped
        engine = self._open()
        for attempt in range(_LOCKED_ATTEMPTS):
            try:
                with write(engine).begin() as connection:
                    return skipped + [self._store_allowed(connection, fact) for fact in allowed]
            except OperationalError as error:
                if "locked" not in str(error.orig) or attempt == _LOCKED_ATTEMPTS - 1:
                    raise
        raise AssertionError("unreachable")

    def _may_be_written(self, fact: Fact) -> bool:
        with self._condition:
            workspace = self._workspace(fact)
        if workspace is None:  # about a suggestion of an earlier process: its row tells, in _store_allowed
            return any(value is not Consent.OFF for value in self._consents.all().values())
        if self._consents.known(workspace) is Consent.OFF:
            return False
        return not (isinstance(fact, Suggestion | Signal) and self._is_secret_file(fact.path))

    def _store_allowed(self, connection: Connection, fact: Fact) -> Stored:
        if not isinstance(fact, Suggestion | Signal):
            workspace = workspace_of(connection, fact.suggestion)
            if workspace is None or self._consents.known(workspace) is Consent.OFF:
                return Stored.SKIPPED
        return store(connection, fact, self._is_secret_file)

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
