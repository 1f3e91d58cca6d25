"""The agent's loop over a project in memory and a scripted model."""

import threading
from collections.abc import Callable, Sequence

import pytest

from agent import toolbox as tools
from agent.conversation import ChatRefusedError, Message, Reply, Tool, ToolCall
from agent.findings import Finding
from agent.loop import MOST_TURNS, Step, run
from agent.tasks import tools_of
from agent.toolbox import Toolbox
from index.records import Hit


class Files:
    """A project that is a dictionary; its linter finds a tab wherever there is one."""

    def __init__(self, **texts: str) -> None:
        self.texts = {name.replace("_py", ".py"): text for name, text in texts.items()}

    async def find(self, query: str, limit: int, path: str | None) -> Sequence[Hit]:
        return [Hit(name, "python", "text", "", "", 0, 0, text, 1.0, ("words",)) for name, text in self.texts.items()]

    async def read(self, path: str) -> str | None:
        return self.texts.get(path)

    async def lint(self, path: str, text: str) -> list[Finding]:
        return []


class Script:
    """Gives these replies in turn, the last one for ever; refuses instead where there is an error."""

    def __init__(self, *replies: Reply | ChatRefusedError) -> None:
        self.replies = list(replies)
        self.heard: list[list[Message]] = []
        self.offered: list[str] = []

    async def __call__(self, messages: Sequence[Message], tools: Sequence[Tool], heard: Callable[[str], None]) -> Reply:
        self.heard.append(list(messages))
        self.offered = [tool.name for tool in tools]
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if isinstance(reply, ChatRefusedError):
            raise reply
        return reply


def calls(*named: tuple[str, dict[str, object]]) -> Reply:
    return Reply("", tuple(ToolCall(str(number), name, input) for number, (name, input) in enumerate(named)))


async def answers(project: Files, *named: tuple[str, dict[str, object]]) -> list[str]:
    """What the tools answer to these calls of one turn."""
    model = Script(calls(*named), Reply("done"))
    await run("task", Toolbox(project), model, lambda step: None)
    return [result.text for result in model.heard[1][-1].results]


async def test_a_model_that_never_stops_calling_is_stopped_and_the_run_says_so():
    steps: list[Step] = []
    model = Script(calls(("read_file", {"path": "a.py"})))
    episode = await run("task", Toolbox(Files(a_py="x = 1\n")), model, steps.append)
    assert (episode.finished, episode.turns) == (False, MOST_TURNS)
    assert len([step for step in steps if step.kind == "call"]) == MOST_TURNS


async def test_a_model_that_refuses_to_go_on_loses_nothing_that_it_proposed():
    edit = calls(("edit_file", {"path": "a.py", "old": "1", "new": "2"}))
    model = Script(edit, ChatRefusedError("failed", "The question is too long."))
    episode = await run("task", Toolbox(Files(a_py="x = 1\n")), model, lambda step: None)
    assert (episode.finished, episode.turns, episode.problem) == (False, 1, "The question is too long.")
    assert [one.after for one in episode.proposals] == ["x = 2\n"]


async def test_a_model_that_cannot_be_asked_is_an_error():
    with pytest.raises(ChatRefusedError):
        await run("task", Toolbox(Files()), Script(ChatRefusedError("off", "no")), lambda step: None)


async def test_who_is_to_explain_has_no_tool_to_edit():
    model = Script(calls(("edit_file", {"path": "a.py", "old": "", "new": "x"})), Reply("done"))
    episode = await run("task", Toolbox(Files(), tools_of("explain")), model, lambda step: None)
    assert model.offered == ["semantic_search", "read_file", "diagnostics"]
    assert model.heard[1][-1].results[0].text.startswith("There is no tool edit_file")
    assert episode.proposals == ()


async def test_several_calls_of_one_turn_are_answered_together_and_see_each_other():
    first, second = await answers(
        Files(a_py="x = 1\n"),
        ("edit_file", {"path": "a.py", "old": "x = 1", "new": "x = 2"}),
        ("read_file", {"path": "a.py"}),
    )
    assert first == "Done, no new findings."
    assert "x = 2" in second


async def test_what_a_model_does_wrong_is_an_answer_to_it():
    wrong = await answers(
        Files(a_py="x = 1\nx = 1\n"),
        ("fly", {}),
        ("read_file", {"path": 7}),
        ("read_file", {"path": "a.py", "first": "one"}),
        ("read_file", {"path": "a.py", "last": 1e999}),
        ("semantic_search", {"query": "x", "limit": float("nan")}),
        ("semantic_search", {"query": "\ud800"}),
        ("read_file", {"path": "a\0.py"}),
        ("read_file", {"path": "b.py"}),
        ("read_file", {"path": "C:/b.py"}),
        ("edit_file", {"path": "a.py", "old": "x = 1", "new": "y"}),
        ("edit_file", {"path": "a.py", "old": "", "new": "y"}),
        ("edit_file", {"path": "b.py", "old": "x", "new": "y"}),
        ("edit_file", {"path": "keys/.env", "old": "", "new": "y"}),
    )
    reasons = [
        "no tool fly", "has to be a text", *["has to be a number"] * 3, "whole characters", "no path inside",
        "no file b.py", "no path inside", "occurs 2 times", "not empty", "to make it, leave `old` empty",
        "may hold secrets",
    ]  # fmt: skip
    assert all(reason in answer for reason, answer in zip(reasons, wrong, strict=True)), wrong


async def test_lines_are_numbered_as_the_editor_counts_them():
    (read,) = await answers(Files(a_py="x = '\x0c'\ny = '\u2028'\rz\n"), ("read_file", {"path": "a.py"}))
    assert read == "    1  x = '\x0c'\n    2  y = '\u2028'\n    3  z"


async def test_what_is_read_is_bounded_whatever_the_lines_are():
    read, short = await answers(
        Files(a_py=f"{'x' * 9000}\n" * 300 + "end\n"),
        ("read_file", {"path": "a.py"}),
        ("read_file", {"path": "a.py", "first": 300}),
    )
    first, *_, last = read.split("\n")
    assert first == f"    1  {'x' * 500} ... (cut, 9,000 characters)"
    assert (last, len(read) <= 40_000) == ("... 301 lines in all", True)
    assert short.endswith("\n  301  end")


async def test_texts_are_compared_beside_the_event_loop(monkeypatch: pytest.MonkeyPatch):
    loops, compared = threading.get_ident(), []
    for name in ("edits_between", "new_findings"):
        compare = getattr(tools, name)

        def told(*given, name=name, compare=compare):
            compared.append((name, threading.get_ident() == loops))
            return compare(*given)

        monkeypatch.setattr(tools, name, told)
    await answers(Files(a_py="x = 1\n"), ("edit_file", {"path": "a.py", "old": "x = 1", "new": "x = 2"}))
    assert compared == [("edits_between", False), ("new_findings", False)]


async def test_line_ends_of_the_file_are_kept_and_an_edit_that_changes_nothing_proposes_nothing():
    toolbox = Toolbox(Files(a_py="x = 1\r\ny = 2\r\n", b_py="z\n"))
    model = Script(
        calls(
            ("edit_file", {"path": "a.py", "old": "x = 1\ny = 2\n", "new": "x = 1\ny = 3\n"}),
            ("edit_file", {"path": "b.py", "old": "z", "new": "z"}),
        ),
        Reply("done"),
    )
    episode = await run("task", toolbox, model, lambda step: None)
    assert [(one.path, one.after) for one in episode.proposals] == [("a.py", "x = 1\r\ny = 3\r\n")]
