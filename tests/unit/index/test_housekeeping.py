"""Indexes of folders that are gone are removed after a while, and nothing else is."""

import os
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from index.builder import Builder
from index.database import database_path, lock
from index.housekeeping import PATIENCE, sweep
from index.search import Search
from inkling.folders import index_folder
from tests.unit.index.workspace import CountingEncoder, repository


@pytest.fixture
def gone(tmp_path: Path) -> Path:
    """A workspace with an index and vectors that was removed."""
    root = repository(tmp_path / "gone", {"a.py": "def lava(): pass\n"})
    Builder(root, CountingEncoder).build()
    shutil.rmtree(root)
    return root


def kept_of(root: Path) -> list[Path]:
    path = database_path(root)
    return sorted(path.parent.glob(f"{path.stem}*"))


def test_what_is_left_of_a_folder_that_is_gone_is_removed_after_a_week(gone: Path, tmp_path: Path) -> None:
    there = repository(tmp_path / "there", {"a.py": "def ash(): pass\n"})
    Builder(there, CountingEncoder).build()
    assert sweep(time.time() + PATIENCE / 2) == []
    assert sweep(time.time() + 2 * PATIENCE) != []
    assert kept_of(gone) == []
    assert (index_folder() / "vectors.sqlite").exists()
    assert Search(there, CountingEncoder()).search("ash")[0].path == "a.py"


def test_an_index_that_somebody_writes_stays(gone: Path) -> None:
    with lock(gone):
        assert sweep(time.time() + 2 * PATIENCE) == []
    assert database_path(gone).exists()


def test_an_index_that_does_not_say_of_what_stays(gone: Path) -> None:
    with closing(sqlite3.connect(database_path(gone), isolation_level=None)) as database:
        database.execute("UPDATE facts SET value = '/home/me/caf\ufffd' WHERE name = 'root'")
    database_path(gone).with_name("0123.sqlite").write_bytes(b"no database")
    assert sweep(time.time() + 2 * PATIENCE) == []


def test_what_was_kept_aside_goes_after_a_week(tmp_path: Path) -> None:
    folder = index_folder()
    folder.mkdir(parents=True, exist_ok=True)
    old, new = folder / "vectors.broken", folder / "abc.broken"
    for path in (old, new):
        path.write_bytes(b"damaged")
    os.utime(old, (0, 0))
    assert sweep() == [old]
    assert new.exists()


def test_a_folder_that_was_indexed_today_is_waited_for_however_long_nothing_changed_in_it(gone: Path) -> None:
    os.utime(database_path(gone), (0, 0))
    gone.mkdir()
    with Builder(gone, None):
        pass
    gone.rmdir()
    assert sweep(time.time() + PATIENCE / 2) == []


@pytest.mark.parametrize("what", ["nothing", "a file"])
def test_without_a_folder_that_can_be_read_there_is_nothing_to_remove(what: str) -> None:
    shutil.rmtree(index_folder(), ignore_errors=True)
    if what == "a file":
        index_folder().parent.mkdir(parents=True, exist_ok=True)
        index_folder().write_text("")
    assert sweep() == []
