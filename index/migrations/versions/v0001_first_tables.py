"""The first tables: files, their chunks and words, symbols, uses and imports, and which chunks have a vector.

Plain SQL, as FTS5 and STRICT have no other form.
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TABLES = (
    "CREATE TABLE facts (name TEXT PRIMARY KEY, value ANY) STRICT",
    """CREATE TABLE files (
      id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, language TEXT NOT NULL,
      size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, hash BLOB NOT NULL
    ) STRICT""",
    """CREATE TABLE chunks (
      id INTEGER PRIMARY KEY, file INTEGER NOT NULL REFERENCES files (id) ON DELETE CASCADE, hash BLOB NOT NULL,
      kind TEXT NOT NULL, name TEXT NOT NULL, scope TEXT NOT NULL,
      start_line INTEGER NOT NULL, end_line INTEGER NOT NULL,
      text TEXT NOT NULL, header TEXT NOT NULL, names TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX chunks_file ON chunks (file, start_line)",
    "CREATE INDEX chunks_hash ON chunks (hash)",
    """CREATE TABLE symbols (
      id INTEGER PRIMARY KEY, file INTEGER NOT NULL REFERENCES files (id) ON DELETE CASCADE, name TEXT NOT NULL,
      folded TEXT NOT NULL, kind TEXT NOT NULL, scope TEXT NOT NULL,
      line INTEGER NOT NULL, start INTEGER NOT NULL, end INTEGER NOT NULL
    ) STRICT""",
    "CREATE INDEX symbols_file ON symbols (file)",
    "CREATE INDEX symbols_folded ON symbols (folded)",
    # `lines` is a JSON list: one row per name and file takes a tenth of the room of one per place.
    """CREATE TABLE uses (
      name TEXT NOT NULL, file INTEGER NOT NULL REFERENCES files (id) ON DELETE CASCADE, lines TEXT NOT NULL,
      PRIMARY KEY (name, file)
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX uses_file ON uses (file)",
    """CREATE TABLE imports (
      file INTEGER NOT NULL REFERENCES files (id) ON DELETE CASCADE, line INTEGER NOT NULL, module TEXT NOT NULL,
      PRIMARY KEY (file, line, module)
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX imports_module ON imports (module)",
    """CREATE TABLE embedded (
      id INTEGER PRIMARY KEY AUTOINCREMENT, hash BLOB NOT NULL, model TEXT NOT NULL, UNIQUE (model, hash)
    ) STRICT""",
    """CREATE VIRTUAL TABLE words USING fts5 (
      text, names, path, content='', tokenize="unicode61 remove_diacritics 2 tokenchars '_'"
    )""",
    "CREATE VIRTUAL TABLE vocabulary USING fts5vocab (words, row)",
)


def upgrade() -> None:
    for table in _TABLES:
        op.execute(table)


def downgrade() -> None:
    for table in ("vocabulary", "words", "embedded", "imports", "uses", "symbols", "chunks", "files", "facts"):
        op.execute(f"DROP TABLE {table}")
