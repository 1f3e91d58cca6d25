"""What a feedback database holds, read past our own code."""

import sqlite3
from contextlib import closing
from pathlib import Path


def stored(place: Path) -> set[str]:
    """The ids of the suggestions in a database that is whole."""
    with closing(sqlite3.connect(place)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return {row[0] for row in connection.execute("SELECT id FROM suggestions")}
