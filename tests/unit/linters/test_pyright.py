"""The real pyright, where basedpyright is installed: the plain wrapper may have to download node first."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from server.linters import programs
from server.linters.hub import Linters
from server.linters.settings import LinterSettings

pytestmark = pytest.mark.skipif(
    programs.find("basedpyright-langserver", None, trusted=True) is None, reason="basedpyright is not installed"
)


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Linters]:
    said: list[str] = []
    made = Linters(tmp_path, LinterSettings(ruff=False, trusted=True, timeout_seconds=60.0), said.append)
    yield made
    await made.close()
    assert said == []


@pytest.mark.slow
@pytest.mark.parametrize("path", ["a.py", "sp ace/é.py", "untitled:Untitled-1"])
async def test_types_are_checked_in_text_that_is_on_no_disk(hub: Linters, path: str):
    line = "y = '😀'; z: int = y"
    (finding,) = await hub.lint(path, "python", f"x: int = 1\n{line}\n")
    assert (finding.source, finding.code, finding.severity) == ("pyright", "reportAssignmentType", "error")
    assert (finding.span.line, finding.span.column) == (1, line.rindex("y"))


@pytest.mark.slow
async def test_every_text_gets_its_own_answer(hub: Linters):
    texts = ["x: int = ''\n", "x: int = 1\n", "x: int = 1\n", "x: int = ''\n"]
    assert [len(await hub.lint("a.py", "python", text)) for text in texts] == [1, 0, 0, 1]
