"""All linters together: the real ruff, commands made here, and failures that cost only their own findings."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from agent.findings import Finding, Span
from agent.fix import LintIncompleteError, fix
from agent.shadow import apply
from server.linters.command import command_linter
from server.linters.hub import Linters
from server.linters.settings import LinterSettings

UNUSED = "import os\nimport sys\n\nprint(sys.argv)\n"
Make = Callable[..., Linters]


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
async def make(tmp_path: Path, said: list[str]) -> AsyncIterator[Make]:
    made: list[Linters] = []

    def create(settings: LinterSettings | None = None) -> Linters:
        hub = Linters(tmp_path, settings or LinterSettings(timeout_seconds=30.0), said.append)
        made.append(hub)
        return hub

    yield create
    for hub in made:
        await hub.close()


def codes(findings: list[Finding]) -> list[str]:
    return [finding.code for finding in findings]


def command(code: str, name: str = "toy", language: str = "python"):
    pattern = r"(?P<line>\d+): (?P<message>.*)"
    entry = {"name": name, "command": [sys.executable, "-c", code], "languages": [language], "pattern": pattern}
    return command_linter(entry, 0)


def trusted(*codes: str, ruff: bool = True, seconds: float = 30.0) -> LinterSettings:
    commands = tuple(command(code, f"toy{number}") for number, code in enumerate(codes))
    return LinterSettings(ruff=ruff, pyright=False, trusted=True, timeout_seconds=seconds, commands=commands)


@pytest.mark.parametrize("path", ["missing.py", "sp ace/é.py", "untitled:Untitled-1", "/nowhere/at/all/a.py"])
async def test_ruff_lints_text_that_is_on_no_disk(make: Make, path: str):
    (finding,) = await make().lint(path, "python", UNUSED)
    assert (finding.source, finding.code, finding.message) == ("ruff", "F401", "`os` imported but unused")
    assert apply(UNUSED, finding.fixes[0].edits) == UNUSED.removeprefix("import os\n")


async def test_unsaved_text_wins_over_the_file_on_disk(make: Make, tmp_path: Path):
    tmp_path.joinpath("a.py").write_text(UNUSED)
    assert await make().lint("a.py", "python", "print(1)\n") == []


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
async def test_positions_are_code_points_for_any_line_end(make: Make, end: str):
    text = end.join(["def f():", "\tx = '😀é', nowhere", "\treturn x", ""])
    found = await make().lint("a.py", "python", text)
    (finding,) = [finding for finding in found if finding.code == "F821"]
    assert finding.span == Span(1, 11, 1, 18)


async def test_syntax_errors_are_findings(make: Make):
    assert {finding.severity for finding in await make().lint("a.py", "python", "def f(:\n")} == {"error"}


async def test_the_workspaces_ruff_settings_count_and_changes_are_noticed(make: Make, tmp_path: Path):
    hub = make()
    settings = tmp_path / "ruff.toml"
    settings.write_text('[lint]\nselect = ["E"]\n')
    assert await hub.lint("a.py", "python", UNUSED) == []
    settings.write_text('[lint]\nselect = ["F401"]\n')
    hub.files_changed(["ruff.toml"])
    assert codes(await hub.lint("a.py", "python", UNUSED)) == ["F401"]


async def test_a_language_that_no_linter_knows_has_no_findings(make: Make, said: list[str]):
    assert await make().lint("a.txt", "plaintext", "import os") == []
    assert said == []


async def test_an_unused_import_is_mended_and_nothing_new_comes(make: Make):
    hub = make()
    (finding,) = await hub.lint("a.py", "python", UNUSED)
    result = await fix("a.py", UNUSED, finding, lint=hub.checker("python"))
    assert result.fixed
    assert result.text == "import sys\n\nprint(sys.argv)\n"


@pytest.mark.parametrize(
    ("text", "code"), [("try:\n    1 / 0\nexcept:\n    print()\n", "E722"), ("print(x)\n", "F821")]
)
async def test_a_finding_without_a_fix_is_told_honestly(make: Make, text: str, code: str):
    hub = make()
    finding = next(one for one in await hub.lint("a.py", "python", text) if one.code == code)
    result = await fix("a.py", text, finding, lint=hub.checker("python"))
    assert (result.fixed, result.text, result.tried) == (False, text, ())
    assert f"ruff {code}" in result.message
    assert "no fix" in result.message


async def test_findings_of_several_linters_come_together_in_order(make: Make):
    found = await make(trusted("print('3: last'); print('1: first')")).lint("a.py", "python", UNUSED)
    assert [finding.source for finding in found] == ["toy0", "ruff", "toy0"]


async def test_a_failing_linter_costs_only_its_own_findings_and_is_reported_once(make: Make, said: list[str]):
    hub = make(trusted("raise SystemExit('broken settings')"))
    for _ in range(2):
        assert codes(await hub.lint("a.py", "python", UNUSED)) == ["F401"]
    (message,) = said
    assert "toy0" in message
    assert "broken settings" in message


async def test_a_slow_linter_does_not_take_the_others_findings(make: Make, said: list[str]):
    hub = make(trusted("import time; time.sleep(600)", seconds=3.0))
    assert codes(await hub.lint("a.py", "python", UNUSED)) == ["F401"]
    assert len(said) == 1


async def test_a_failing_linter_makes_the_agents_answer_incomplete(make: Make):
    check = make(trusted("raise SystemExit('broken settings')")).checker("python")
    with pytest.raises(LintIncompleteError, match="broken settings"):
        await check("a.py", UNUSED)


async def test_nothing_of_an_untrusted_workspace_is_run(make: Make, said: list[str]):
    settings = LinterSettings(ruff=False, commands=(command("print('1: ran')"),))
    hub = make(settings)
    assert await hub.lint("a.py", "python", UNUSED) == []
    assert {name for name, state in hub.status().items() if "not trusted" in state} == {"toy", "pyright"}
    assert said == []


async def test_the_newest_version_wins_for_everybody_who_waits(make: Make):
    hub = make()
    answers = await asyncio.gather(
        *(hub.lint("a.py", "python", UNUSED if number < 5 else "print(1)\n", version=number) for number in range(6))
    )
    assert answers == [[]] * 6


async def test_an_older_version_that_comes_late_gets_the_newest_findings(make: Make):
    hub = make()
    newest = await hub.lint("a.py", "python", UNUSED, version=2)
    assert await hub.lint("a.py", "python", "print(1)\n", version=1) == newest


async def test_unnumbered_texts_of_one_path_each_get_their_own_findings(make: Make):
    hub = make()
    texts = [UNUSED, "print(1)\n"] * 4
    answers = await asyncio.gather(*(hub.lint("a.py", "python", text) for text in texts))
    assert [codes(answer) for answer in answers] == [["F401"], []] * 4


async def test_a_cancelled_caller_does_not_take_the_answer_from_the_newer_one(make: Make):
    hub = make()
    await hub.lint("a.py", "python", "")
    older = asyncio.create_task(hub.lint("a.py", "python", "print(1)\n", version=1))
    await asyncio.sleep(0)
    newer = asyncio.create_task(hub.lint("a.py", "python", UNUSED, version=2))
    await asyncio.sleep(0)
    older.cancel()
    assert codes(await newer) == ["F401"]
    assert older.cancelled()


async def test_a_document_can_be_closed_and_opened_again(make: Make):
    hub = make()
    for _ in range(2):
        assert codes(await hub.lint("a.py", "python", UNUSED, version=1)) == ["F401"]
        await hub.forget("a.py")


async def test_after_close_nothing_is_linted_and_nobody_is_left_waiting(make: Make):
    hub = make(trusted("import time; time.sleep(600)", ruff=False))
    waiting = asyncio.create_task(hub.lint("a.py", "python", UNUSED, version=1))
    await asyncio.sleep(0)
    await hub.close()
    assert await waiting == []
    assert await hub.lint("a.py", "python", UNUSED) == []


async def test_many_documents_are_linted_at_once(make: Make):
    hub = make()
    answers = await asyncio.gather(*(hub.lint(f"{number}.py", "python", UNUSED) for number in range(40)))
    assert all(codes(answer) == ["F401"] for answer in answers)
    assert codes(await hub.lint("0.py", "python", UNUSED)) == ["F401"]
