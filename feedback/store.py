"""One fact, one row: how facts and their texts get into the tables, inside a transaction that somebody else opened.

It decides nothing about consent and starts no transaction. `prepared` takes the texts away from a fact that holds a
secret, before anything is written anywhere; `store` writes what was prepared. A fact that is there already stays as
it is; a fact about a suggestion that is not there is not stored.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from enum import Enum
from pathlib import PurePosixPath
from typing import Any

from sqlalchemy import Connection, Table, select

from feedback import schema
from feedback.database import insert_once
from feedback.records import (
    RECENT_EDITS,
    Check,
    Committed,
    Decision,
    Fact,
    Outcome,
    Report,
    Settled,
    Signal,
    Suggestion,
    Survival,
    is_of_edits,
)
from feedback.redaction import holds_secret

_TABLES: dict[type, Table] = {
    Decision: schema.decisions,
    Outcome: schema.outcomes,
    Survival: schema.survival,
    Report: schema.reports,
    Committed: schema.commits,
    Check: schema.checks,
}
_HEADING = re.compile(r"^# (.+)$", re.MULTILINE)


class Stored(Enum):
    """What became of a fact on its way into the database."""

    WRITTEN = "written"
    REDACTED = "redacted"  # written without its texts
    SKIPPED = "skipped"  # known already, or about a suggestion that is not there


@dataclass(frozen=True)
class Prepared:
    """A fact as it may be written. `bare`: its texts were taken away; `length` is how long the main one was.

    `local`: it must never be sent, nor anything else about its suggestion.
    """

    fact: Fact
    bare: bool = False
    length: int = 0
    local: bool = False


@dataclass(frozen=True)
class LineBefore:
    """What stands before a suggestion on its line of the file `path`."""

    text: str
    path: str


def prepared(fact: Fact, is_secret_file: Callable[[str], bool], line: LineBefore | None = None) -> Prepared:
    """The fact without texts that must not be kept. `line` is what stands before a settled text, which is not kept
    where that is not known. The caller refuses facts in secret files; here a suggestion's documents are looked at.
    """
    match fact:
        case Suggestion():
            bare = any(is_secret_file(document.path) for document in fact.documents)
            if bare or any(holds_secret((text,), path) for text, path in _scanned(fact)):
                clean = replace(fact, prefix="", suffix="", text="", documents=())
                return Prepared(clean, True, len(fact.text))
            return Prepared(fact, False, len(fact.text))
        case Settled():
            if line is None or holds_secret((line.text + fact.text,), line.path):
                return Prepared(replace(fact, text=""), True, len(fact.text))
            return Prepared(fact, False, len(fact.text))
        case Signal() if fact.text is not None and holds_secret((fact.text,), fact.path):
            return Prepared(replace(fact, text=None), True, len(fact.text))
    return Prepared(fact)


def store(connection: Connection, prepared: Prepared) -> Stored:
    """Write one fact."""
    fact = prepared.fact
    if isinstance(fact, Suggestion):
        return _suggestion(connection, fact, prepared)
    if isinstance(fact, Signal):
        return _signal(connection, fact, prepared)
    if workspace_of(connection, fact.suggestion) is None:  # never offered, erased, or recorded without consent
        return Stored.SKIPPED
    if prepared.local:
        s = schema.suggestions
        connection.execute(s.update().where(s.c.id == fact.suggestion, ~s.c.local).values(local=True))
    if isinstance(fact, Settled):
        return _settled(connection, fact, prepared)
    new = insert_once(connection, _TABLES[type(fact)], _columns(fact))
    return Stored.WRITTEN if new else Stored.SKIPPED


def workspace_of(connection: Connection, suggestion: str) -> str | None:
    """The workspace of a stored suggestion; None if it is not stored."""
    return connection.execute(
        select(schema.suggestions.c.workspace).where(schema.suggestions.c.id == suggestion)
    ).scalar()


def _columns(fact: Fact) -> dict[str, Any]:
    """A fact without texts has the columns of its table as fields."""
    values = {one.name: getattr(fact, one.name) for one in fields(fact)}
    if isinstance(fact, Decision):
        values["features"] = {name: _short(value) for name, value in fact.features.items()} or None
    return values


def _short(value: float) -> float:
    """Four significant digits: what a feature or a log-probability is good for."""
    return float(f"{value:.4g}")


def line_before(connection: Connection, suggestion: str) -> LineBefore | None:
    """What stands before a stored suggestion on its line; None if its texts were not kept."""
    s, t = schema.suggestions.c, schema.texts.c
    found = select(t.text, s.path).join(schema.suggestions, t.hash == s.prefix).where(s.id == suggestion)
    row = connection.execute(found).first()
    return None if row is None else LineBefore(row.text.rpartition("\n")[2], row.path)


def _suggestion(connection: Connection, fact: Suggestion, prepared: Prepared) -> Stored:
    redacted = prepared.bare
    values = {
        "id": fact.id,
        "at": fact.at,
        "workspace": fact.workspace,
        "path": fact.path,
        "language": fact.language,
        "version": fact.version,
        "line": fact.line,
        "column": fact.column,
        "length": prepared.length,
        "logprobs": [_short(value) for value in fact.logprobs],
        "base": fact.base,
        "adapter": fact.adapter,
        "seconds": fact.seconds,
        "redacted": redacted,
        "local": prepared.local,
        "prefix": None if redacted else _text(connection, fact.prefix),
        "suffix": None if redacted else _text(connection, fact.suffix),
        "text": None if redacted else _text(connection, fact.text),
    }
    if not insert_once(connection, schema.suggestions, values):
        return Stored.SKIPPED
    if redacted:
        return Stored.REDACTED
    for position, document in enumerate(fact.documents):
        row = {
            "suggestion": fact.id,
            "position": position,
            "path": document.path,
            "text": _text(connection, document.text),
        }
        insert_once(connection, schema.documents, row)
    return Stored.WRITTEN


def _scanned(fact: Suggestion) -> Iterator[tuple[str, str]]:
    """Every text with the path of its file, joined where they meet: `password = "` and `hunter2"` are a secret only
    together. What follows a heading of edits is looked at as that file's lines, to the end: a comment may look like a
    heading, so none of them ends anything."""
    yield fact.prefix + fact.suffix, fact.path
    yield fact.prefix[fact.prefix.rfind("\n") + 1 :] + fact.text + fact.suffix.partition("\n")[0], fact.path
    for document in fact.documents:
        yield document.text, document.path
        if is_of_edits(document.path):
            starts: dict[str, int] = {}  # by the ending, which is all that counts of a path
            for heading in _HEADING.finditer(document.text):
                starts.setdefault(PurePosixPath(heading[1]).suffix, heading.end())
            for ending, start in starts.items():
                yield document.text[start:], RECENT_EDITS + ending


def _settled(connection: Connection, fact: Settled, prepared: Prepared) -> Stored:
    """Where its suggestion was written without texts, this one is too."""
    s = schema.suggestions.c
    redacted = connection.execute(select(s.redacted).where(s.id == fact.suggestion)).scalar_one()
    bare = prepared.bare or redacted
    values = {
        "suggestion": fact.suggestion,
        "at": fact.at,
        "length": prepared.length,
        "text": None if bare else _text(connection, fact.text),
    }
    if not insert_once(connection, schema.settled, values):
        return Stored.SKIPPED
    return Stored.REDACTED if bare else Stored.WRITTEN


def _signal(connection: Connection, fact: Signal, prepared: Prepared) -> Stored:
    values = {one.name: getattr(fact, one.name) for one in fields(fact)}
    values["values"] = dict(fact.values)
    values["text"] = None if fact.text is None else _text(connection, fact.text)
    if not insert_once(connection, schema.signals, values):
        return Stored.SKIPPED
    return Stored.REDACTED if prepared.bare else Stored.WRITTEN


def _text(connection: Connection, text: str) -> str:
    """Store a text under its hash. Lone surrogates (half of a character, in a broken editor) become `?`."""
    clean = text.encode("utf-8", "replace").decode("utf-8")
    address = schema.text_hash(clean)
    insert_once(connection, schema.texts, {"hash": address, "text": clean})
    return address
