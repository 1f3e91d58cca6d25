"""What the databases promise: vectors shared by all workspaces, a file of them mapped into memory, and no loss."""

import shutil
import sqlite3
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from index import vector_cache, vectors
from index.builder import CHUNKS_PER_BATCH, Builder
from index.database import database_path
from index.lexical import weights_of
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


class _Neighbour(CountingEncoder):
    """While this one embeds its first batch, another process embeds all chunks."""

    all: Sequence[bytes] = ()

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if not self.seen:
            there = VectorCache()
            there.put(self.model, self.all, super().encode([str(number) for number in range(len(self.all))]))
            there.close()
            self.seen.clear()
        return super().encode(texts)


def test_what_another_process_embeds_meanwhile_is_not_embedded_again(tmp_path: Path) -> None:
    root = repository(tmp_path, {f"{n}.py": f"def function_{n}():\n    return {n}\n" for n in range(100)})
    encoder = _Neighbour()
    with Builder(root, lambda: encoder) as builder:
        builder.build_words()
        encoder.all = builder._open_store().missing(encoder.model)
        assert builder.build_meaning() == 100
    assert len(encoder.seen) == CHUNKS_PER_BATCH
    assert Search(root, None).stats()["embedded"] == 100


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


@pytest.mark.usefixtures("small_files")
def test_a_file_of_ids_that_lost_its_content_is_done_without(root: Path) -> None:
    encoder = CountingEncoder()
    Builder(root, lambda: encoder).build()
    (file,) = base_files()
    file.with_suffix(".npy").write_bytes(b"")
    assert Search(root, encoder).search("function_9", by=frozenset({"meaning"}))


