"""The database opens, or says in one sentence why not, and is never lost."""

import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from feedback import schema
from feedback.database import DatabaseUnusable, find_database, open_database

ROOT = Path(__file__).resolve().parents[3]
OPEN = """
import sys
sys.path[:0] = sys.argv[2:]
from feedback.database import open_database
open_database(sys.argv[1]).dispose()
"""


def test_the_migrations_make_the_tables_of_the_schema(place: Path) -> None:
    engine = open_database(place)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), schema.metadata) == []
    engine.dispose()


def test_nobody_else_may_read_it(place: Path) -> None:
    open_database(place).dispose()
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700


def test_looking_for_a_database_does_not_make_one(place: Path) -> None:
    assert find_database(place) is None
    assert not place.parent.exists()


def test_processes_that_start_at_once_do_not_fight(place: Path) -> None:
    arguments = [sys.executable, "-c", OPEN, str(place), str(ROOT), str(ROOT / "server" / "launch")]
    started = [subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    assert [(process.communicate()[1], process.returncode) for process in started] == [("", 0)] * 3


def test_a_damaged_file_is_named_and_left_as_it_is(place: Path) -> None:
    place.parent.mkdir()
    place.write_bytes(b"this is not a database" * 100)
    with pytest.raises(DatabaseUnusable, match="damaged"):
        open_database(place)
    assert place.read_bytes() == b"this is not a database" * 100


def test_a_database_of_a_newer_version_is_refused(place: Path) -> None:
    open_database(place).dispose()
    with sqlite3.connect(place) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(DatabaseUnusable, match="newer Inkling"):
        open_database(place)


def test_a_url_works_as_well_as_a_path(place: Path) -> None:
    place.parent.mkdir()
    open_database(f"sqlite:///{place}").dispose()
    assert place.exists()


@pytest.mark.parametrize("url", ["nosuch://host/db", "://"])
def test_a_url_that_means_nothing_is_named(url: str) -> None:
    with pytest.raises(DatabaseUnusable, match="not a database URL"):
        open_database(url)
