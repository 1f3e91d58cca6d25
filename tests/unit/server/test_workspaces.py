"""Which folder a file belongs to, however the editor spells it."""

import asyncio
from pathlib import Path

from server.settings import IndexSettings
from server.workspaces import Workspaces


def opened(*roots: Path) -> Workspaces:
    workspaces = Workspaces(IndexSettings(enabled=False), None, lambda root, message: None)
    for root in roots:
        workspaces.add(root)
    return workspaces


def test_a_folder_that_is_opened_through_a_link_holds_its_files(tmp_path: Path):
    (tmp_path / "real").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "real")
    workspaces = opened(link)
    for spelling in (link, tmp_path / "real"):
        found = workspaces.of(spelling / "src" / "a.py")
        assert found is not None
        assert found[1] == "src/a.py"


def test_the_innermost_folder_counts_and_a_stranger_has_none(tmp_path: Path):
    (tmp_path / "outer" / "inner").mkdir(parents=True)
    workspaces = opened(tmp_path / "outer", tmp_path / "outer" / "inner")
    found = workspaces.of(tmp_path / "outer" / "inner" / "a.py")
    assert found is not None
    assert found[0].root == tmp_path / "outer" / "inner"
    assert workspaces.of(tmp_path / "elsewhere.py") is None
    assert workspaces.of(None) is None


def test_a_folder_that_is_removed_holds_nothing(tmp_path: Path):
    workspaces = opened(tmp_path)
    asyncio.run(workspaces.remove(tmp_path))
    assert workspaces.of(tmp_path / "a.py") is None
