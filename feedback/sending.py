"""What a team is told: facts about suggestions in workspaces whose owner chose `team`, made since then, each once.

Reads the database; sends nothing. What always holds: what was recorded before somebody chose `team`, or in a workspace
where they did not, or while the editor's telemetry was off, is never among it; a text that retention or redaction took
away does not come back; the folder of a workspace is told by its name and a hash, not by its path.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import PurePath

from sqlalchemy import Engine, select

from feedback import schema
from feedback.consent import Consent
from feedback.reading import Entry, read
from feedback.records import Settled, Suggestion
from feedback.store import Prepared
from feedback.wire import line_of

FOLLOWED_SECONDS = 3 * 86_400.0  # how long facts are added to a suggestion: until the commit after it, say
_PARCEL_BYTES = 2_000_000


@dataclass(frozen=True)
class Parcel:
    """Lines to send together; by suggestion, how many of its facts are sent once these are."""

    lines: bytes
    sent: dict[str, int]


def shared_since(database: Engine) -> dict[str, float]:
    """The workspaces whose owner chose `team`, and when."""
    c = schema.consents.c
    with database.connect() as connection:
        rows = connection.execute(select(c.workspace, c.at).where(c.value == Consent.TEAM.value))
        return {row.workspace: row.at for row in rows}


def parcels(database: Engine, since: Mapping[str, float], sent: Mapping[str, int], now: float) -> Iterator[Parcel]:
    """What is to be sent now. `since`: workspaces and when their owner chose to share; `sent`: what was sent before."""
    lines: list[bytes] = []
    counts: dict[str, int] = {}
    size = 0
    for workspace, chosen in sorted(since.items()):
        conditions = (
            schema.suggestions.c.workspace == workspace,
            schema.suggestions.c.at >= max(chosen, now - FOLLOWED_SECONDS),
            ~schema.suggestions.c.local,
        )
        for entry in read(database, *conditions):
            facts = facts_of(entry, alias(workspace))
            if len(facts) <= sent.get(entry.id, 0):
                continue
            made = [line_of(fact) for fact in facts]
            if lines and size + sum(map(len, made)) > _PARCEL_BYTES:
                yield Parcel(b"".join(lines), counts)
                lines, counts, size = [], {}, 0
            lines += made
            size += sum(map(len, made))
            counts[entry.id] = len(facts)
    if lines:
        yield Parcel(b"".join(lines), counts)


def alias(workspace: str) -> str:
    """What a team calls a folder: its name, and eight hex digits that tell it from others of that name."""
    return f"{PurePath(workspace).name}-{hashlib.sha256(workspace.encode('utf-8', 'replace')).hexdigest()[:8]}"


def facts_of(entry: Entry, workspace: str) -> list[Prepared]:
    """Everything that is known about a suggestion, the suggestion first."""
    own = {field.name for field in fields(Suggestion)}
    values = {name: getattr(entry, name) for name in own}
    bare = entry.redacted or None in (entry.prefix, entry.suffix, entry.text)
    if bare:
        values |= {"prefix": "", "suffix": "", "text": "", "documents": ()}
    found = [Prepared(Suggestion(**{**values, "workspace": workspace}), bare, entry.length)]
    more = (entry.decision, entry.outcome, *entry.survival, entry.report, entry.committed, *entry.checks)
    found += [Prepared(fact) for fact in more if fact is not None]
    if entry.settled is not None:
        gone = Prepared(Settled(entry.id, entry.settled.at, ""), True, len(entry.settled.text))
        found.append(gone if bare else Prepared(entry.settled, False, len(entry.settled.text)))
    return found
