"""One fact, one row: how facts and their texts get into the tables, inside a transaction that somebody else opened.

It decides nothing about consent and starts no transaction. A fact that is there already stays as it is; a fact
about a suggestion that is not there is not stored. Texts with a secret in them are never stored.
"""

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any

from sqlalchemy import Connection, select

from feedback import schema
from feedback.database import insert_once
from feedback.records import Decision, Fact, Outcome, Settled, Suggestion, Survival
from feedback.redaction import holds_secret


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
        case Decision():
            table = schema.decisions
            values: dict[str, Any] = {
                "at": fact.at,
                "shown": fact.shown,
                "p_accept": fact.p_accept,
                "propensity": fact.propensity,
                "rule": fact.rule,
            }
        case Outcome():
            table = schema.outcomes
            values = {
                "at": fact.at,
                "kind": fact.kind,
                "length": fact.length,
                "rule": fact.rule,
                "confidence": fact.confidence,
            }
        case Survival():
            table = schema.survival
            values = {"at": fact.at, "age": fact.age, "kept": fact.kept}
    if workspace_of(connection, fact.suggestion) is None:  # never offered, erased, or recorded without consent
        return Stored.SKIPPED
    new = insert_once(connection, table, {"suggestion": fact.suggestion, **values})
    return Stored.WRITTEN if new else Stored.SKIPPED


def workspace_of(connection: Connection, suggestion: str) -> str | None:
    """The workspace of a stored suggestion; None if it is not stored."""
    return connection.execute(
        select(schema.suggestions.c.workspace).where(schema.suggestions.c.id == suggestion)
    ).scalar()


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
        "logprobs": list(fact.logprobs),
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


def _text(connection: Connection, text: str) -> str:
    """Store a text under its hash. Lone surrogates (half of a character, in a broken editor) become `?`."""
    clean = text.encode("utf-8", "replace").decode("utf-8")
    address = schema.text_hash(clean)
    insert_once(connection, schema.texts, {"hash": address, "text": clean})
    return address
