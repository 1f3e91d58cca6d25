"""JSON-RPC messages on a stream, as language servers frame them. Plain dictionaries; knows no method.

pygls has a client for this; ours exists because a linter is a stranger: lines without end, sizes that are lies and
bytes that are no text must end that one child and nothing else.
"""

import asyncio
import json
from typing import Any

from server.linters.linter import LinterError

Message = dict[str, Any]

_LARGEST = 64 * 1024 * 1024
_MOST_HEADERS = 16


def encoded(message: Message) -> bytes:
    """The message with its header."""
    body = json.dumps({"jsonrpc": "2.0", **message}, ensure_ascii=False).encode("utf-8", "surrogatepass")
    return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


async def received(stream: asyncio.StreamReader) -> Message | None:
    """The next message, None at the end of the stream. Raises LinterError("broken") on what is no message."""
    length: int | None = None
    for count in range(_MOST_HEADERS + 1):
        try:
            line = await stream.readline()
        except ValueError as error:  # longer than the reader's limit
            raise LinterError("broken", "it wrote something that is not the protocol to its output") from error
        if not line and not count:
            return None
        if line in (b"\r\n", b"\n") and length is not None:
            break
        name, colon, value = line.partition(b":")
        if not colon or not line.endswith(b"\n"):
            raise LinterError("broken", f"it wrote {line[:60]!r} where a message should start")
        if name.strip().lower() == b"content-length":
            length = int(value) if value.strip().isdigit() else -1
    if length is None or not 0 <= length <= _LARGEST:
        raise LinterError("broken", "it announced a message without a believable length")
    try:
        message = json.loads((await stream.readexactly(length)).decode("utf-8"))
    except asyncio.IncompleteReadError:
        return None
    except (ValueError, RecursionError) as error:
        raise LinterError("broken", f"it sent a message that is not JSON in UTF-8: {error}") from error
    if not isinstance(message, dict):
        raise LinterError("broken", "it sent a message that is not an object")
    return message
