"""The database opens, or says in one sentence why not, and is never lost."""

import sqlite3
import stat
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from feedback import schema
from feedback.database import DatabaseUnusable, backups, find_database, open_database
from feedback.history import Selection, erase, show
from feedback.records import Decision, Outcome, Survival
from feedback.retention import Keep, prune
from tests.unit.feedback.postgres_server import BOTH_STORES

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


@BOTH_STORES
def test_an_error_tells_no_values(place: Path) -> None:
    engine = open_database(place)
    twice = text("INSERT INTO texts (hash, text) VALUES ('a', :text), ('a', :text)")
    with engine.connect() as connection, pytest.raises(DBAPIError) as caught:
        connection.execute(twice, {"text": "what I wrote"})
    engine.dispose()
    assert "what I wrote" not in str(caught.value)


def test_a_database_of_a_newer_version_is_refused(place: Path) -> None:
    open_database(place).dispose()
    with sqlite3.connect(place) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(DatabaseUnusable, match=r"newer Inkling .* Update Inkling as you installed it"):
        open_database(place)


def first_version(place: Path) -> None:
    """A database as the first release made it, with a suggestion in it."""
    place.parent.mkdir(parents=True)
    engine = create_engine(f"sqlite:///{place}")
    config = Config()
    config.set_main_option("script_location", str(ROOT / "feedback" / "migrations"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        values = "'a', 1.0, '/w', 'a.py', 'python', 1, 0, 0, 3, '[-0.1]', 'smol', NULL, 0.1, 0, NULL, NULL, NULL"
        connection.execute(text(f"INSERT INTO suggestions VALUES ({values})"))
        connection.execute(text("INSERT INTO outcomes VALUES ('a', 2.0, 'accepted', 3, 'client', 1.0)"))
        connection.execute(text("INSERT INTO decisions VALUES ('a', 1.0, 1, 0.5, 1.0, 'threshold')"))
        connection.execute(text("INSERT INTO survival VALUES ('a', 5, 7.0, 0.5)"))
    engine.dispose()


def test_a_migration_keeps_every_fact_and_leaves_a_copy_of_what_was(place: Path) -> None:
    first_version(place)
    engine = open_database(place)
    entry = show(engine, "a")
    assert entry.outcome == Outcome("a", 2.0, "accepted", 3, "client", 1.0)
    assert entry.decision == Decision("a", 1.0, True, 0.5, 1.0, "threshold")
    assert entry.survival == (Survival("a", 7.0, 5, 0.5),)
    engine.dispose()
    (copy,) = backups(place)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == ("0001",)
        assert connection.execute("SELECT id FROM suggestions").fetchone() == ("a",)


def test_a_migration_that_fails_leaves_the_database_as_it_was(place: Path) -> None:
    first_version(place)
    with closing(sqlite3.connect(place)) as connection:
        connection.execute("CREATE TABLE reports (already integer)")
    with pytest.raises(DatabaseUnusable):
        open_database(place)
    with closing(sqlite3.connect(place)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == ("0001",)
        assert connection.execute("SELECT kind FROM outcomes").fetchone() == ("accepted",)


def test_erasing_takes_the_copies_along(place: Path) -> None:
    first_version(place)
    engine = open_database(place)
    erase(engine, Selection(ids=("a",)))
    engine.dispose()
    assert backups(place) == []


def test_copies_go_once_they_are_as_old_as_texts_may_be(place: Path) -> None:
    first_version(place)
    engine = open_database(place)
    prune(engine, Keep(days=10), now=time.time() + 9 * 86_400)
    assert len(backups(place)) == 1
    prune(engine, Keep(days=0), now=time.time() + 999 * 86_400)
    assert len(backups(place)) == 1
    prune(engine, Keep(days=10), now=time.time() + 11 * 86_400)
    assert backups(place) == []
    engine.dispose()


def test_a_url_works_as_well_as_a_path(place: Path) -> None:
    place.parent.mkdir()
    open_database(f"sqlite:///{place}").dispose()
    assert place.exists()


@pytest.mark.parametrize("url", ["nosuch://host/db", "://"])
def test_a_url_that_means_nothing_is_named(url: str) -> None:
    with pytest.raises(DatabaseUnusable, match="not a database URL"):
        open_database(url)
