"""What a person may see and do with their feedback: statistics, listing, export, erasure.

Erasing is real: rows go, texts that nothing refers to any more go, deleted pages are overwritten with zeros
(`secure_delete`), the write-ahead log is emptied and the file shrunk. Consents are choices, not feedback: they stay.
"""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from sqlalchemy import ColumnElement, Connection, Engine, Select, case, delete, false, func, or_, select

from feedback import schema
from feedback.advantages import advantages
from feedback.advantages import explain as explain_advantage
from feedback.database import backups, write
from feedback.reading import Entry, entries, read, signals
from feedback.records import OutcomeKind
from feedback.retention import erase_texts
from feedback.rewards import VERSION, explain
from inkling.errors import UserError

BASELINE_ENTRIES = 2000


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

    def ids_of(self) -> Select[str]:
        """The ids of the suggestions that are meant; joined to outcomes only where those are spoken of."""
        s = schema.suggestions
        if self.outcome is None:
            return select(s.c.id).where(*self.conditions())
        return select(s.c.id).join(schema.outcomes, schema.outcomes.c.suggestion == s.c.id).where(*self.conditions())

    def signal_conditions(self) -> list[ColumnElement[bool]]:
        """Signals that are meant. Ids and outcomes are those of suggestions: they mean no signal."""
        g = schema.signals.c
        found: list[ColumnElement[bool]] = []
        if self.ids or self.outcome is not None:
            found.append(false())
        if self.workspace is not None:
            found.append(g.workspace == self.workspace)
        if self.path is not None:
            folder = self.path.rstrip("/") + "/"
            found.append(or_(g.path == self.path, g.path.startswith(folder, autoescape=True)))
        if self.since is not None:
            found.append(g.at >= self.since)
        if self.before is not None:
            found.append(g.at < self.before)
        return found

    def document_conditions(self, mixed: Sequence[str]) -> list[ColumnElement[bool]]:
        """Documents that are meant by their path, beside whatever suggestion; what is named as in `mixed`, whatever its
        ending, holds lines of several files, and so perhaps of this one. Ids and outcomes mean no others' documents."""
        if self.path is None or self.ids or self.outcome is not None:
            return [false()]
        d, folder = schema.documents.c, self.path.rstrip("/") + "/"
        named = [d.path == self.path, d.path.startswith(folder, autoescape=True)]
        for name in mixed:
            named += [d.path == name, d.path.startswith(f"{name}.", autoescape=True)]
        return [d.suggestion.in_(replace(self, path=None).ids_of()), or_(*named)]


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
    reported: int = 0  # by clients, and how many of those the edits alone said as well
    confirmed: int = 0
    signals: dict[str, int] = field(default_factory=dict)

    @property
    def acceptance(self) -> float | None:
        """The share of decided, shown suggestions that were accepted wholly or in part; None without any.

        Those that the user's own typing merely continued or replaced (superseded), and those that nobody could decide
        about (invalidated), count neither way.
        """
        counted = sum(count for kind, count in self.outcomes.items() if kind not in ("superseded", "invalidated"))
        taken = self.outcomes.get("accepted", 0) + self.outcomes.get("partial", 0)
        return taken / counted if counted else None


def statistics(database: Engine, selection: Selection = ALL) -> Statistics:
    """Count what the selection holds. Only indexes and narrow tables are read, in their order: of a million
    suggestions neither all nor those of one workspace take a second."""
    r, g = schema.reports, schema.signals
    with database.connect() as connection:
        counted = _everything(connection) if selection == ALL else _chosen(connection, selection)
        compared = select(r.c.reported, r.c.inferred, func.count()).group_by(r.c.reported, r.c.inferred)
        if selection != ALL:
            compared = compared.where(r.c.suggestion.in_(selection.ids_of()))
        reports = connection.execute(compared).all()
        signalled: Sequence[tuple[str, int]] = connection.execute(
            select(g.c.kind, func.count()).where(*selection.signal_conditions()).group_by(g.c.kind)
        ).all()
    return replace(
        counted,
        reported=sum(count for _, _, count in reports),
        confirmed=sum(count for reported, inferred, count in reports if reported == inferred),
        signals=dict(signalled),
    )


