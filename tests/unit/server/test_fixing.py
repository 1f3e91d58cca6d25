"""What mending a finding asks of models: the chat model question by question, the completion model where it fails."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from agent.conversation import ChatRefusedError, Message, Reply, Tool
from agent.findings import Finding, Lint, Span
from agent.shadow import lines_of
from model.completion import Refusal
from server.documents import Snapshot
from server.fixing import Fixer

TEXT = "def f():\n    before()\n    bad()\n    after()\n"
GAPS = 2  # the line, and the lines that it belongs to


@dataclass
class Chat:
    """Answers each question with the next of these; the last ones are refused."""

    answers: list[str]
    asked: list[str] = field(default_factory=list)
    possible: bool = True

    async def __call__(self, messages: Sequence[Message], tools: Sequence[Tool], heard: Any) -> Reply:
        self.asked.append(messages[0].text)
        if len(self.asked) > len(self.answers):
            raise ChatRefusedError("failed", "it does not want to")
        return Reply(f"```python\n{self.answers[len(self.asked) - 1]}\n```")


class Linters:
    """Find the word "bad"."""

    def checker(self, uri: str, language: str) -> Lint:
        async def lint(path: str, text: str) -> list[Finding]:
            spans = [(row, line.index("bad")) for row, line in enumerate(lines_of(text)) if "bad" in line]
            return [Finding("toy", "BAD", "bad", "warning", Span(row, at, row, at + 3)) for row, at in spans]

        return lint


class Mute:
    """A completion model that writes nothing, and counts how often it was asked."""

    def __init__(self) -> None:
        self.engine = self
        self.asked = 0

    async def complete(self, request: object) -> Refusal:
        self.asked += 1
        return Refusal("off", "there is none")


class Desk:
    def __init__(self, *answers: str) -> None:
        self.chat = Chat(list(answers))
        self.mute = Mute()
        self.told: list[str] = []
        self.fixer = Fixer(cast(Any, Linters()), cast(Any, self.mute), cast(Any, self.chat), self.told.append)

    async def fixed(self) -> bool:
        result = await self.fixer.fix(Snapshot("file:///w/a.py", Path("/w/a.py"), "python", 1, TEXT), None, None)
        assert result is not None
        return result.fixed


async def test_an_answer_that_mends_is_the_last_that_is_asked_for() -> None:
    desk = Desk("good()")
    assert await desk.fixed()
    assert (len(desk.chat.asked), desk.mute.asked) == (1, 0)


async def test_the_second_question_comes_after_the_first_answer_was_turned_down() -> None:
    desk = Desk("bad(1)", "before()\n    good()\n    after()")
    assert await desk.fixed()
    assert (len(desk.chat.asked), desk.mute.asked) == (GAPS, 0)
    assert "before()\n    bad()" in desk.chat.asked[1]


@pytest.mark.parametrize("answers", [(), ("bad(1)",)])
async def test_who_refused_once_is_not_asked_again_and_the_completion_model_is(answers: tuple[str, ...]) -> None:
    desk = Desk(*answers)
    assert not await desk.fixed()
    assert len(desk.chat.asked) == len(answers) + 1
    assert desk.told == ["The fix went on without the editor's chat model: it does not want to"]
    assert desk.mute.asked == 2 * GAPS
