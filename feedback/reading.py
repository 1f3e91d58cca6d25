"""Reads facts back as values: one `Entry` per suggestion with everything that is known about it.

Both training (`feedback.examples`) and people (`feedback.history`) read through here, so that they see the same.
It never writes, and it reads in pages, so that a large history does not fill the memory.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Select, Table, select

from feedback import schema
from feedback.records import Check, Committed, ContextDocument, Decision, Outcome, Report, Settled, Signal, Survival
from feedback.rewards import VERSION, Happened, Reward, reward

_PAGE = 500

prefix_texts = schema.texts.alias("prefix_texts")
suffix_texts = schema.texts.alias("suffix_texts")
offered_texts = schema.texts.alias("offered_texts")
settled_texts = schema.texts.alias("settled_texts")


@dataclass(frozen=True)
class Entry:
    """A suggestion and its facts. Texts are None where they were not kept; `length` is that of the offered text."""

    id: str
    at: float
    workspace: str
    path: str
    language: str
    version: int
    line: int
    column: int
    length: int
    base: str
    adapter: str | None
    seconds: float
    logprobs: tuple[float, ...]
    redacted: bool
    prefix: str | None = None
    suffix: str | None = None
    text: str | None = None
    documents: tuple[ContextDocument, ...] = ()
    decision: Decision | None = None
    outcome: Outcome | None = None
    settled: Settled | None = None  # None as well where its text was not kept
    survival: tuple[Survival, ...] = field(default=())
    report: Report | None = None
    committed: Committed | None = None
    checks: tuple[Check, ...] = ()
    local: bool = False  # never to be sent

    @property
    def rest(self) -> str:
        """What stood behind the cursor on its line when the suggestion was offered."""
        return (self.suffix or "").partition("\n")[0].removesuffix("\r")

    @property
    def written(self) -> str | None:
        """The settled text without the rest of the line, where that still stands at its end."""
        if self.settled is None:
            return None
        return self.settled.text.removesuffix(self.rest) if self.rest else self.settled.text

    @property
    def instead(self) -> str | None:
        """What the user wrote in place of a suggestion that was not taken; None where that is not known."""
        taken = self.outcome is None or self.outcome.kind in ("accepted", "partial", "typed_through")
        return None if taken else self.written

    @property
    def retained(self) -> float | None:
        """Characters that were taken over and survived the last look; None while nothing is decided."""
        if self.outcome is None:
            return None
        if self.outcome.kind not in ("accepted", "partial"):
            return 0.0
        last = max(self.survival, key=lambda look: look.age, default=None)
        return self.outcome.length * (min(last.kept, last.unreverted) if last else 1.0)

    @property
    def reward(self) -> Reward | None:
        """What the suggestion was worth; None while its outcome or its text is not known."""
        return self.rewarded()

    def rewarded(self, version: int = VERSION) -> Reward | None:
        """The reward by the rules of a version."""
        if self.outcome is None or self.text is None:
            return None
        settled = self.settled.text if self.settled else None
        shown = self.decision is None or self.decision.shown
        return reward(Happened(self.outcome, self.text, self.rest, settled, self.survival, self.checks, shown), version)


def read(
    engine: Engine, *conditions: ColumnElement[bool], newest_first: bool = False, limit: int | None = None
) -> Iterator[Entry]:
    """The suggestions that meet all conditions (on the tables of `feedback.schema`), by the time of their offer."""
    for ids in _pages(engine, conditions, newest_first, limit):
        with engine.connect() as connection:
            yield from entries(connection, ids)


def entries(connection: Connection, ids: Sequence[str]) -> list[Entry]:
    """These suggestions, in this order; unknown ids are left out."""
    c = schema.documents.c
    documents: dict[str, list[ContextDocument]] = defaultdict(list)
    for id, path, text in connection.execute(
        select(c.suggestion, c.path, schema.texts.c.text)
        .join(schema.texts, schema.texts.c.hash == c.text)
        .where(c.suggestion.in_(ids))
        .order_by(c.position)
    ):
        documents[id].append(ContextDocument(path, text))
    survival = _of_each(connection, schema.survival, Survival, ids)
    checks = _of_each(connection, schema.checks, Check, ids)
    reports = _of_each(connection, schema.reports, Report, ids)
    commits = _of_each(connection, schema.commits, Committed, ids)
    found: dict[str, Entry] = {}
    for mapping in connection.execute(_everything(ids)).mappings():
        row = dict(mapping)
        id = row["id"]
        row["documents"] = tuple(documents[id])
        row["survival"], row["checks"] = tuple(survival[id]), tuple(checks[id])
        row["report"] = next(iter(reports[id]), None)
        row["committed"] = next(iter(commits[id]), None)
        found[id] = _entry(row)
    return [found[id] for id in ids if id in found]


def signals(engine: Engine, *conditions: ColumnElement[bool]) -> list[Signal]:
    """The signals that meet all conditions (on `feedback.schema.signals`), oldest first."""
    c = schema.signals.c
    with engine.connect() as connection:
        rows = connection.execute(
            select(*(column for column in c if column.name != "text"), schema.texts.c.text)
            .outerjoin(schema.texts, schema.texts.c.hash == c.text)
            .where(*conditions)
            .order_by(c.at, c.id)
        ).mappings()
        return [Signal(**row) for row in rows]


def _of_each(connection: Connection, table: Table, kind: type[Any], ids: Sequence[str]) -> dict[str, list[Any]]:
    """The facts of one table by suggestion, in the order of their key."""
    found: dict[str, list[Any]] = defaultdict(list)
    chosen = select(table).where(table.c.suggestion.in_(ids)).order_by(*table.primary_key.columns)
    for row in connection.execute(chosen).mappings():
        found[row["suggestion"]].append(kind(**row))
    return found


def with_facts() -> Select[str]:
    """Ids of suggestions, joined to their single facts, so that conditions may speak of those too."""
    s = schema.suggestions
    return select(s.c.id).select_from(
        s.outerjoin(schema.outcomes, schema.outcomes.c.suggestion == s.c.id)
        .outerjoin(schema.settled, schema.settled.c.suggestion == s.c.id)
        .outerjoin(schema.decisions, schema.decisions.c.suggestion == s.c.id)
    )


def _pages(
    engine: Engine, conditions: Sequence[ColumnElement[bool]], newest_first: bool, limit: int | None
) -> Iterator[list[str]]:
    """All ids first (they are short), then page by page: rows that are erased meanwhile are just not there."""
    s = schema.suggestions.c
    order = (s.at.desc(), s.id.desc()) if newest_first else (s.at, s.id)
    with engine.connect() as connection:
        chosen = with_facts().where(*conditions).order_by(*order).limit(limit)
        ids = [row[0] for row in connection.execute(chosen)]
    for start in range(0, len(ids), _PAGE):
        yield ids[start : start + _PAGE]


def _everything(ids: Sequence[str]) -> Select[*tuple[object, ...]]:
    s, d, o, e = schema.suggestions, schema.decisions, schema.outcomes, schema.settled
    own = [column for column in s.c if column.name not in ("prefix", "suffix", "text")]
    return (
        select(
            *own,
            prefix_texts.c.text.label("prefix"),
            suffix_texts.c.text.label("suffix"),
            offered_texts.c.text.label("text"),
            *(column.label(f"decision_{column.name}") for column in d.c),
            *(column.label(f"outcome_{column.name}") for column in o.c),
            e.c.at.label("settled_at"),
            settled_texts.c.text.label("settled_text"),
        )
        .select_from(
            s.outerjoin(prefix_texts, prefix_texts.c.hash == s.c.prefix)
            .outerjoin(suffix_texts, suffix_texts.c.hash == s.c.suffix)
            .outerjoin(offered_texts, offered_texts.c.hash == s.c.text)
            .outerjoin(d, d.c.suggestion == s.c.id)
            .outerjoin(o, o.c.suggestion == s.c.id)
            .outerjoin(e, e.c.suggestion == s.c.id)
            .outerjoin(settled_texts, settled_texts.c.hash == e.c.text)
        )
        .where(s.c.id.in_(ids))
    )


def _entry(row: dict[str, Any]) -> Entry:
    facts = {name: row.pop(name) for name in list(row) if name.startswith(("decision_", "outcome_", "settled_"))}
    decision = {name.removeprefix("decision_"): value for name, value in facts.items() if name.startswith("decision_")}
    outcome = {name.removeprefix("outcome_"): value for name, value in facts.items() if name.startswith("outcome_")}
    text, at = facts["settled_text"], facts["settled_at"]
    decision["features"] = decision["features"] or {}
    row["logprobs"] = tuple(row["logprobs"])
    return Entry(
        **row,
        decision=Decision(**decision) if decision["suggestion"] is not None else None,
        outcome=Outcome(**outcome) if outcome["suggestion"] is not None else None,
        settled=Settled(row["id"], at, text) if isinstance(text, str) and isinstance(at, float) else None,
    )