@pytest.mark.usefixtures("small_files")
def test_without_room_for_the_file_of_vectors_they_are_found_all_the_same(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(file: Path, array: object) -> None:
        file.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(vectors.np, "save", fail)
    encoder = CountingEncoder()
    Builder(root, lambda: encoder).build()
    assert [file.suffix for file in index_folder().iterdir() if file.suffix in (".faiss", ".npy")] == []
    assert Search(root, encoder).search("function_9", by=frozenset({"meaning"}))


def test_new_vectors_are_seen_though_no_file_has_changed(root: Path) -> None:
    encoder = CountingEncoder()
    with Builder(root, lambda: encoder) as builder:
        builder.build_words()
        search = Search(root, encoder)
        assert search.search("function_9", by=frozenset({"meaning"})) == []
        before = search.stats()["generation"]
        builder.build_meaning()
        assert search.stats()["generation"] == before
        assert search.search("function_9", by=frozenset({"meaning"}))


@pytest.mark.parametrize("base", [1, 1000])
def test_the_vector_of_a_file_that_is_gone_finds_nothing(
    root: Path, base: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors, "LEAST", base)
    encoder = CountingEncoder()
    Builder(root, lambda: encoder).build()
    search = Search(root, encoder)
    assert "9.py" in {hit.path for hit in search.search("function_9", by=frozenset({"meaning"}))}
    (root / "9.py").unlink()
    Builder(root, None).build()
    assert search._vectors is not None
    hits = search.search("function_9", limit=100, by=frozenset({"meaning"}))
    assert "9.py" not in {hit.path for hit in hits}
    assert len(search._vectors) == 40, "the vector itself is still there"


def test_vectors_of_files_that_are_gone_hide_none_of_those_that_are_there(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("index.search.DEPTH", 5)
    write(root, {"other.py": "class Volcano:\n    lava = None\n"})
    encoder = CountingEncoder()
    Builder(root, lambda: encoder).build()
    for name in FILES:
        (root / name).unlink()
    Builder(root, None).build()
    hits = Search(root, encoder).search("function_7", limit=1, by=frozenset({"meaning"}))
    assert [hit.path for hit in hits] == ["other.py"]


def test_vectors_that_the_cache_lost_are_embedded_again(root: Path) -> None:
    encoder = CountingEncoder()
    Builder(root, lambda: encoder).build()
    (index_folder() / "vectors.sqlite").write_bytes(b"damage")
    assert Builder(root, lambda: encoder).build().embedded == 40
    assert Search(root, encoder).search("function_9", by=frozenset({"meaning"}))
    with VectorCache()._opened() as cache:
        assert cache.execute("SELECT count(*) FROM vectors").fetchone()[0] == 40


def test_parts_are_kept_beside_vectors_for_who_has_some(tmp_path: Path) -> None:
    cache = VectorCache(tmp_path / "vectors.sqlite")
    rows = np.ones((2, 4), dtype=np.float32)
    parts = [np.arange(6, dtype=np.int8).reshape(3, 2), np.zeros((0, 2), dtype=np.int8)]
    cache.put("m", [b"a" * 16, b"b" * 16], rows, parts)
    cache.put("m", [b"c" * 16], rows[:1])
    found = cache.parts("m", [b"a" * 16, b"b" * 16, b"c" * 16, b"d" * 16])
    assert {digest: one.tolist() for digest, one in found.items()} == {b"a" * 16: [0, 1, 2, 3, 4, 5], b"b" * 16: []}
    assert set(cache.get("m", [b"a" * 16, b"c" * 16])) == {b"a" * 16, b"c" * 16}


@pytest.mark.parametrize("left", ["nothing", "another"])
def test_an_open_cache_notices_that_its_file_is_another_now(tmp_path: Path, left: str) -> None:
    cache = VectorCache(tmp_path / "cache/vectors.sqlite")
    one = np.ones((1, 64), dtype=np.float32)
    cache.put("m", [b"old"], one)
    before = cache.identity
    shutil.rmtree(cache.path.parent)
    other = VectorCache(cache.path)
    if left == "another":
        other.put("m", [b"other"], one)
    cache.put("m", [b"new"], one)
    assert cache.identity != before
    assert other.among("m", [b"old", b"other", b"new"]) == {b"new"} | ({b"other"} if left == "another" else set())


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


def test_what_a_word_weighs_stays_the_same_from_save_to_save(root: Path) -> None:
    def weights() -> dict[str, float]:
        store = Store.reader(root)
        assert store is not None
        (chunks,) = store.database.execute("SELECT count(*) FROM chunks").fetchone()
        assert store.fact("chunks") == chunks
        return weights_of(store.database, "function_7 return")

    builder = Builder(root, None)
    builder.build()
    before = weights()
    for number in range(5):
        write(root, {"1.py": f"def saved_{number}(x):\n    return x + 1\n", "new.py": "x = 1\n"})
        builder.update(["1.py", "new.py"])
    (root / "new.py").unlink()
    write(root, {"1.py": FILES["1.py"]})
    builder.update(["1.py", "new.py"])
    assert weights() == before


def test_the_least_recently_used_vectors_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = VectorCache(tmp_path / "vectors.sqlite")
    now = 1_000_000.0
    monkeypatch.setattr(vector_cache.time, "time", lambda: now)
    cache.put("m", [b"a", b"b"], np.eye(2, dtype=np.float32))
    before = cache.identity
    now += 200_000.0
    assert cache.identity != before, "so that whoever uses vectors asks for them"
    assert cache.among("m", [b"a", b"c"]) == {b"a"}
    assert cache.prune(most=1) == 1
    assert set(cache.get("m", [b"a", b"b"])) == {b"a"}
    assert cache.among("other", [b"a"]) == set()


def test_what_was_used_today_stays_however_much_it_is(tmp_path: Path) -> None:
    cache = VectorCache(tmp_path / "vectors.sqlite")
    cache.put("m", [b"a", b"b"], np.eye(2, dtype=np.float32))
    before = cache.identity
    assert cache.prune(most=1) == 0
    assert (set(cache.get("m", [b"a", b"b"])), cache.identity) == ({b"a", b"b"}, before)


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
