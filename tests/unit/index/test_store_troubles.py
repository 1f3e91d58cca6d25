"""What the databases do where something is damaged, where the disk is full and where the system refuses a file."""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from index import vector_cache
from index.builder import Builder
from index.database import IndexBrokenError, IndexFullError, connect, database_path, is_full
from index.housekeeping import sweep
from index.search import Search
from index.store import Store
from index.vector_cache import VectorCache
from inkling.folders import index_folder
from tests.disks import tiny
from tests.unit.index.workspace import CountingEncoder, repository, write

FILES: dict[str, str | bytes] = {f"{n}.py": f"def function_{n}(x):\n    return x + {n}\n" for n in range(40)}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return repository(tmp_path / "workspace", FILES)


def many() -> dict[str, str | bytes]:
    return {f"{n}.py": f"def function_{n}(x): return {os.urandom(200).hex()!r}\n" for n in range(200)}


def damaged_within(cache: Path) -> None:
    """Overwrite the second half of a database that nobody has open."""
    with sqlite3.connect(cache) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    size = cache.stat().st_size
    with cache.open("r+b") as stream:
        stream.seek(size // 2 // 4096 * 4096)
        stream.write(b"\xff" * (size - stream.tell()))


def test_a_cache_that_is_damaged_somewhere_within_is_put_aside_and_filled_anew(tmp_path: Path) -> None:
    cache = VectorCache(tmp_path / "vectors.sqlite")
    hashes = [bytes([number // 256, number % 256]) * 8 for number in range(2000)]
    rows = np.ones((len(hashes), 64), dtype=np.float32)
    cache.put("m", hashes, rows)
    cache.close()
    damaged_within(cache.path)
    before = cache.identity
    assert cache.among("m", hashes) == set()
    assert cache.path.with_suffix(".broken").exists()
    assert cache.identity != before
    cache.put("m", hashes[:3], rows[:3])
    assert set(cache.get("m", hashes)) == set(hashes[:3])


def test_a_damaged_cache_leaves_search_by_words_and_is_embedded_again(tmp_path: Path) -> None:
    functions = (f"def function_{n}(x):\n    return {os.urandom(400).hex()!r}, x\n" for n in range(300))
    root = repository(tmp_path / "workspace", {f"{n}.py": text for n, text in enumerate(functions)})
    encoder = CountingEncoder()
    Builder(root, lambda: encoder).build()
    damaged_within(index_folder() / "vectors.sqlite")
    search = Search(root, encoder)
    assert search.search("function_7")[0].path == "7.py"
    assert Builder(root, lambda: encoder).build().embedded == 300
    assert "meaning" in search.search("function_7")[0].matched


def test_a_cache_that_is_no_database_any_more_is_kept_aside_and_said(tmp_path: Path) -> None:
    root = repository(tmp_path / "workspace", {"a.py": "def lava(): pass\n"})
    Builder(root, CountingEncoder).build()
    path = index_folder() / "vectors.sqlite"
    path.write_bytes(b"\0" * 100 + path.read_bytes()[100:])
    result = Builder(root, CountingEncoder).build()
    assert (result.embedded, len(result.notes)) == (1, 1)
    assert "were damaged" in result.notes[0]
    assert path.with_suffix(".broken").exists()
    assert Builder(root, CountingEncoder).build().notes == []


def test_a_cache_of_another_version_is_replaced_without_a_word(tmp_path: Path) -> None:
    root = repository(tmp_path / "workspace", {"a.py": "def lava(): pass\n"})
    Builder(root, CountingEncoder).build()
    path = index_folder() / "vectors.sqlite"
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 1")
    result = Builder(root, CountingEncoder).build()
    assert (result.embedded, result.notes) == (1, [])
    assert not path.with_suffix(".broken").exists()


def test_words_that_are_damaged_where_only_their_own_check_looks_are_made_anew(tmp_path: Path) -> None:
    root = repository(tmp_path / "workspace", many())
    Builder(root, None).build()
    with closing(sqlite3.connect(database_path(root), isolation_level=None)) as database:
        number, block = database.execute("SELECT id, block FROM words_data ORDER BY length(block) DESC").fetchone()
        database.execute("UPDATE words_data SET block = zeroblob(?) WHERE id = ?", (len(block), number))
        assert database.execute("PRAGMA quick_check").fetchone() == ("ok",)
    result = Builder(root, None).build()
    assert "was damaged" in result.notes[0]
    assert Search(root, None).search("function_7", by=frozenset({"words"}))[0].path == "7.py"


def test_a_reader_that_finds_damage_tells_the_writer(tmp_path: Path) -> None:
    root = repository(tmp_path / "workspace", many())
    with Builder(root, None) as builder:
        builder.build()
        blocks = builder._open_store().database.execute("SELECT id, block FROM words_data WHERE id > 10").fetchall()
        for number, block in blocks:
            builder._open_store().database.execute(
                "UPDATE words_data SET block = ? WHERE id = ?", (os.urandom(len(block)), number)
            )
        search = Search(root, None)
        assert search.search("function_7") == []
        assert builder.replaced
    notes = Builder(root, None).build().notes
    assert "was damaged" in notes[0]
    assert search.search("function_7")[0].path == "7.py"
    with Builder(root, None) as builder:
        assert not builder.replaced


def test_a_reader_that_cannot_even_open_it_tells_the_writer_that_has_it_open(root: Path) -> None:
    with Builder(root, None) as builder:
        builder.build()
        builder._open_store().database.execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
        path = database_path(root)
        path.write_bytes(b"\0" * 100 + path.read_bytes()[100:])
        assert Search(root, None).search("function_7") == []
        assert builder.replaced
    assert "was damaged" in Builder(root, None).build().notes[0]
    assert Search(root, None).search("function_7")[0].path == "7.py"


def test_a_text_that_is_no_text_any_more_is_damage(root: Path) -> None:
    Builder(root, None).build()
    with closing(sqlite3.connect(database_path(root), isolation_level=None)) as database:
        database.execute("UPDATE chunks SET text = CAST(x'ff' AS TEXT) WHERE text LIKE '%function_7(%'")
    search = Search(root, None)
    assert search.search("function_7") == []
    assert "was damaged" in Builder(root, None).build().notes[0]
    assert search.search("function_7")[0].path == "7.py"


def test_whoever_doubts_what_was_replaced_meanwhile_does_no_harm(root: Path) -> None:
    Builder(root, None).build()
    late = Store.reader(root)
    assert late is not None
    database_path(root).write_bytes(b"this is no database")
    assert Builder(root, None).build().changed == 40
    late.doubt()
    assert Builder(root, None).build().changed == 0


def test_what_was_put_aside_is_as_old_as_the_damage(root: Path) -> None:
    Builder(root, None).build()
    database_path(root).write_bytes(b"this is no database")
    os.utime(database_path(root), (0, 0))
    assert len(Builder(root, None).build().notes) == 1
    assert sweep() == []


def test_a_damaged_database_is_kept_aside_and_said_once(root: Path) -> None:
    Builder(root, None).build()
    database_path(root).write_bytes(b"this is no database")
    notes = Builder(root, None).build().notes
    assert len(notes) == 1
    assert "was damaged" in notes[0]
    assert database_path(root).with_suffix(".broken").read_bytes() == b"this is no database"
    assert Builder(root, None).build().notes == []


def test_a_full_disk_is_said_and_loses_nothing(root: Path) -> None:
    with Builder(root, None) as builder:
        builder.build()
        store = builder._open_store()
        pages = store.database.execute("PRAGMA page_count").fetchone()[0]
        store.database.execute(f"PRAGMA max_page_count = {pages}")
        write(root, {"big.py": "".join(f"def big_{n}(): return '{os.urandom(60).hex()}'\n" for n in range(2000))})
        with pytest.raises(IndexFullError, match="Free some space"):
            builder.build()
        assert [hit.name for hit in Search(root, None).search("function_7")][:1] == ["function_7"]
        store.database.execute("PRAGMA max_page_count = 1000000")
        builder.build()
    assert Search(root, None).search("big_7")[0].path == "big.py"


@pytest.fixture
def tiny_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The home of indexes on a disk of 4 MB."""
    with tiny(tmp_path / "disk", "4m") as folder:
        monkeypatch.setenv("INKLING_HOME", str(folder))
        yield folder


def filled(folder: Path) -> Path:
    """A file that takes all the room that is left."""
    path = folder / "filling"
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as stream:
        while stream.write(b"x" * 4096):
            pass
    return path


def test_on_a_full_disk_everything_that_was_indexed_is_found_and_nothing_is_lost(tiny_disk: Path, root: Path) -> None:
    encoder = CountingEncoder()
    Builder(root, lambda: encoder).build()
    embedded = len(encoder.seen)
    filling = filled(tiny_disk)
    assert Search(root, encoder).search("function_7")[0].name == "function_7"
    write(root, {"new.py": "def novel(): return 1\n"})
    with pytest.raises(IndexFullError, match="Free some space"):
        Builder(root, lambda: encoder).build()
    filling.unlink()
    assert Builder(root, lambda: encoder).build().embedded == 1
    assert len(encoder.seen) == embedded + 1
    assert Search(root, encoder).search("novel")[0].path == "new.py"


def test_without_a_cache_that_can_be_opened_search_goes_on(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Builder(root, CountingEncoder).build()

    def refuse(path: Path) -> sqlite3.Connection:
        if path.stem == "vectors":
            raise PermissionError(13, "Permission denied", str(path))
        return connect(path)

    with monkeypatch.context() as patch:
        patch.setattr(vector_cache, "connect", refuse)
        assert Search(root, CountingEncoder()).search("function_7")[0].name == "function_7"
        with pytest.raises(IndexBrokenError, match="Permission denied"):
            Builder(root, CountingEncoder).build()
    assert Builder(root, CountingEncoder).build().embedded == 0


@pytest.mark.parametrize("code", [sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE])
def test_a_used_up_share_of_the_disk_is_a_full_disk(code: int) -> None:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = code
    assert is_full(error)
