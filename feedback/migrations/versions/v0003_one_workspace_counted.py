"""Indexes in the order of suggestions: one workspace is counted by walking them side by side."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_decisions_shown", "decisions")
    op.create_index("ix_decisions_suggestion_shown", "decisions", ["suggestion", "shown"])
    op.create_index("ix_suggestions_workspace_id", "suggestions", ["workspace", "id", "at", "redacted"])


def downgrade() -> None:
    raise NotImplementedError("The feedback database only moves forward: restore the backup that lies beside it.")
