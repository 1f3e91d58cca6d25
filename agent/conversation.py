"""What is said between the agent and a chat model: messages, tools, tool calls and replies.

Plain values, no model and no transport: whoever has a model passes a `Chat`. A model that cannot be asked (there is
none, the user said no, a quota is used up) is a `ChatRefusedError` whose text tells the user what to do about it.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from inkling.errors import UserError

Reason = Literal["off", "no_client", "no_model", "no_permission", "blocked", "failed"]


class ChatRefusedError(UserError):
    """The chat model did not answer; `reason` is for programs, the text for the user."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Tool:
    """A tool that the model may call; `parameters` is the JSON schema of its input."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class ToolCall:
    """The model wants this tool to be run."""

    id: str
    name: str
    input: Mapping[str, Any]


@dataclass(frozen=True)
class ToolResult:
    """What a tool answered to the call `call`."""

    call: str
    text: str


@dataclass(frozen=True)
class Message:
    """One message. `calls` belong to the assistant's, `results` to the user's."""

    role: Literal["user", "assistant"]
    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    results: tuple[ToolResult, ...] = ()


@dataclass(frozen=True)
class Reply:
    """A model's answer, and the name of the model that gave it."""

    text: str
    calls: tuple[ToolCall, ...] = ()
    model: str = ""


class Chat(Protocol):
    """Asks a chat model. What it says comes to `heard` piece by piece and once more, whole, in the reply.

    Raises ChatRefusedError. Cancelling the call ends the request.
    """

    def __call__(
        self, messages: Sequence[Message], tools: Sequence[Tool], heard: Callable[[str], None]
    ) -> Awaitable[Reply]: ...
