"""Proposals are tried on a shadow copy, and every refusal has its reason. The linter here is a few lines of Python."""

import asyncio
import re
import threading

import pytest

from agent.findings import Finding, Fix, Span, TextEdit
from agent.fix import LintIncompleteError, fix
from agent.shadow import Shadow, lines_of

NAMES = re.compile(r"\b(bad|worse)\b")


def write(line: int, start: int, end: int, text: str) -> TextEdit:
    return TextEdit(Span(line, start, line, end), text)


def toy(text: str, *fixes: Fix) -> Finding:
    row = next(number for number, line in enumerate(lines_of(text)) if NAMES.search(line))
    found = NAMES.search(lines_of(text)[row])
    assert found
    return Finding("toy", found[1].upper(), f"{found[1]} is not good", "warning", _span(row, found), fixes)


def _span(row: int, found: re.Match[str]) -> Span:
    return Span(row, found.start(), row, found.end())


def linter_with(*fixes: Fix):
    async def offering(path: str, text: str) -> list[Finding]:
        return [
            Finding(
                "toy",
                found[1].upper(),
                f"{found[1]} is not good",
                "warning",
                _span(row, found),
                fixes if text == "x = bad\n" else (),
            )
            for row, line in enumerate(lines_of(text))
            if "noqa" not in line
            for found in NAMES.finditer(line)
        ]

    return offering


def proposing(*groups: tuple[TextEdit, ...]):
    async def propose(path: str, text: str, finding: Finding):
        return groups

    return propose


TEXT = "x = bad\n"


async def test_the_linters_preferred_fix_is_tried_first():
    own = (Fix("plain", (write(0, 4, 7, "plain"),)), Fix("best", (write(0, 4, 7, "best"),), preferred=True))
    result = await fix("a.py", TEXT, toy(TEXT), lint=linter_with(*own))
    assert (result.text, [attempt.title for attempt in result.tried]) == ("x = best\n", ["best"])


async def test_a_model_is_asked_only_when_the_linters_fixes_failed():
    own = Fix("own", (write(0, 4, 7, "worse"),))
    result = await fix("a.py", TEXT, toy(TEXT), lint=linter_with(own), proposers=[proposing((write(0, 4, 7, "good"),))])
    assert [attempt.origin for attempt in result.tried] == ["linter", "model"]
    assert "brings toy WORSE" in (result.tried[0].refused or "")
    assert result.fixed
    assert "+x = good" in result.diff


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (write(0, 4, 7, "bad + 1"), "still there"),
        (write(0, 4, 7, "worse"), "brings"),
        (write(0, 4, 7, "((("), "syntax"),
        (write(0, 7, 7, "  # noqa"), "silences"),
    ],
)
async def test_a_proposal_is_turned_down_with_its_reason(edit: TextEdit, reason: str):
    result = await fix("a.py", TEXT, toy(TEXT), lint=linter_with(), proposers=[proposing((edit,))])
    assert reason in (result.tried[0].refused or "")
    assert (result.fixed, result.text, result.edits) == (False, TEXT, ())
    assert result.tried[0].refused in result.message


async def test_the_difference_is_worked_out_beside_the_event_loop(monkeypatch: pytest.MonkeyPatch):
    threads, diff = list[int](), Shadow.diff

    def told(shadow: Shadow) -> str:
        threads.append(threading.get_ident())
        return diff(shadow)

    monkeypatch.setattr(Shadow, "diff", told)
    await fix("a.py", TEXT, toy(TEXT), lint=linter_with(), proposers=[proposing((write(0, 4, 7, "good"),))])
    assert len(threads) == 1
    assert threads != [threading.get_ident()]


async def test_overlapping_edits_are_one_refusal_among_others():
    clash = (write(0, 0, 5, ""), write(0, 4, 7, ""))
    result = await fix(
        "a.py", TEXT, toy(TEXT), lint=linter_with(), proposers=[proposing(clash, (write(0, 4, 7, "good"),))]
    )
    assert "overlap" in (result.tried[0].refused or "")
    assert result.text == "x = good\n"


async def test_no_proposal_at_all_is_said_plainly():
    result = await fix("a.py", TEXT, toy(TEXT), lint=linter_with())
    assert not result.fixed
    assert "no fix" in result.message


async def test_a_finding_that_is_gone_needs_no_fix():
    result = await fix("a.py", "x = good\n", toy(TEXT), lint=linter_with())
    assert "no longer" in result.message


async def test_the_number_of_tries_is_limited():
    groups = [(write(0, 4, 7, f"bad + {number}"),) for number in range(9)]
    result = await fix("a.py", TEXT, toy(TEXT), lint=linter_with(), proposers=[proposing(*groups)], max_tries=3)
    assert len(result.tried) == 3
    assert "limit of 3" in result.message


async def test_the_same_result_is_not_tried_twice():
    group = (write(0, 4, 7, "bad + 1"),)
    result = await fix("a.py", TEXT, toy(TEXT), lint=linter_with(), proposers=[proposing(group, group)])
    assert len(result.tried) == 1


async def test_a_proposer_that_never_answers_meets_the_deadline():
    async def never(path: str, text: str, finding: Finding):
        await asyncio.Event().wait()
        return []

    result = await fix("a.py", TEXT, toy(TEXT), lint=linter_with(), proposers=[never], deadline_seconds=0.05)
    assert "deadline" in result.message


async def test_a_fix_can_be_cancelled():
    asked = asyncio.Event()

    async def never(path: str, text: str, finding: Finding):
        asked.set()
        await asyncio.Event().wait()
        return []

    task = asyncio.create_task(fix("a.py", TEXT, toy(TEXT), lint=linter_with(), proposers=[never]))
    await asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_silence_of_a_crashed_linter_is_not_success():
    async def crashing(path: str, text: str) -> list[Finding]:
        if text != TEXT:
            raise LintIncompleteError("toy crashed")
        return [toy(TEXT)]

    result = await fix("a.py", TEXT, toy(TEXT), lint=crashing, proposers=[proposing((write(0, 4, 7, "good"),))])
    assert not result.fixed
    assert "toy crashed" in result.message


async def test_the_finding_is_found_again_after_lines_moved_it():
    text = "\n\nx = bad\n"
    result = await fix("a.py", text, toy(TEXT), lint=linter_with(), proposers=[proposing((write(2, 4, 7, "good"),))])
    assert result.text == "\n\nx = good\n"


async def test_a_mistake_that_was_there_before_does_not_count_against_a_fix():
    text = "x = bad\ny = worse\n"
    result = await fix("a.py", text, toy(text), lint=linter_with(), proposers=[proposing((write(0, 4, 7, "good"),))])
    assert result.text == "x = good\ny = worse\n"
