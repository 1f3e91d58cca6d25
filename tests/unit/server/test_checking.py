"""Faults are counted with a real linter, on the text without a suggestion and with it."""

from pathlib import Path

from agent.findings import Finding
from feedback.records import Check
from inkling.errors import InklingError
from server.checking import Taken, checks
from server.linters.hub import Linters
from server.linters.settings import LinterSettings


def taken(content: str, offset: int, text: str, replaces: int = 0) -> Taken:
    return Taken("s", "file:///a.py", "python", content, offset, text, replaces)


async def counted(tmp_path: Path, one: Taken) -> list[tuple[str, int, int]]:
    linters = Linters(tmp_path, LinterSettings(ruff=True, pyright=False), lambda message: None)
    try:
        return [(c.kind, c.before, c.after) for c in await checks(one, linters.checker("python"), 5.0)]
    finally:
        await linters.close()


async def test_a_harmless_text_brings_no_fault(tmp_path: Path):
    assert await counted(tmp_path, taken("import os\n", 10, "# later\n")) == [("syntax", 0, 0), ("lint", 1, 1)]


async def test_a_new_finding_is_counted(tmp_path: Path):
    syntax, lint = await counted(tmp_path, taken("import os\n", 10, "import json\n"))
    assert syntax == ("syntax", 0, 0)
    assert lint[2] > lint[1] == 1


async def test_a_broken_syntax_is_counted_apart(tmp_path: Path):
    syntax, _ = await counted(tmp_path, taken("import os\n", 10, "x = (\n"))
    assert syntax[2] > syntax[1] == 0


def test_the_text_after_has_nothing_but_the_suggestion_added():
    assert taken("f()", 2, "a, b)", 1).after == "f(a, b)"


async def test_a_linter_that_fails_means_that_nothing_is_known():
    async def fails(path: str, text: str) -> list[Finding]:
        raise InklingError("the linter is gone")

    found: list[Check] = await checks(taken("", 0, "x"), fails, 1.0)
    assert found == []
