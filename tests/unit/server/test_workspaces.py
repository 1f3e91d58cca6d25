"""Which folder a file belongs to, however the editor spells it."""

import asyncio
from pathlib import Path

from index.builder import Builder
from server.diagnostics import Diagnostics
from server.documents import Documents
from server.linters.settings import LinterSettings
from server.session_project import SessionProject
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


def indexed(root: Path, text: str) -> Path:
    root.mkdir()
    (root / "a.py").write_text(text)
    Builder(root, None).build()
    return root


async def test_two_clones_show_a_hit_once(tmp_path: Path):
    text = "def volcano():\n    return 'lava'\n"
    workspaces = opened(indexed(tmp_path / "one", text), indexed(tmp_path / "two", text))
    assert [named.name for named, _ in await workspaces.search("lava", limit=5)] == ["one"]
    await workspaces.close()


async def test_an_exact_name_in_the_last_folder_stands_before_loose_ones_in_the_first(tmp_path: Path):
    loose = "".join(f"def v{'x' * n}olcano():\n    pass\n\n\n" for n in range(1, 30))
    exact = "def volcano():\n    return 'lava'\n"
    workspaces = opened(indexed(tmp_path / "one", loose), indexed(tmp_path / "two", exact))
    (named, symbol), *_ = await workspaces.symbols("volcano", 5)
    assert (named.name, symbol.name) == ("two", "volcano")
    await workspaces.close()


async def test_an_agent_searches_its_own_folder_however_well_another_fits(tmp_path: Path):
    texts = {"mine": "def grow():\n    return volcano\n", "theirs": "def volcano():\n    return 'lava'\n"}
    for name, text in texts.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.py").write_text(text)
        Builder(tmp_path / name, None).build()
    workspaces = opened(tmp_path / "mine", tmp_path / "theirs")
    assert [named.name for named, _ in await workspaces.search("volcano", limit=1)] == ["theirs"]
    folder = workspaces.folder_of(tmp_path / "mine" / "a.py")
    assert folder is not None
    diagnostics = Diagnostics(workspaces, LinterSettings(), lambda message: None, None)
    project = SessionProject(folder, workspaces, Documents(), diagnostics)
    assert [hit.name for hit in await project.find("volcano", 1, None)] == ["grow"]
    await workspaces.remove(tmp_path / "mine")
    assert await project.find("volcano", 1, None) == []
    await workspaces.close()
