"""The editor's own chat model, asked through the client: `inkling/chat`, a request from the server to the client.

Parameters: `messages` (role, text, calls, results), `tools` (name, description, inputSchema), `model` (the id or family
that is wanted; "" for the client's choice) and `partialResultToken`, under which the client sends what the model says
as `$/progress` with `{text}`. The answer is `{text, calls, model}`, or `{refused, message}` where the model cannot be
asked. A client that serves it says so with the capability `experimental.inklingChat`. Cancelling sends
`$/cancelRequest`, and the client answers all the same.
"""

import asyncio
import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, get_args

from lsprotocol import types as lsp
from pygls.exceptions import JsonRpcException

from agent.conversation import ChatRefusedError, Message, Reason, Reply, Tool, ToolCall
from server.protocol import InklingServer, plain
from server.settings import AgentSettings

log = logging.getLogger(__name__)

CHAT = "inkling/chat"
CAPABILITY = "inklingChat"

_OFF = (
    'This needs the chat model of your editor, which would be sent your code: set `inkling.agent.model` to "editor" '
    "to allow that."
)
_NO_CLIENT = 'This editor\'s client does not offer its chat model to Inkling (`inkling.agent.model` is "editor").'


class EditorChat:
    """Asks the client's model, where the user's settings allow it. Belongs to the event loop."""

    def __init__(self, server: InklingServer, settings: Callable[[], AgentSettings]) -> None:
        self._server = server
        self._settings = settings
        self._heard: dict[str, Callable[[str], None]] = {}

    @property
    def possible(self) -> bool:
        """Whether it is allowed and the client offers it; the client may still have no model."""
        return self._settings().model == "editor" and self._offered()

    def progress(self, token: object, value: object) -> None:
        """A piece of an answer came in."""
        heard = self._heard.get(str(token))
        piece = plain(value)
        if heard is not None and isinstance(piece, Mapping) and isinstance(piece.get("text"), str):
            heard(piece["text"])

    async def __call__(self, messages: Sequence[Message], tools: Sequence[Tool], heard: Callable[[str], None]) -> Reply:
        """Ask the model; see `agent.conversation.Chat`."""
        if self._settings().model != "editor":
            raise ChatRefusedError("off", _OFF)
        if not self._offered():
            raise ChatRefusedError("no_client", _NO_CLIENT)
        token = uuid.uuid4().hex
        self._heard[token] = heard
        try:
            return _reply(await self._ask(_parameters(messages, tools, self._settings().editor_model, token)))
        finally:
            del self._heard[token]

    def _offered(self) -> bool:
        can = plain(self._server.client_capabilities.experimental)
        return isinstance(can, Mapping) and can.get(CAPABILITY) is True

    async def _ask(self, parameters: dict[str, Any]) -> Any:
        id, protocol = uuid.uuid4().hex, self._server.protocol
        answer = asyncio.ensure_future(protocol.send_request_async(CHAT, parameters, msg_id=id))
        try:
            return plain(await asyncio.shield(answer))  # the client answers also what was cancelled
        except asyncio.CancelledError:
            answer.add_done_callback(_seen)
            protocol.notify(lsp.CANCEL_REQUEST, lsp.CancelParams(id))
            raise
        except JsonRpcException as error:
            raise ChatRefusedError("failed", f"The editor could not ask its chat model: {error}") from error


def _seen(answer: "asyncio.Future[Any]") -> None:
    if not answer.cancelled() and (error := answer.exception()) is not None:
        log.info("a cancelled chat request ended with %s", error)


def _parameters(messages: Sequence[Message], tools: Sequence[Tool], model: str, token: str) -> dict[str, Any]:
    return {
        "messages": [asdict(message) for message in messages],
        "tools": [
            {"name": tool.name, "description": tool.description, "inputSchema": dict(tool.parameters)} for tool in tools
        ],
        "model": model,
        "partialResultToken": token,
    }


def _reply(answer: Any) -> Reply:
    """The client's answer, which is checked: it comes from another program."""
    if not isinstance(answer, Mapping):
        raise ChatRefusedError("failed", f"The editor answered {answer!r} where a reply of its chat model should be.")
    if (refused := answer.get("refused")) is not None:
        reason: Reason = refused if refused in get_args(Reason) else "failed"
        raise ChatRefusedError(reason, str(answer.get("message") or "The editor's chat model did not answer."))
    calls = answer.get("calls") or []
    if not isinstance(answer.get("text"), str) or not all(map(_is_call, calls)):
        raise ChatRefusedError(
            "failed", "The editor's answer is no reply of a chat model: it has no text or bad calls."
        )
    found = tuple(ToolCall(call["id"], call["name"], call.get("input") or {}) for call in calls)
    return Reply(answer["text"], found, str(answer.get("model") or ""))


def _is_call(call: object) -> bool:
    return (
        isinstance(call, Mapping)
        and isinstance(call.get("id"), str)
        and isinstance(call.get("name"), str)
        and isinstance(call.get("input") or {}, Mapping)
    )
