"""What training may use: one settled region with everything the model saw there. Plain values, no SQL.

`Example` is what crosses to the floor above; `load_examples` makes it from the database. An example always has its
texts, an outcome and a target that is not blank; what held a secret was never stored and cannot come back here.
"""

from dataclasses import dataclass, replace

from sqlalchemy import ColumnElement, Engine

from feedback import schema
from feedback.advantages import advantages
from feedback.reading import Entry, read
from feedback.records import ContextDocument, OutcomeKind, group_of

_BY_OTHERS = ("changed_by_agent", "changed_by_extension")  # outcomes after which a text may be nobody's own


@dataclass(frozen=True)
class Example:
    """A cursor, what was offered there and what the user finally had. `target` is the settled text.

    `at` is the time of the settled text: splits into training and later data go by it. `reward` is in the
    unit of `feedback.rewards` (characters, costs subtracted); `advantage` is what it is above others in its context.
    `goes_on`: the target is a piece behind which more was written, so it does not end there; what settled never is.
    """

    id: str
    at: float
    workspace: str
    path: str
    language: str
    prefix: str
    suffix: str
    target: str
    offered: str
    outcome: OutcomeKind
    reward: float
    documents: tuple[ContextDocument, ...] = ()
    advantage: float = 0.0
    goes_on: bool = False

    @property
    def group(self) -> str:
        """Examples of one group are alike, and no independent evidence."""
        return group_of(self.workspace, self.path, self.at)


def load_examples(
    database: Engine, workspace: str | None = None, since: float | None = None, until: float | None = None
) -> list[Example]:
    """The examples whose text settled at `since` or later and before `until`, oldest first.

    `prefix + target + suffix` is the text as the user had it: where the rest of the cursor's line was changed, it
    is part of the target and no longer of the suffix.
    """
    conditions: list[ColumnElement[bool]] = [
        schema.suggestions.c.text.is_not(None),
        schema.outcomes.c.suggestion.is_not(None),
        schema.settled.c.text.is_not(None),
        schema.outcomes.c.rule.not_in(_BY_OTHERS),
    ]
    if workspace is not None:
        conditions.append(schema.suggestions.c.workspace == workspace)
    if since is not None:
        conditions.append(schema.settled.c.at >= since)
    if until is not None:
        conditions.append(schema.settled.c.at < until)
    known: dict[ContextDocument, ContextDocument] = {}
    entries = [_sharing(entry, known) for entry in read(database, *conditions)]
    above = advantages(entries)
    made = (_example(entry, above[entry.id].value) for entry in entries if entry.id in above)
    return sorted((one for one in made if one is not None), key=lambda one: (one.at, one.id))


def _sharing(entry: Entry, known: dict[ContextDocument, ContextDocument]) -> Entry:
    """The entry with the documents of others where it has the same: they are most of the text, and few differ."""
    return replace(entry, documents=tuple(known.setdefault(one, one) for one in entry.documents))


def _example(entry: Entry, advantage: float) -> Example | None:
    """None where the entry cannot teach: a text is missing, or the user left nothing there."""
    target, value = entry.written, entry.reward
    if entry.prefix is None or entry.suffix is None or entry.text is None or entry.settled is None:
        return None
    if entry.outcome is None or target is None or value is None or not target.strip():
        return None
    kept = target + entry.rest == entry.settled.text  # the rest of the line still stands behind the target
    return Example(
        id=entry.id,
        at=entry.settled.at,
        workspace=entry.workspace,
        path=entry.path,
        language=entry.language,
        prefix=entry.prefix,
        suffix=entry.suffix if kept else entry.suffix[len(entry.rest) :],
        target=target,
        offered=entry.text,
        outcome=entry.outcome.kind,
        reward=value.total,
        documents=entry.documents,
        advantage=advantage,
    )
