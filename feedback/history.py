"""What a person may see and do with their feedback: statistics, listing, export, erasure.

Erasing is real: rows go, texts that nothing refers to any more go, deleted pages are overwritten with zeros
(`secure_delete`), the write-ahead log is emptied and the file shrunk. Consents are choices, not feedback: they stay.
"""

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

from sqlalchemy import ColumnElement, Connection, Engine, delete, func, or_, select, union

from feedback import schema
from feedback.database import backups, write
from feedback.reading import Entry, entries, read, with_facts
from feedback.records import OutcomeKind
from inkling.errors import UserError


@dataclass(frozen=True)
class Selection:
    """Which suggestions are meant: those that meet everything that is given; without anything, all.

    `path` also means every file below it. `before` and `since` are Unix seconds of the offer.
    """

    ids: tuple[str, ...] = ()
    workspace: str | None = None
    path: str | None = None
    outcome: OutcomeKind | None = None
    since: float | None = None
    before: float | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        s = schema.suggestions.c
        found: list[ColumnElement[bool]] = []
        if self.ids:
            found.append(s.id.in_(self.ids))
        if self.workspace is not None:
            found.append(s.workspace == self.workspace)
        if self.path is not None:
            folder = self.path.rstrip("/") + "/"
            found.append(or_(s.path == self.path, s.path.startswith(folder, autoescape=True)))
        if self.outcome is not None:
            found.append(schema.outcomes.c.kind == self.outcome)
        if self.since is not None:
            found.append(s.at >= self.since)
        if self.before is not None:
            found.append(s.at < self.before)
        return found


ALL = Selection()


@dataclass(frozen=True)
class Statistics:
    """Counts of suggestions. Characters are those that were taken over from suggestions."""

    suggestions: int
    shown: int
    hidden: int
    open: int  # without an outcome
    outcomes: dict[str, int]
    characters: int
    settled: int
    without_texts: int
    first: float | None
    last: float | None

    @property
    def acceptance(self) -> float | None:
        """The share of decided, shown suggestions that were accepted wholly or in part; None without any.

        Those that the user's own typing merely continued or replaced (superseded) count neither way.
        """
        counted = sum(count for kind, count in self.outcomes.items() if kind != "superseded")
        taken = self.outcomes.get("accepted", 0) + self.outcomes.get("partial", 0)
        return taken / counted if counted else None


def statistics(database: Engine, selection: Selection = ALL) -> Statistics:
    """Count what the selection holds."""
    s, d, o, e = schema.suggestions, schema.decisions, schema.outcomes, schema.settled
    chosen = with_facts().where(*selection.conditions())
    with database.connect() as connection:
        total, first, last = connection.execute(
            select(func.count(), func.min(s.c.at), func.max(s.c.at)).where(s.c.id.in_(chosen))
        ).one()
        shown: dict[bool, int] = {
            row[0]: row[1]
            for row in connection.execute(
                select(d.c.shown, func.count()).where(d.c.suggestion.in_(chosen)).group_by(d.c.shown)
            )
        }
        kinds = connection.execute(
            select(o.c.kind, func.count(), func.sum(o.c.length)).where(o.c.suggestion.in_(chosen)).group_by(o.c.kind)
        ).all()
        settled = connection.execute(select(func.count()).where(e.c.suggestion.in_(chosen))).scalar_one()
        bare = connection.execute(select(func.count()).where(s.c.id.in_(chosen), s.c.redacted.is_(True))).scalar_one()
    counts = {kind: count for kind, count, _ in kinds}
    return Statistics(
        suggestions=total,
        shown=shown.get(True, 0),
        hidden=shown.get(False, 0),
        open=total - sum(counts.values()),
        outcomes=counts,
        characters=sum(length for kind, _, length in kinds if kind in ("accepted", "partial")),
        settled=settled,
        without_texts=bare,
        first=first,
        last=last,
    )


def listing(database: Engine, selection: Selection = ALL, limit: int = 50) -> list[Entry]:
    """The newest entries first."""
    return list(islice(read(database, *selection.conditions(), newest_first=True), limit))


def show(database: Engine, id: str) -> Entry:
    """One entry. Raises UserError if there is none."""
    with database.connect() as connection:
        found = entries(connection, [id])
    if not found:
        raise UserError(f"There is no suggestion '{id}'. `inkling feedback list` shows those that are stored.")
    return found[0]


def export(database: Engine, selection: Selection = ALL) -> Iterator[str]:
    """Every entry as one line of JSON, oldest first, with its reward and how that came about."""
    for entry in read(database, *selection.conditions()):
        value = entry.reward
        reward = None if value is None else {**asdict(value), "total": value.total}
        yield json.dumps({**asdict(entry), "reward": reward}, ensure_ascii=False)


def erase(database: Engine, selection: Selection, everything: bool = False) -> int:
    """Delete the suggestions meant, with all facts and texts; how many they were.

    An empty selection erases all, but only if `everything` says that this is meant. Raises UserError otherwise.
    """
    if selection == ALL and not everything:
        raise UserError(
            "Nothing says what to erase. Name an id, --path, --workspace or --before, or say --all to erase everything."
        )
    with write(database).begin() as connection:
        chosen = with_facts().where(*selection.conditions())
        gone = connection.execute(delete(schema.suggestions).where(schema.suggestions.c.id.in_(chosen))).rowcount
        _erase_orphans(connection)
    _leave_no_trace(database)
    if database.dialect.name == "sqlite" and database.url.database:
        for copy in backups(Path(database.url.database)):  # they hold what was to be erased
            copy.unlink(missing_ok=True)
    return gone


def _erase_orphans(connection: Connection) -> None:
    used = union(*(select(column).where(column.is_not(None)) for column in schema.TEXT_COLUMNS))
    connection.execute(delete(schema.texts).where(schema.texts.c.hash.not_in(used)))


def _leave_no_trace(database: Engine) -> None:
    """Empty the log and give back the space. Another process that is reading delays that; the next erasure mends it."""
    if database.dialect.name != "sqlite":
        return
    connection = database.raw_connection()
    try:
        cursor = connection.cursor()
        try:
            cursor.execute("VACUUM")
            busy, _, _ = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.OperationalError:  # locked beyond the busy timeout
            busy = 1
        finally:
            cursor.close()
    finally:
        connection.close()
    if busy:
        raise UserError(
            "What you named is erased, but another process is reading the database, so that traces of it may stay in "
            "its log file until that process ends. Close your editors and run the same command again."
        )
