"""The tables, as SQLAlchemy sees them. Not the way they came about: that is `feedback/migrations/`.

Numbers and texts lie apart: `texts` is addressed by content, so that a document that was read for a hundred
suggestions is stored once, and so that a suggestion whose texts must not be kept still counts in statistics.
Every fact about a suggestion goes when the suggestion goes (ON DELETE CASCADE). Signals are about the agent and the
search and stand alone. Rewards have no table: they are computed (`feedback.rewards`). Tables whose key is their
suggestion are stored in its order (WITHOUT ROWID): half the size. `REVISION` always equals the newest migration.
"""

import hashlib

from sqlalchemy import JSON, Boolean, Column, Float, ForeignKey, Index, Integer, MetaData, String, Table, Text, false

REVISION = "0004"

metadata = MetaData()

texts = Table(
    "texts",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("text", Text, nullable=False),
)


def _text_column(name: str) -> Column[str]:
    return Column(name, String(64), ForeignKey("texts.hash"), nullable=True, index=True)


def _suggestion_column() -> Column[str]:
    return Column("suggestion", String(64), ForeignKey("suggestions.id", ondelete="CASCADE"), primary_key=True)


suggestions = Table(
    "suggestions",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("at", Float, nullable=False),
    Column("workspace", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("language", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    Column("line", Integer, nullable=False),
    Column("column", Integer, nullable=False),
    Column("length", Integer, nullable=False),  # characters of the offered text, known even where the text is not kept
    Column("logprobs", JSON, nullable=False),
    Column("base", Text, nullable=False),
    Column("adapter", Text, nullable=True),
    Column("seconds", Float, nullable=False),
    Column("redacted", Boolean, nullable=False),  # its texts held a secret and were not stored
    Column("local", Boolean, nullable=False, server_default=false()),  # never to be sent, whatever was chosen
    _text_column("prefix"),
    _text_column("suffix"),
    _text_column("text"),
    Index("ix_suggestions_at", "at"),
    Index("ix_suggestions_workspace_at", "workspace", "at"),
    Index("ix_suggestions_workspace_id", "workspace", "id", "at", "redacted"),  # all that is counted of a workspace
    Index("ix_suggestions_path", "path"),
    Index("ix_suggestions_redacted", "redacted"),
)
Index(  # the oldest suggestions that still have texts
    "ix_suggestions_texts",
    suggestions.c.at,
    sqlite_where=suggestions.c.prefix.is_not(None),
    postgresql_where=suggestions.c.prefix.is_not(None),
)

documents = Table(
    "documents",
    metadata,
    _suggestion_column(),
    Column("position", Integer, primary_key=True),
    Column("path", Text, nullable=False),
    _text_column("text"),
    sqlite_with_rowid=False,
)

decisions = Table(
    "decisions",
    metadata,
    _suggestion_column(),
    Column("at", Float, nullable=False),
    Column("shown", Boolean, nullable=False),
    Column("p_accept", Float, nullable=True),
    Column("propensity", Float, nullable=False),
    Column("rule", Text, nullable=False),
    Column("features", JSON, nullable=True),  # what the gate saw, by name
    Index("ix_decisions_suggestion_shown", "suggestion", "shown"),
    sqlite_with_rowid=False,
)

outcomes = Table(
    "outcomes",
    metadata,
    _suggestion_column(),
    Column("at", Float, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("length", Integer, nullable=False),
    Column("rule", Text, nullable=False),
    Column("confidence", Float, nullable=False),
    Index("ix_outcomes_kind_length", "kind", "length"),
    sqlite_with_rowid=False,
)

settled = Table(
    "settled",
    metadata,
    _suggestion_column(),
    Column("at", Float, nullable=False, index=True),
    Column("length", Integer, nullable=False),
    _text_column("text"),
    sqlite_with_rowid=False,
)

survival = Table(
    "survival",
    metadata,
    _suggestion_column(),
    Column("age", Integer, primary_key=True),
    Column("at", Float, nullable=False),
    Column("kept", Float, nullable=False),
    Column("unreverted", Float, nullable=False, server_default="1"),
    sqlite_with_rowid=False,
)

reports = Table(
    "reports",
    metadata,
    _suggestion_column(),
    Column("at", Float, nullable=False),
    Column("reported", String(16), nullable=False),
    Column("inferred", String(16), nullable=False),
    Column("rule", Text, nullable=False),
    Column("confidence", Float, nullable=False),
    sqlite_with_rowid=False,
)

commits = Table(
    "commits",
    metadata,
    _suggestion_column(),
    Column("at", Float, nullable=False),
    Column("commit", String(64), nullable=False),
    Column("kept", Float, nullable=False),
    sqlite_with_rowid=False,
)

checks = Table(
    "checks",
    metadata,
    _suggestion_column(),
    Column("kind", String(16), primary_key=True),
    Column("at", Float, nullable=False),
    Column("before", Integer, nullable=False),
    Column("after", Integer, nullable=False),
    sqlite_with_rowid=False,
)

signals = Table(
    "signals",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("at", Float, nullable=False),
    Column("workspace", Text, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("path", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("reference", Text, nullable=False),
    Column("values", JSON, nullable=False),
    _text_column("text"),
    Index("ix_signals_kind_at", "kind", "at"),
)

consents = Table(
    "consents",
    metadata,
    Column("workspace", Text, primary_key=True),
    Column("value", String(16), nullable=False),
    Column("at", Float, nullable=False),
)

TEXT_COLUMNS: tuple[Column[str], ...] = (
    suggestions.c.prefix,
    suggestions.c.suffix,
    suggestions.c.text,
    documents.c.text,
    settled.c.text,
    signals.c.text,
)


def text_hash(text: str) -> str:
    """The address of a text: sha256 of its UTF-8 bytes, in hex."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
