"""Files that have no text for us, so that each look need not read them again to find that out."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """CREATE TABLE refused (
          path TEXT PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, reason TEXT NOT NULL
        ) STRICT, WITHOUT ROWID"""
    )


def downgrade() -> None:
    op.execute("DROP TABLE refused")
