"""What the databases promise: vectors shared by all workspaces, a file of them mapped into memory, and no loss."""

import os
import sqlite3
import subprocess
from pathlib import Path

import numpy as np
import pytest

from index import vector_cache, vectors
from index.builder import Builder
from index.database import IndexFullError, database_path
from index.search import Search
from index.store import Store
from index.vector_cache import VectorCache
from index.vectors import Vectors
from inkling.folders import index_folder
from tests.unit.index.workspace import CountingEncoder, repository, write

FILES: dict[str, str | bytes] = {f"{n}.py": f"def function_{n}(x):\n    return x + {n}\n" for n in range(40)}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return repository(tmp_path / "workspace", FILES)


@pytest.fixture
def small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every build writes the file of vectors."""
    monkeypatch.setattr(vectors, "LEAST", 1)
    monkeypatch.setattr(vectors, "STALE", 0.0)


def git(root: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True)


def base_files() -> list[Path]:
    return sorted(index_folder().glob("*.faiss"))


def test_a_clone_and_a_worktree_embed_nothing_again(root: Path, tmp_path: Path) -> None:
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "all")
    Builder(root, CountingEncoder).build()
    git(root, "clone", "-q", str(root), str(tmp_path / "clone"))
    git(root, "worktree", "add", "-q", str(tmp_path / "tree"))
    for other in ("clone", "tree"):
        encoder = CountingEncoder()
        assert Builder(tmp_path / other, lambda encoder=encoder: encoder).build().changed == 40
        assert encoder.seen == []
        hits = Search(tmp_path / other, CountingEncoder()).search("function_7", by=frozenset({"meaning"}))
        assert "7.py" in [hit.path for hit in hits]


def test_a_branch_switch_embeds_only_what_no_branch_had(root: Path) -> None:
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "one")
    encoder = CountingEncoder()
    builder = Builder(root, lambda: encoder)
    builder.build()
    git(root, "checkout", "-q", "-b", "two")
    write(root, {f"{n}.py": f"def changed_{n}(x):\n    return x - {n}\n" for n in range(10)})
    git(root, "commit", "-q", "-a", "-m", "two")
    builder.build()
    assert len(encoder.seen) == 50
    git(root, "checkout", "-q", "-")
    assert builder.build().changed == 10
    assert len(encoder.seen) == 50
    hits = Search(root, encoder).search("function_3", by=frozenset({"meaning"}))
    assert "3.py" in [hit.path for hit in hits]


@pytest.mark.usefixtures("small_files")
@pytest.mark.parametrize("flat", [100_000, 10])
def test_vectors_come_from_the_file_and_from_what_was_bound_later(
    root: Path, flat: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors, "FLAT", flat)
    encoder = CountingEncoder()
    Builder(root, lambda: encoder).build()
    assert len(base_files()) == 1
    search = Search(root, encoder)
    assert "9.py" in [hit.path for hit in search.search("function_9", by=frozenset({"meaning"}))]
    monkeypatch.setattr(vectors, "LEAST", 1000)
    write(root, {"new.py": "def brand_new(): pass\n", "9.py": "def gone_now(): pass\n"})
    Builder(root, lambda: encoder).build()
    assert search.search("brand_new", by=frozenset({"meaning"}))[0].path == "new.py"
    assert {hit.path for hit in search.search("function_3", path="3.py", by=frozenset({"meaning"}))} == {"3.py"}


@pytest.mark.usefixtures("small_files")
def test_the_old_file_of_vectors_goes_and_a_damaged_one_is_done_without(root: Path) -> None:
    encoder = CountingEncoder()
    Builder(root, lambda: encoder).build()
    write(root, {"new.py": "def brand_new(): pass\n"})
    Builder(root, lambda: encoder).build()
    (file,) = base_files()
    file.write_bytes(b"damage")
    assert Search(root, encoder).search("brand_new", by=frozenset({"meaning"}))[0].path == "new.py"


def test_vectors_that_the_cache_lost_are_embedded_again(root: Path) -> None:
    encoder = CountingEncoder()
    Builder(root, lambda: encoder).build()
    (index_folder() / "vectors.sqlite").write_bytes(b"damage")
    assert Builder(root, lambda: encoder).build().embedded == 40
    assert Search(root, encoder).search("function_9", by=frozenset({"meaning"}))
    with VectorCache()._opened() as cache:
        assert cache.execute("SELECT count(*) FROM vectors").fetchone()[0] == 40


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


def test_symbols_uses_and_imports_of_a_file_are_kept_and_go_with_it(tmp_path: Path) -> None:
    root = repository(tmp_path, {"a.py": "import os.path\n\n\ndef f():\n    go(1)\n    return go(2)\n"})

    def rows(sql: str) -> list[tuple[object, ...]]:
        with sqlite3.connect(database_path(root)) as database:
            return database.execute(sql).fetchall()

    Builder(root, None).build()
    assert rows("SELECT name, lines FROM uses") == [("go", "[4, 5]")]
    assert rows("SELECT module, line FROM imports") == [("os.path", 0)]
    (root / "a.py").unlink()
    Builder(root, None).build()
    assert rows("SELECT * FROM uses") == rows("SELECT * FROM imports") == []


def test_the_least_recently_used_vectors_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = VectorCache(tmp_path / "vectors.sqlite")
    now = 1_000_000.0
    monkeypatch.setattr(vector_cache.time, "time", lambda: now)
    cache.put("m", [b"a", b"b"], np.eye(2, dtype=np.float32))
    now += 200_000.0
    assert cache.among("m", [b"a", b"c"]) == {b"a"}
    assert cache.prune(most=1) == 1
    assert set(cache.get("m", [b"a", b"b"])) == {b"a"}
    assert cache.among("other", [b"a"]) == set()


def test_nearest_agrees_with_numpy(root: Path, small_files: None) -> None:
    encoder = CountingEncoder()
    Builder(root, lambda: encoder).build()
    store = Store.reader(root)
    assert store is not None
    held = Vectors(encoder.model)
    held.refresh(store)
    query = encoder.encode(["def function_21(x)"])[0]
    bound = store.embedded_after(encoder.model, 0)
    known = VectorCache().get(encoder.model, [digest for _, digest in bound])
    expected = sorted(((float(known[digest] @ query), number) for number, digest in bound), reverse=True)[:5]
    assert [round(score, 2) for _, score in held.nearest(query, 5)] == [round(score, 2) for score, _ in expected]
