"""What is read of a folder on disk for an agent: its own plain files, no secrets, and nothing that waits for ever."""

import os
import sys
from pathlib import Path

import pytest

from agent.project import ToolError, checked
from index.builder import Builder
from index.database import lock
from server.disk_project import DiskProject, read_inside
from server.linters.settings import LinterSettings


def test_what_version_control_keeps_is_not_the_projects(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").write_text("url = https://token@example.com\n")
    (tmp_path / "link").symlink_to(tmp_path / ".git" / "config")
    for path in (".git/config", ".GIT/config", "sub/.git/hooks/pre-commit"):
        with pytest.raises(ToolError, match="may hold secrets"):
            checked(path)
    with pytest.raises(ToolError, match="may hold secrets"):
        read_inside(tmp_path.resolve(), "link")


def test_a_byte_order_mark_is_not_part_of_the_text(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(b"\xef\xbb\xbfx = 1\n")
    assert read_inside(tmp_path.resolve(), "a.py") == "x = 1\n"


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such files")
def test_a_file_that_nobody_writes_to_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.py")
    with pytest.raises(ToolError, match="no plain file"):
        read_inside(tmp_path.resolve(), "a.py")


async def test_search_answers_while_an_editor_builds_the_index(tmp_path: Path) -> None:
    (tmp_path / "volcano.py").write_text("def erupt():\n    return 'lava'\n")
    Builder(tmp_path, None).build()
    project = DiskProject(tmp_path, None, LinterSettings(), lambda text: None)
    taken = lock(tmp_path)
    found = await project.find("erupt", 3, None)
    taken.release()
    await project.close()
    assert [hit.path for hit in found] == ["volcano.py"]
