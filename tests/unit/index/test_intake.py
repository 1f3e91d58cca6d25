"""What a pass over the files takes in: what has no text is read once, and only text counts towards the limit."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from index import files
from index.builder import Builder
from index.outlining import EAGER
from index.search import Search
from index.store import Store
from tests.unit.index.workspace import CRASHING, KILLED, repository, write


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return repository(tmp_path / "workspace", {"alpha.py": "def alpha(): pass\n", "sub/beta.py": "def beta(): pass\n"})


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that are read, from here on."""
    paths: list[str] = []
    real = files.read

    def read(root: Path, path: str, *, max_bytes: int) -> files.Text:
        paths.append(path)
        return real(root, path, max_bytes=max_bytes)

    monkeypatch.setattr(files, "read", read)
    return paths


def test_what_has_no_text_is_read_once_and_again_when_it_changes(root: Path, reads: list[str]) -> None:
    write(root, {"a.png": b"\0", "b.py": "# @generated\n"})
    assert Builder(root, None).build().skipped == {"binary": 1, "generated": 1}
    assert sorted(reads) == ["a.png", "alpha.py", "b.py", "sub/beta.py"]
    reads.clear()
    builder = Builder(root, None)
    assert builder.build().skipped == builder.update(["a.png", "b.py"]).skipped == {"binary": 1, "generated": 1}
    assert reads == []
    write(root, {"b.py": "def gamma(): pass\n"})
    assert builder.update(["b.py"]).skipped == {}
    assert [hit.path for hit in Search(root, None).search("gamma")] == ["b.py"]
    (root / "a.png").unlink()
    builder.build()
    store = Store.reader(root)
    assert store is not None
    assert store.refused() == {}


def test_a_look_that_finds_no_text_changes_nothing_for_readers(root: Path) -> None:
    builder = Builder(root, None)
    builder.build()
    before = Search(root, None).stats()["generation"]
    write(root, {"a.png": b"\0"})
    builder.build()
    write(root, {"a.png": b"\0\0"})
    builder.update(["a.png"])
    (root / "a.png").unlink()
    builder.build()
    assert Search(root, None).stats()["generation"] == before


def indexed(root: Path) -> list[str]:
    store = Store.reader(root)
    assert store is not None
    return sorted(store.known())


def test_beyond_the_limit_files_are_left_out_and_a_note_says_so(root: Path) -> None:
    write(root, {f"{number}.py": "x = 1\n" for number in range(5)})
    result = Builder(root, None, max_files=3).build()
    assert (result.files, result.skipped) == (3, {"over the limit": 4})
    assert indexed(root) == ["0.py", "1.py", "2.py"]
    assert "first 3 files" in result.notes[0]


def test_only_files_with_text_count_towards_the_limit(root: Path) -> None:
    write(root, {f"{number}.png": b"\0" for number in range(9)})
    for _ in range(2):
        result = Builder(root, None, max_files=2).build()
        assert (result.files, result.skipped, result.notes) == (2, {"binary": 9}, [])
        assert indexed(root) == ["alpha.py", "sub/beta.py"]


def test_an_update_keeps_to_the_same_first_files_as_a_look_at_everything(root: Path) -> None:
    write(root, {f"{letter}.py": f"def {letter}(): pass\n" for letter in "abcde"})
    builder = Builder(root, None, max_files=3)
    builder.build()
    first = indexed(root)
    write(root, {"e.py": "def changed(): pass\n", "f/g.py": "x = 1\n"})
    assert builder.update(["e.py", "f"]).changed == 0
    (root / "a.py").unlink()
    builder.update(["a.py", "e.py"])
    assert indexed(root) == first[1:], "whose turn it is shows a look at everything"
    write(root, {"0.py": "x = 1\n", "1.py": "x = 1\n"})
    builder.update(["0.py", "1.py"])
    updated = indexed(root)
    assert updated == ["0.py", "1.py", "alpha.py"]
    builder.build()
    assert indexed(root) == updated


def test_an_update_that_fills_the_index_takes_the_first_files(root: Path) -> None:
    builder = Builder(root, None, max_files=3)
    builder.build()
    write(root, {f"new/{letter}.py": "x = 1\n" for letter in "abc"} | {"new/0.png": b"\0"})
    builder.update(["new"])
    updated = indexed(root)
    assert updated == ["alpha.py", "new/a.py", "new/b.py"]
    builder.build()
    assert indexed(root) == updated


