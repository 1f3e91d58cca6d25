"""What clients reported, commits, checks, signals; facts in the order of their suggestion."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_IN_ORDER = {"sqlite_with_rowid": False}
_KEYED_BY_SUGGESTION = ("documents", "decisions", "outcomes", "settled", "survival")


def _suggestion() -> "sa.Column[str]":
    return sa.Column("suggestion", sa.String(64), sa.ForeignKey("suggestions.id", ondelete="CASCADE"), primary_key=True)


def upgrade() -> None:
    op.drop_index("ix_outcomes_kind", "outcomes")
    added = {
        "decisions": sa.Column("features", sa.JSON, nullable=True),
        "survival": sa.Column("unreverted", sa.Float, nullable=False, server_default="1"),
    }
    for table in _KEYED_BY_SUGGESTION:
        with op.batch_alter_table(
            table, recreate="always" if op.get_bind().dialect.name == "sqlite" else "auto", table_kwargs=_IN_ORDER
        ) as batch:
            if table in added:
                batch.add_column(added[table])
    op.create_index("ix_outcomes_kind_length", "outcomes", ["kind", "length"])
    op.create_index("ix_decisions_shown", "decisions", ["shown"])
    op.create_index("ix_suggestions_at", "suggestions", ["at"])
    op.create_index("ix_suggestions_redacted", "suggestions", ["redacted"])
    kept = sa.text("prefix IS NOT NULL")
    op.create_index("ix_suggestions_texts", "suggestions", ["at"], sqlite_where=kept, postgresql_where=kept)
    op.create_table(
        "reports",
        _suggestion(),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("reported", sa.String(16), nullable=False),
        sa.Column("inferred", sa.String(16), nullable=False),
        sa.Column("rule", sa.Text, nullable=False),
        sa.Column("confidence", sa.Float, nullable=False),
        **_IN_ORDER,
    )
    op.create_table(
        "commits",
        _suggestion(),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("commit", sa.String(64), nullable=False),
        sa.Column("kept", sa.Float, nullable=False),
        **_IN_ORDER,
    )
    op.create_table(
        "checks",
        _suggestion(),
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("before", sa.Integer, nullable=False),
        sa.Column("after", sa.Integer, nullable=False),
        **_IN_ORDER,
    )
    op.create_table(
        "signals",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("workspace", sa.Text, nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("reference", sa.Text, nullable=False),
        sa.Column("values", sa.JSON, nullable=False),
        sa.Column("text", sa.String(64), sa.ForeignKey("texts.hash"), nullable=True),
    )
    op.create_index("ix_signals_kind_at", "signals", ["kind", "at"])
    op.create_index("ix_signals_text", "signals", ["text"])


def downgrade() -> None:
    raise NotImplementedError("The feedback database only moves forward: restore the backup that lies beside it.")
