"""One fact, one row: how facts and their texts get into the tables, inside a transaction that somebody else opened.

It decides nothing about consent and starts no transaction. A fact that is there already stays as it is; a fact
about a suggestion that is not there is not stored. Texts with a secret in them are never stored.
"""

from collections.abc import Callable, Sequence
from dataclasses import fields
from enum import Enum
from typing import Any

from sqlalchemy import Connection, Table, select

from feedback import schema
from feedback.database import insert_once
from feedback.records import (
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


class Stored(Enum):
    """What became of a fact on its way into the database."""

    WRITTEN = "written"
    REDACTED = "redacted"  # written without its texts
    SKIPPED = "skipped"  # known already, or about a suggestion that is not there


def store(connection: Connection, fact: Fact, is_secret_file: Callable[[str], bool]) -> Stored:
    """Write one fact. The caller refuses suggestions in secret files; here their documents are looked at."""
    match fact:
        case Suggestion():
            return _suggestion(connection, fact, is_secret_file)
        case Settled():
            return _settled(connection, fact)
        case Signal():
            return _signal(connection, fact)
    if workspace_of(connection, fact.suggestion) is None:  # never offered, erased, or recorded without consent
        return Stored.SKIPPED
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


def _suggestion(connection: Connection, fact: Suggestion, is_secret_file: Callable[[str], bool]) -> Stored:
    redacted = any(is_secret_file(document.path) for document in fact.documents) or holds_secret(
        _scanned(fact), fact.path
    )
    values = {
        "id": fact.id,
        "at": fact.at,
        "workspace": fact.workspace,
        "path": fact.path,
        "language": fact.language,
        "version": fact.version,
        "line": fact.line,
        "column": fact.column,
        "length": len(fact.text),
        "logprobs": [_short(value) for value in fact.logprobs],
        "base": fact.base,
        "adapter": fact.adapter,
        "seconds": fact.seconds,
        "redacted": redacted,
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


def _scanned(fact: Suggestion) -> Sequence[str]:
    """Every text, joined where they meet: `password = "` and `hunter2"` are a secret only together."""
    return (
        fact.prefix + fact.suffix,
        fact.prefix[fact.prefix.rfind("\n") + 1 :] + fact.text + fact.suffix.partition("\n")[0],
        *(document.text for document in fact.documents),
    )


def _settled(connection: Connection, fact: Settled) -> Stored:
    row = connection.execute(
        select(schema.suggestions.c.redacted, schema.suggestions.c.path, schema.texts.c.text)
        .outerjoin(schema.texts, schema.texts.c.hash == schema.suggestions.c.prefix)
        .where(schema.suggestions.c.id == fact.suggestion)
    ).one_or_none()
    if row is None:
        return Stored.SKIPPED
    without, path, prefix = row
    if not without:
        line = (prefix or "").rpartition("\n")[2]
        without = holds_secret((line + fact.text,), path)
    values = {
        "suggestion": fact.suggestion,
        "at": fact.at,
        "length": len(fact.text),
        "text": None if without else _text(connection, fact.text),
    }
    if not insert_once(connection, schema.settled, values):
        return Stored.SKIPPED
    return Stored.REDACTED if without else Stored.WRITTEN


def _signal(connection: Connection, fact: Signal) -> Stored:
    bare = fact.text is None or holds_secret((fact.text,), fact.path)
    values = {one.name: getattr(fact, one.name) for one in fields(fact)}
    values["values"] = dict(fact.values)
    values["text"] = None if bare or fact.text is None else _text(connection, fact.text)
    if not insert_once(connection, schema.signals, values):
        return Stored.SKIPPED
    return Stored.REDACTED if bare and fact.text is not None else Stored.WRITTEN


def _text(connection: Connection, text: str) -> str:
    """Store a text under its hash. Lone surrogates (half of a character, in a broken editor) become `?`."""
    clean = text.encode("utf-8", "replace").decode("utf-8")
    address = schema.text_hash(clean)
    insert_once(connection, schema.texts, {"hash": address, "text": clean})
    return address
