"""A language server that is a stranger: whatever it does, the answer is findings or one clear failure."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from inkling.process import environment
from server.linters.language_server import LanguageServerLinter
from server.linters.linter import LintedText, LinterError
from server.linters.session import Program

SCRIPT = Path(__file__).parent / "misbehaving.py"
Make = Callable[..., LanguageServerLinter]


def text(content: str, uri: str = "file:///w/a.toy") -> LintedText:
    return LintedText("a.toy", uri, "toy", content)


def count(starts: Path) -> int:
    return len(list(starts.iterdir()))


@pytest.fixture
def starts(tmp_path: Path) -> Path:
    folder = tmp_path / "starts"
    folder.mkdir()
    return folder


@pytest.fixture
async def make(tmp_path: Path, starts: Path) -> AsyncIterator[Make]:
    made: list[LanguageServerLinter] = []

    def create(mode: str, *, seconds: float = 20.0) -> LanguageServerLinter:
        program = Program("toy", Path(sys.executable), (str(SCRIPT), mode, str(starts)), tmp_path)
        linter = LanguageServerLinter(
            "toy", frozenset({"toy"}), lambda: program, "missing", timeout_seconds=seconds, pauses=(0.0, 0.0)
        )
        made.append(linter)
        return linter

    yield create
    for linter in made:
        await linter.close()


@pytest.mark.parametrize("mode", ["push", "pull", "late", "floods-stderr", "dies-once", "ignores-shutdown"])
async def test_findings_come_in_spite_of(make: Make, mode: str):
    found = await make(mode).lint(text("ok\n😀 bad\n"))
    assert [(finding.span.line, finding.span.column, finding.code) for finding in found] == [(1, 2, "7")]


async def test_the_last_text_that_was_shown_is_what_counts(make: Make):
    linter = make("push")
    counts = [len(await linter.lint(text(content))) for content in ("bad", "good", "bad bad")]
    assert counts == [1, 0, 2]


async def test_two_documents_are_linted_at_the_same_time(make: Make):
    linter = make("push")
    first, second = await asyncio.gather(
        linter.lint(text("bad", "file:///w/1.toy")), linter.lint(text("", "untitled:2"))
    )
    assert (len(first), len(second)) == (1, 0)


@pytest.mark.parametrize(
    ("mode", "failure", "words"),
    [
        ("dies-at-once", "crashed", "cannot go on"),
        ("garbage", "broken", "Welcome"),
        ("endless-line", "broken", "not the protocol"),
        ("invalid-utf8", "broken", "UTF-8"),
        ("huge", "broken", "length"),
    ],
)
async def test_a_child_that_keeps_failing_is_given_up(make: Make, starts: Path, mode: str, failure: str, words: str):
    linter = make(mode)
    with pytest.raises(LinterError, match=words) as caught:
        await linter.lint(text("bad"))
    assert caught.value.failure == failure
    assert linter.state.startswith("given up")
    before = count(starts)
    with pytest.raises(LinterError):
        await linter.lint(text("bad"))
    assert count(starts) == before == 3


async def test_a_text_that_kills_the_child_does_not_kill_it_for_ever_after_close(make: Make):
    linter = make("dies-on-bad")
    with pytest.raises(LinterError, match="code 9"):
        await linter.lint(text("bad"))
    await linter.close()
    assert await linter.lint(text("good")) == []


async def test_findings_that_cannot_be_read_are_a_failure_and_not_silence(make: Make):
    with pytest.raises(LinterError) as caught:
        await make("nonsense").lint(text("bad"))
    assert caught.value.failure == "broken"


@pytest.mark.parametrize("mode", ["hangs", "hangs-at-start"])
async def test_a_child_that_hangs_is_slow_and_names_the_setting(make: Make, mode: str):
    with pytest.raises(LinterError, match=r"inkling\.linters\.timeoutSeconds") as caught:
        await make(mode, seconds=1.0).lint(text("bad"))
    assert caught.value.failure == "slow"


async def test_a_child_that_hangs_again_and_again_is_started_anew(make: Make):
    linter = make("hangs-on-bad", seconds=3.0)
    await linter.lint(text("good"))
    assert linter.child is not None
    first = linter.child.pid
    linter.child.timeout_seconds = 0.2
    for _ in range(3):
        with pytest.raises(LinterError):
            await linter.lint(text("bad"))
    linter.child.timeout_seconds = 20.0
    assert await linter.lint(text("good")) == []
    assert linter.child.pid not in (first, None)


async def test_a_cancelled_lint_leaves_the_child_of_use(make: Make):
    linter = make("push")
    await linter.lint(text(""))
    task = asyncio.create_task(linter.lint(text("bad")))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(await linter.lint(text("bad bad"))) == 2


@pytest.mark.parametrize("mode", ["push", "ignores-shutdown", "hangs-on-bad"])
async def test_after_close_the_process_is_gone(make: Make, mode: str):
    linter = make(mode)
    await linter.lint(text("good"))
    assert linter.child is not None
    pid = linter.child.pid
    assert pid is not None
    await linter.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel ends orphans on Linux only")
async def test_a_hung_child_dies_with_us_even_if_we_are_killed(tmp_path: Path, starts: Path):
    parent = f"""
import asyncio, sys
from pathlib import Path
sys.path[:0] = {[path for path in sys.path if path]!r}
from server.linters.linter import LintedText
from server.linters.language_server import LanguageServerLinter
from server.linters.session import Program
program = Program("toy", Path(sys.executable), ({str(SCRIPT)!r}, "hangs-on-bad", {str(starts)!r}), None)
linter = LanguageServerLinter("toy", frozenset(), lambda: program, "", timeout_seconds=60)
async def main():
    await linter.lint(LintedText("a", "untitled:a", "toy", "good"))
    print(linter.child.pid, flush=True)
    await linter.lint(LintedText("a", "untitled:a", "toy", "bad"))
asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", parent, stdout=asyncio.subprocess.PIPE, env=environment()
    )
    assert process.stdout is not None
    child = int(await process.stdout.readline())
    gone = os.pidfd_open(child)
    process.send_signal(signal.SIGKILL)
    await process.wait()
    try:
        ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(gone, ended.set)
        await asyncio.wait_for(ended.wait(), 20)
    finally:
        asyncio.get_running_loop().remove_reader(gone)
        os.close(gone)
