"""What is read of a folder on disk for an agent: its own plain files, no secrets, and nothing that waits for ever."""

import asyncio
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from agent.project import ToolError, checked
from index import files
from index.builder import Builder
from index.database import IndexFullError, lock
from server.disk_project import DiskProject, read_inside
from server.linters.settings import LinterSettings
from tests.unit.index.workspace import CountingEncoder


def test_what_version_control_keeps_is_not_the_projects(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").write_text("url = https://token@example.com\n")
    (tmp_path / "link").symlink_to(tmp_path / ".git" / "config")
    for path in (".git/config", ".GIT/config", ".git. /config", "sub/.git/hooks/pre-commit"):
        with pytest.raises(ToolError, match="may hold secrets"):
            checked(path)
    with pytest.raises(ToolError, match="may hold secrets"):
        read_inside(tmp_path.resolve(), "link")


@pytest.mark.parametrize("path", ["server.pem::$DATA", ".git::$INDEX_ALLOCATION/config", "notes.md:hidden"])
def test_another_name_that_windows_has_for_a_file_is_refused_there(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.project._WINDOWS", True)
    with pytest.raises(ToolError, match="has a colon"):
        checked(path)
    monkeypatch.setattr("agent.project._WINDOWS", False)
    assert checked(path) == path


def test_a_byte_order_mark_is_not_part_of_the_text(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(b"\xef\xbb\xbfx = 1\n")
    assert read_inside(tmp_path.resolve(), "a.py") == "x = 1\n"


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such files")
def test_a_file_that_nobody_writes_to_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.py")
    with pytest.raises(ToolError, match="no plain file"):
        read_inside(tmp_path.resolve(), "a.py")


@pytest.mark.parametrize("path", ["loop", "a\0b", "\ud800"])
def test_a_path_that_leads_nowhere_is_refused(tmp_path: Path, path: str) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(ToolError):
        read_inside(tmp_path.resolve(), path)


async def test_search_answers_while_an_editor_builds_the_index(tmp_path: Path) -> None:
    (tmp_path / "volcano.py").write_text("def erupt():\n    return 'lava'\n")
    Builder(tmp_path, None).build()
    project = DiskProject(tmp_path, None, LinterSettings(), lambda text: None)
    taken = lock(tmp_path)
    found = await project.find("erupt", 3, None)
    taken.release()
    await project.close()
    assert [hit.path for hit in found] == ["volcano.py"]


async def test_search_answers_from_what_is_indexed_when_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(builder: Builder) -> None:
        raise IndexFullError("The disk has no room.")

    (tmp_path / "volcano.py").write_text("def erupt():\n    return 'lava'\n")
    Builder(tmp_path, None).build()
    monkeypatch.setattr(Builder, "build_words", full)
    told: list[str] = []
    project = DiskProject(tmp_path, None, LinterSettings(), told.append)
    assert [hit.path for hit in await project.find("erupt", 3, None)] == ["volcano.py"]
    assert told == ["The disk has no room."]
    await project.close()


async def test_a_search_that_is_cancelled_builds_on_and_the_next_one_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "volcano.py").write_text("def erupt():\n    return 'lava'\n")
    began, let, threads, real = threading.Event(), threading.Event(), list[int](), files.walk

    def walk(*given: Any, **named: Any) -> files.Walk:
        threads.append(threading.get_ident())
        began.set()
        let.wait()
        return real(*given, **named)

    monkeypatch.setattr(files, "walk", walk)
    project = DiskProject(tmp_path, None, LinterSettings(), lambda text: None)
    first = asyncio.create_task(project.find("erupt", 3, None))
    await asyncio.to_thread(began.wait)
    first.cancel()
    second = asyncio.create_task(project.find("erupt", 3, None))
    await asyncio.wait({first})
    await asyncio.sleep(0)  # the second has asked for its build
    let.set()
    assert [hit.path for hit in await second] == ["volcano.py"]
    await project.close()
    assert (len(threads), len(set(threads))) == (2, 1)
    lock(tmp_path).release()


class HeldEncoder(CountingEncoder):
    """Embeds nothing before it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.let = threading.Event()

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.let.wait()
        return super().encode(texts)


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[HeldEncoder, DiskProject]:
    """A project of a hundred files that nothing of is embedded yet."""
    encoder = HeldEncoder()
    monkeypatch.setattr("index.builder.Embedder", lambda folder: encoder)
    monkeypatch.setattr("server.disk_project.Embedder", lambda folder: encoder)
    for number in range(100):
        (tmp_path / f"{number}.py").write_text(f"def function_{number}():\n    return 'lava'\n")
    return encoder, DiskProject(tmp_path, tmp_path, LinterSettings(), lambda text: None)


async def test_while_a_project_is_embedded_search_answers_by_words(
    large: tuple[HeldEncoder, DiskProject], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder, project = large
    with monkeypatch.context() as hasty:
        hasty.setattr("server.disk_project._PATIENCE", 0.05)
        (hit,) = await project.find("function_7", 1, None)
        assert (hit.path, "meaning" in hit.matched) == ("7.py", False)
    encoder.let.set()
    (hit,) = await project.find("function_7", 1, None)
    assert (hit.path, "meaning" in hit.matched) == ("7.py", True)
    await project.close()


async def test_a_project_that_is_closed_is_not_embedded_to_the_end(
    large: tuple[HeldEncoder, DiskProject], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder, project = large
    monkeypatch.setattr("server.disk_project._PATIENCE", 0.05)
    await project.find("function_7", 1, None)
    closing = asyncio.create_task(project.close())
    await asyncio.to_thread(project._urgent.wait)
    encoder.let.set()
    await closing
    assert len(encoder.seen) <= 33  # one batch, and perhaps a query
