"""The first tables: suggestions and the facts about them, texts by content, consents."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _suggestion() -> "sa.Column[str]":
    return sa.Column("suggestion", sa.String(64), sa.ForeignKey("suggestions.id", ondelete="CASCADE"), primary_key=True)


def _text(name: str) -> "sa.Column[str]":
    return sa.Column(name, sa.String(64), sa.ForeignKey("texts.hash"), nullable=True)


def upgrade() -> None:
    op.create_table(
        "texts",
        sa.Column("hash", sa.String(64), primary_key=True),
        sa.Column("text", sa.Text, nullable=False),
    )
    op.create_table(
        "suggestions",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("workspace", sa.Text, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("language", sa.String(64), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("line", sa.Integer, nullable=False),
        sa.Column("column", sa.Integer, nullable=False),
        sa.Column("length", sa.Integer, nullable=False),
        sa.Column("logprobs", sa.JSON, nullable=False),
        sa.Column("base", sa.Text, nullable=False),
        sa.Column("adapter", sa.Text, nullable=True),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.Column("redacted", sa.Boolean, nullable=False),
        _text("prefix"),
        _text("suffix"),
        _text("text"),
    )
    op.create_index("ix_suggestions_workspace_at", "suggestions", ["workspace", "at"])
    op.create_index("ix_suggestions_path", "suggestions", ["path"])
    for column in ("prefix", "suffix", "text"):
        op.create_index(f"ix_suggestions_{column}", "suggestions", [column])
    op.create_table(
        "documents",
        _suggestion(),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("path", sa.Text, nullable=False),
        _text("text"),
    )
    op.create_index("ix_documents_text", "documents", ["text"])
    op.create_table(
        "decisions",
        _suggestion(),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("shown", sa.Boolean, nullable=False),
        sa.Column("p_accept", sa.Float, nullable=True),
        sa.Column("propensity", sa.Float, nullable=False),
        sa.Column("rule", sa.Text, nullable=False),
    )
    op.create_table(
        "outcomes",
        _suggestion(),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("length", sa.Integer, nullable=False),
        sa.Column("rule", sa.Text, nullable=False),
        sa.Column("confidence", sa.Float, nullable=False),
    )
    op.create_index("ix_outcomes_kind", "outcomes", ["kind"])
    op.create_table(
        "settled",
        _suggestion(),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("length", sa.Integer, nullable=False),
        _text("text"),
    )
    op.create_index("ix_settled_at", "settled", ["at"])
    op.create_index("ix_settled_text", "settled", ["text"])
    op.create_table(
        "survival",
        _suggestion(),
        sa.Column("age", sa.Integer, primary_key=True),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("kept", sa.Float, nullable=False),
    )
    op.create_table(
        "consents",
        sa.Column("workspace", sa.Text, primary_key=True),
        sa.Column("value", sa.String(16), nullable=False),
        sa.Column("at", sa.Float, nullable=False),
    )


def downgrade() -> None:
    for table in ("consents", "survival", "settled", "outcomes", "decisions", "documents", "suggestions", "texts"):
        op.drop_table(table)