def _everything(connection: Connection) -> Statistics:
    """Each table on its own."""
    s, d, o, e = schema.suggestions, schema.decisions, schema.outcomes, schema.settled
    total = connection.execute(select(func.count()).select_from(s)).scalar_one()
    first = connection.execute(select(func.min(s.c.at))).scalar_one()
    last = connection.execute(select(func.max(s.c.at))).scalar_one()
    decided, shown = connection.execute(select(func.count(), func.sum(_number(d.c.shown))).select_from(d)).one()
    kinds = connection.execute(select(o.c.kind, func.count(), func.sum(o.c.length)).group_by(o.c.kind)).all()
    settled = connection.execute(select(func.count()).select_from(e)).scalar_one()
    bare = connection.execute(select(func.count()).where(s.c.redacted.is_(True))).scalar_one()
    outcomes = [(kind, count, int(length)) for kind, count, length in kinds]
    return _summed(total, int(decided), int(shown or 0), outcomes, settled, bare, first, last)


def _chosen(connection: Connection, selection: Selection) -> Statistics:
    """The tables side by side, in the order of the suggestions."""
    s, d, o, e = schema.suggestions, schema.decisions, schema.outcomes, schema.settled
    together = s.outerjoin(d).outerjoin(o, o.c.suggestion == s.c.id).outerjoin(e, e.c.suggestion == s.c.id)
    rows = connection.execute(
        select(
            o.c.kind,
            func.count(),
            func.sum(o.c.length),
            func.count(d.c.suggestion),
            func.sum(_number(d.c.shown)),
            func.count(e.c.suggestion),
            func.sum(_number(s.c.redacted)),
            func.min(s.c.at),
            func.max(s.c.at),
        )
        .select_from(together)
        .where(*selection.conditions())
        .group_by(o.c.kind)
    ).all()
    outcomes = [(row[0], row[1], int(row[2])) for row in rows if row[0] is not None]
    total, decided, shown, settled, bare = (sum(int(row[place] or 0) for row in rows) for place in (1, 3, 4, 5, 6))
    first, last = min((row[7] for row in rows), default=None), max((row[8] for row in rows), default=None)
    return _summed(total, decided, shown, outcomes, settled, bare, first, last)


def _summed(
    total: int,
    decided: int,
    shown: int,
    outcomes: Sequence[tuple[str, int, int]],
    settled: int,
    bare: int,
    first: float | None,
    last: float | None,
) -> Statistics:
    counts = {kind: count for kind, count, _ in outcomes}
    return Statistics(
        suggestions=total,
        shown=shown,
        hidden=decided - shown,
        open=total - sum(counts.values()),
        outcomes=counts,
        characters=sum(length for kind, _, length in outcomes if kind in ("accepted", "partial")),
        settled=settled,
        without_texts=bare,
        first=first,
        last=last,
    )


def _number(flag: ColumnElement[bool]) -> ColumnElement[int]:
    """1 for true, 0 for false or nothing: PostgreSQL adds no truth values up."""
    return case((flag.is_(True), 1), else_=0)


def listing(database: Engine, selection: Selection = ALL, limit: int = 50) -> list[Entry]:
    """The newest entries first."""
    return list(read(database, *selection.conditions(), newest_first=True, limit=limit))


def show(database: Engine, id: str) -> Entry:
    """One entry, by its id or by how that begins. Raises UserError if there is none, or more than one."""
    with database.connect() as connection:
        return entries(connection, [whole_id(connection, id)])[0]


def whole_id(connection: Connection, beginning: str) -> str:
    """The id that begins so. Raises UserError if there is none, or more than one and none is just that."""
    s = schema.suggestions.c
    like = select(s.id).where(s.id.startswith(beginning, autoescape=True)).order_by(s.id).limit(2)
    found = [row[0] for row in connection.execute(like)] if beginning else []
    if beginning in found or len(found) == 1:
        return found[0]
    if found:
        raise UserError(f"Several suggestions begin with '{beginning}'. `inkling feedback list --json` has whole ids.")
    raise UserError(f"There is no suggestion '{beginning}'. `inkling feedback list` shows those that are stored.")


