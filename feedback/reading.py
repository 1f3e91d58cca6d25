"""Reads facts back as values: one `Entry` per suggestion with everything that is known about it.

Both training (`feedback.examples`) and people (`feedback.history`) read through here, so that they see the same.
It never writes, and it reads in pages, so that a large history does not fill the memory.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, Connection, Engine, Select, select

from feedback import schema
from feedback.records import ContextDocument, Decision, Outcome, Settled, Survival
from feedback.rewards import Reward, reward

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
    def reward(self) -> Reward | None:
        """What the suggestion was worth; None while its outcome or its text is not known."""
        if self.outcome is None or self.text is None:
            return None
        shown = self.decision is None or self.decision.shown
        return reward(self.outcome, self.text, self.written, self.survival, shown)


def read(engine: Engine, *conditions: ColumnElement[bool], newest_first: bool = False) -> Iterator[Entry]:
    """The suggestions that meet all conditions (on the tables of `feedback.schema`), by the time of their offer."""
    for ids in _pages(engine, conditions, newest_first):
        with engine.connect() as connection:
            yield from entries(connection, ids)


def entries(connection: Connection, ids: Sequence[str]) -> list[Entry]:
    """These suggestions, in this order; unknown ids are left out."""
    survivals: dict[str, list[Survival]] = defaultdict(list)
    table = schema.survival.c
    for row in connection.execute(
        select(table.suggestion, table.at, table.age, table.kept, table.unreverted)
        .where(table.suggestion.in_(ids))
        .order_by(table.age)
    ):
        survivals[row[0]].append(Survival(*row))
    documents: dict[str, list[ContextDocument]] = defaultdict(list)
    for id, path, text in connection.execute(
        select(schema.documents.c.suggestion, schema.documents.c.path, schema.texts.c.text)
        .join(schema.texts, schema.texts.c.hash == schema.documents.c.text)
        .where(schema.documents.c.suggestion.in_(ids))
        .order_by(schema.documents.c.position)
    ):
        documents[id].append(ContextDocument(path, text))
    found = {
        row["id"]: _entry(row, tuple(documents[row["id"]]), tuple(survivals[row["id"]]))
        for row in (dict(row._mapping) for row in connection.execute(_everything(ids)))
    }
    return [found[id] for id in ids if id in found]


def with_facts() -> Select[str]:
    """Ids of suggestions, joined to their single facts, so that conditions may speak of those too."""
    s = schema.suggestions
    return select(s.c.id).select_from(
        s.outerjoin(schema.outcomes, schema.outcomes.c.suggestion == s.c.id)
        .outerjoin(schema.settled, schema.settled.c.suggestion == s.c.id)
        .outerjoin(schema.decisions, schema.decisions.c.suggestion == s.c.id)
    )


def _pages(engine: Engine, conditions: Sequence[ColumnElement[bool]], newest_first: bool) -> Iterator[list[str]]:
    """All ids first (they are short), then page by page: rows that are erased meanwhile are just not there."""
    s = schema.suggestions.c
    order = (s.at.desc(), s.id.desc()) if newest_first else (s.at, s.id)
    with engine.connect() as connection:
        ids = [row[0] for row in connection.execute(with_facts().where(*conditions).order_by(*order))]
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


def _entry(row: "dict[str, object]", documents: tuple[ContextDocument, ...], survival: tuple[Survival, ...]) -> Entry:
    facts = {name: row.pop(name) for name in list(row) if name.startswith(("decision_", "outcome_", "settled_"))}
    decision = {name.removeprefix("decision_"): value for name, value in facts.items() if name.startswith("decision_")}
    outcome = {name.removeprefix("outcome_"): value for name, value in facts.items() if name.startswith("outcome_")}
    text, at = facts["settled_text"], facts["settled_at"]
    decision["features"] = decision["features"] or {}
    row["logprobs"] = tuple(row["logprobs"])  # type: ignore[arg-type]
    return Entry(
        **row,  # type: ignore[arg-type]
        documents=documents,
        survival=survival,
        decision=Decision(**decision) if decision["suggestion"] is not None else None,  # type: ignore[arg-type]
        outcome=Outcome(**outcome) if outcome["suggestion"] is not None else None,  # type: ignore[arg-type]
        settled=Settled(str(row["id"]), at, text) if isinstance(text, str) and isinstance(at, float) else None,
    )
