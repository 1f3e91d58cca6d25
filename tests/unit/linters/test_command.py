"""A linter that is a command and a pattern: here the command is our own Python with a few lines."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from agent.findings import Span
from inkling.errors import UserError
from server.linters.command import CommandLinter, CommandRunner, command_linter, findings_of
from server.linters.linter import LintedText, LinterError

PATTERN = r"^(?P<file>[^:]+):(?P<line>\d+):(?P<column>\d+): (?P<code>\w+) (?P<message>.*)$"
FINDS_BAD = """
import sys
for row, line in enumerate(sys.stdin.buffer.read().decode().split("\\n"), 1):
    if "bad" in line:
        print(f"a.toy:{row}:{line.index('bad') + 1}: B1 bad is not good")
"""


def entry(**changes: object) -> dict[str, object]:
    return {
        "name": "toy",
        "command": [sys.executable, "-c", FINDS_BAD],
        "languages": ["toy"],
        "pattern": PATTERN,
        **changes,
    }


def runner(code: str, *, seconds: float = 20.0, root: Path | None = None, **changes: object) -> CommandRunner:
    linter = command_linter(entry(command=[sys.executable, "-c", code, "{file}"], **changes), 0)
    return CommandRunner(linter, root, timeout_seconds=seconds)


def text(content: str, path: str = "a.toy") -> LintedText:
    return LintedText(path, "untitled:a", "toy", content)


async def test_unsaved_text_goes_through_stdin():
    (finding,) = await runner(FINDS_BAD).lint(text("ok\n\t😀 bad\n"))
    assert (finding.span, finding.code, finding.message) == (Span(1, 3, 1, 6), "B1", "bad is not good")


async def test_a_tool_that_reads_no_stdin_gets_a_file_of_the_same_name_that_is_gone_afterwards():
    code = "import sys,pathlib; p=pathlib.Path(sys.argv[1]); print(f'{p.name}:1:1: X {p} {p.read_bytes()!r}')"
    (finding,) = await runner(code, stdin=False).lint(text("é\r\n", "sub/a.toy"))
    path, _, content = finding.message.partition(" ")
    assert content == repr("é\r\n".encode())
    assert os.path.basename(path) == "a.toy"  # noqa: PTH119
    assert not os.path.exists(path)  # noqa: ASYNC240, PTH110


async def test_a_tool_is_told_the_path_of_a_document_that_the_editor_calls_by_its_uri(tmp_path: Path):
    file = tmp_path / "sp ace.toy"
    code = "import sys; print('sp ace.toy:1:1: X ' + sys.argv[1])"
    (finding,) = await runner(code).lint(LintedText(file.as_uri(), file.as_uri(), "toy", "x"))
    assert finding.message == str(file)


async def test_lines_about_other_files_are_left_out():
    code = "print('b.toy:1:1: X other'); print('/elsewhere/a.toy:1:1: X mine'); print('no match')"
    assert [finding.message for finding in await runner(code).lint(text("x"))] == ["mine"]


async def test_a_tool_that_hangs_is_stopped():
    with pytest.raises(LinterError) as caught:
        await runner("import time; time.sleep(600)", seconds=0.5).lint(text("x"))
    assert caught.value.failure == "slow"


async def test_a_cancelled_tool_is_gone(tmp_path: Path):
    fifo = tmp_path / "pid"
    os.mkfifo(fifo)
    tool = runner(f"import os,time; open({str(fifo)!r}, 'w').write(str(os.getpid())); time.sleep(600)")
    task = asyncio.create_task(tool.lint(text("x")))
    pid = int(await asyncio.to_thread(fifo.read_text))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize(
    ("code", "failure"),
    [
        ("import sys; sys.exit('cannot read the settings')", "crashed"),
        ("import os; os.abort()", "crashed"),
        ("import sys\nwhile True: sys.stdout.write('x' * 100000)", "broken"),
    ],
)
async def test_a_tool_that_fails_says_so(code: str, failure: str):
    with pytest.raises(LinterError) as caught:
        await runner(code).lint(text("x"))
    assert caught.value.failure == failure


async def test_findings_with_an_exit_code_are_findings():
    code = "import sys; print('a.toy:1:1: X found'); sys.stderr.write('1 error'); sys.exit(1)"
    assert len(await runner(code).lint(text("x"))) == 1


async def test_invalid_utf8_and_noise_do_no_harm():
    said = "b'\\xff\\xfe\\na.toy:1:1: X found \\xff\\n'"
    code = f"import sys; sys.stderr.write('x' * 1000000); sys.stdout.buffer.write({said})"
    assert len(await runner(code).lint(text("x"))) == 1


async def test_a_tool_may_answer_without_reading_its_input():
    assert await runner("pass").lint(text("x" * 1_000_000)) == []


async def test_a_missing_program_is_named():
    linter = command_linter(entry(command=["no-such-linter-here"]), 0)
    with pytest.raises(LinterError, match="no-such-linter-here") as caught:
        await CommandRunner(linter, None, timeout_seconds=5).lint(text("x"))
    assert caught.value.failure == "missing"


@pytest.mark.parametrize(
    ("pattern", "words"),
    [("(", "not a regular expression"), ("x", r"\(\?P<line>"), (r"(?P<line>\d)(?P<message>.)(?P<nose>.)", "nose")],
)
def test_a_bad_pattern_names_its_setting(pattern: str, words: str):
    with pytest.raises(UserError, match=words) as caught:
        command_linter(entry(pattern=pattern), 3)
    assert "inkling.linters.commands[3].pattern" in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "setting"),
    [
        ({"name": 1}, "name"),
        ({"command": "ruff check"}, "command"),
        ({"languages": []}, "languages"),
        ({"severity": "awful"}, "severity"),
        ({"stdin": "yes"}, "stdin"),
        ({"stdin": False, "command": ["x"]}, "command"),
        ({"colour": 1}, "colour"),
    ],
)
def test_a_bad_entry_names_its_setting(changes: dict[str, object], setting: str):
    with pytest.raises(UserError, match=rf"inkling\.linters\.commands\[0\]\.{setting}"):
        command_linter(entry(**changes), 0)


def made(pattern: str, **changes: object) -> CommandLinter:
    return command_linter(entry(pattern=pattern, **changes), 0)


@pytest.mark.parametrize(
    ("said", "span"),
    [
        ("2:3-3:1", Span(1, 2, 2, 0)),  # an end is exclusive
        ("99:99-99:99", Span(2, 0, 2, 0)),  # past the text
        ("0:0-0:0", Span(0, 0, 0, 0)),
    ],
)
def test_ends_are_exclusive_and_pulled_into_the_text(said: str, span: Span):
    pattern = r"(?P<line>\d+):(?P<column>\d+)-(?P<end_line>\d+):(?P<end_column>\d+)(?P<message>)"
    (finding,) = findings_of(said, made(pattern), "a\nbbbb\n", "a.toy")
    assert finding.span == span


def test_without_a_column_the_finding_is_the_line_without_its_indentation():
    (finding,) = findings_of("1 m", made(r"(?P<line>\d+) (?P<message>m)", oneBased=False), "a\n\tbb\n", "a.toy")
    assert finding.span == Span(1, 1, 1, 3)


@pytest.mark.parametrize(("word", "severity"), [("Error", "error"), ("F", "error"), ("warn", "warning"), ("?", "hint")])
def test_severities_are_told_by_their_first_letter(word: str, severity: str):
    linter = made(r"(?P<line>\d+) (?P<severity>\S+) (?P<message>.*)", severity="hint")
    assert findings_of(f"1 {word} m", linter, "x", "a.toy")[0].severity == severity