def explanation(database: Engine, id: str, version: int = VERSION) -> list[str]:
    """What a suggestion was worth, line by line: components, sum, the context's baseline and the advantage.

    The baseline is made from the newest BASELINE_ENTRIES suggestions of the same language.
    """
    entry = show(database, id)
    value = entry.rewarded(version)
    if value is None:
        why = "it has no outcome yet" if entry.outcome is None else "its texts were not kept"
        return [f"There is no reward: {why}."]
    lines = explain(value)
    if version == VERSION:
        same = schema.suggestions.c.language == entry.language
        alike = read(database, same, newest_first=True, limit=BASELINE_ENTRIES)
        others = [one for one in alike if one.id != id]
        lines += explain_advantage(advantages([entry, *others])[id])
    if entry.instead is not None:
        lines.append(f"written instead: {entry.instead!r}")
    if entry.committed is not None:
        lines.append(f"in commit {entry.committed.commit[:10]}: {entry.committed.kept:.0%} of it")
    return lines


def export(database: Engine, selection: Selection = ALL) -> Iterator[str]:
    """Every suggestion, then every signal, as one line of JSON, oldest first; with the reward and its components."""
    for entry in read(database, *selection.conditions()):
        value = entry.reward
        reward = None if value is None else {**asdict(value), "total": value.total}
        yield json.dumps({**asdict(entry), "reward": reward}, ensure_ascii=False)
    for signal in signals(database, *selection.signal_conditions()):
        yield json.dumps({"signal": asdict(signal)}, ensure_ascii=False)


@dataclass(frozen=True)
class Erased:
    """How much went."""

    suggestions: int
    signals: int


def ids_of(database: Engine, selection: Selection) -> list[str]:
    """The suggestions that are meant."""
    with database.connect() as connection:
        return list(connection.execute(selection.ids_of()).scalars())


def erase(database: Engine, selection: Selection, everything: bool = False, mixed: Sequence[str] = ()) -> Erased:
    """Delete the suggestions meant, with all facts and texts. Adapters' manifests are not known here: see `ids_of`.

    What stood in a path goes as well where it stood beside suggestions in other files; `mixed`: how documents are named
    that hold lines of several files.
    An empty selection erases all, but only if `everything` says that this is meant. Raises UserError otherwise.
    """
    if selection == ALL and not everything:
        raise UserError(
            "Nothing says what to erase. Name an id, --path, --workspace or --older-than, or say --all for everything."
        )
    s, d, g = schema.suggestions, schema.documents, schema.signals
    with write(database).begin() as connection:
        chosen, beside = selection.ids_of(), selection.document_conditions(mixed)
        hashes = _texts_of(connection, chosen, beside, selection)
        connection.execute(delete(d).where(*beside))
        suggestions = connection.execute(delete(s).where(s.c.id.in_(chosen))).rowcount
        signalled = connection.execute(delete(g).where(*selection.signal_conditions())).rowcount
        erase_texts(connection, hashes)
    _leave_no_trace(database)
    if database.dialect.name == "sqlite" and database.url.database:
        for copy in backups(Path(database.url.database)):  # they hold what was to be erased
            copy.unlink(missing_ok=True)
    return Erased(suggestions, signalled)


def _texts_of(
    connection: Connection, chosen: Select[str], beside: Sequence[ColumnElement[bool]], selection: Selection
) -> set[str]:
    s, d, e, g = schema.suggestions.c, schema.documents.c, schema.settled.c, schema.signals.c
    columns = [select(column).where(s.id.in_(chosen)) for column in (s.prefix, s.suffix, s.text)]
    columns += [select(column).where(table.suggestion.in_(chosen)) for table, column in ((d, d.text), (e, e.text))]
    columns += [select(d.text).where(*beside), select(g.text).where(*selection.signal_conditions())]
    return {hash for column in columns for hash in connection.execute(column).scalars() if hash}


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
