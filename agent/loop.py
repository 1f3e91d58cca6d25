"""The agent's loop: model, tool calls, results, model, until the model has nothing more to call.

Knows neither the editor nor a particular model. Everything that happens is told as a step while it happens. What
always holds: at most `MOST_TURNS` turns; the user's files are not touched, what came of it are proposals; cancelling
the call ends it at the next await, and nothing is proposed then.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from agent.conversation import Chat, ChatRefusedError, Message, ToolResult
from agent.toolbox import Proposal, Toolbox

MOST_TURNS = 16


@dataclass(frozen=True)
class Step:
    """Something that happened: the model said a piece of text, called a tool, or a tool answered.

    `id` is that of the tool call, "" for text.
    """

    kind: Literal["text", "call", "result"]
    text: str
    id: str = ""
    name: str = ""
    input: dict[str, Any] | None = None


@dataclass(frozen=True)
class Episode:
    """How a run ended. `text` is the model's last answer, `problem` why there was no other, "" unless it refused."""

    text: str
    proposals: tuple[Proposal, ...]
    turns: int
    model: str
    finished: bool
    problem: str = ""


async def run(task: str, toolbox: Toolbox, chat: Chat, told: Callable[[Step], None]) -> Episode:
    """Let the model work on `task`. Raises ChatRefusedError if it cannot be asked; what it did before it refused to go
    on is not lost."""
    messages = [Message("user", task)]
    text = model = ""
    for turn in range(1, MOST_TURNS + 1):
        try:
            reply = await chat(messages, toolbox.tools, lambda piece: told(Step("text", piece)))
        except ChatRefusedError as error:
            if turn == 1:
                raise
            made = await asyncio.to_thread(toolbox.proposals)
            return Episode(text, made, turn - 1, model, finished=False, problem=str(error))
        text, model = reply.text, reply.model
        if not reply.calls:
            return Episode(text, await asyncio.to_thread(toolbox.proposals), turn, model, finished=True)
        messages.append(Message("assistant", reply.text, calls=reply.calls))
        results = []
        for call in reply.calls:
            told(Step("call", "", call.id, call.name, dict(call.input)))
            answer = await toolbox.call(call)
            told(Step("result", answer, call.id, call.name))
            results.append(ToolResult(call.id, answer))
        messages.append(Message("user", results=tuple(results)))
    return Episode(text, await asyncio.to_thread(toolbox.proposals), MOST_TURNS, model, finished=False)