def symbols(root: Path, name: str) -> list[str]:
    return [match.path for match in Search(root, None).symbols(name, 9)]


@pytest.fixture
def no_child(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """No process can be started to cut texts, until it is undone."""

    real = subprocess.Popen.__init__

    def fails(process: Any, command: Any, *given: Any, **named: Any) -> None:
        if "index.outlining" in str(command):
            raise BlockingIOError(11, "Resource temporarily unavailable")
        real(process, command, *given, **named)

    with monkeypatch.context() as patched:
        patched.setattr(subprocess.Popen, "__init__", fails)
        yield patched


@pytest.mark.parametrize("same_process", [True, False])
def test_a_file_that_had_no_child_is_cut_at_the_next_look(
    root: Path, no_child: pytest.MonkeyPatch, same_process: bool
) -> None:
    builder = Builder(root, None)
    result = builder.build()
    assert (result.files, result.changed, result.notes) == (2, 2, [])
    assert symbols(root, "alpha") == []
    assert [hit.path for hit in Search(root, None).search("alpha")] == ["alpha.py"], "words of it are there meanwhile"
    no_child.undo()
    builder = builder if same_process else Builder(root, None)
    assert builder.build().changed == 2
    assert (symbols(root, "alpha"), symbols(root, "beta")) == (["alpha.py"], ["sub/beta.py"])
    assert builder.build().changed == 0


def test_while_no_child_can_be_had_looks_change_nothing_and_become_rare(
    root: Path, no_child: pytest.MonkeyPatch, reads: list[str]
) -> None:
    builder = Builder(root, None)
    builder.build()
    before = Search(root, None).stats()["generation"]
    for _ in range(EAGER + 5):
        result = builder.build()
        assert (result.files, result.changed, result.removed, result.notes) == (2, 0, 0, [])
    assert reads.count("alpha.py") == 1 + EAGER
    assert Search(root, None).stats()["generation"] == before
    write(root, {"alpha.py": "def omega(): pass\n"})
    assert builder.build().changed == 1, "what changed is read whenever it changed"
    assert [hit.path for hit in Search(root, None).search("omega")] == ["alpha.py"]


def test_a_file_that_had_no_child_and_was_only_touched_is_cut_all_the_same(
    root: Path, no_child: pytest.MonkeyPatch
) -> None:
    builder = Builder(root, None)
    builder.build()
    os.utime(root / "alpha.py", (1, 1))
    builder.build()
    assert symbols(root, "alpha") == []
    no_child.undo()
    builder.update(["alpha.py"])
    assert (symbols(root, "alpha"), symbols(root, "beta")) == (["alpha.py"], [])


def test_files_that_had_no_child_keep_their_place_at_the_limit(root: Path, no_child: pytest.MonkeyPatch) -> None:
    builder = Builder(root, None, max_files=1)
    builder.build()
    assert builder.update(["sub/beta.py"]).changed == 0
    assert indexed(root) == ["alpha.py"]
    no_child.undo()
    builder.build()
    assert symbols(root, "alpha") == ["alpha.py"]


@pytest.mark.skipif(sys.platform == "win32", reason="a crash and an end by others are the same there")
def test_only_a_crash_is_held_against_a_file(root: Path, monkeypatch: pytest.MonkeyPatch, reads: list[str]) -> None:
    write(root, {"deadly.py": "def gamma(): pass\n"})
    with monkeypatch.context() as patched:
        patched.setattr("index.outlining._START", KILLED.format(signal=signal.SIGKILL.value))
        result = Builder(root, None).build()
        assert (result.files, result.notes, symbols(root, "gamma")) == (3, [], [])
        patched.setattr("index.outlining._START", CRASHING)
        (note,) = Builder(root, None).build().notes
        assert "crashes" in note
        assert "deadly.py" in note
    assert reads.count("deadly.py") == 2
    assert Builder(root, None).build().changed == 0
    assert reads.count("deadly.py") == 2, "it stays as it is until it changes"
    assert symbols(root, "gamma") == []
