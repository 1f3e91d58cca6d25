"""One run of a language server, from the start of its process to its end: the protocol's bookkeeping.

Requests wait for their answers here, pushes for whoever expects them, and the server's own questions are answered.
Whatever happens to the process, everybody who waits is told; nothing is started again here.
"""

import asyncio
import contextlib
import itertools
import logging
import os
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from server.linters import programs
from server.linters.diagnostics import same
from server.linters.linter import LinterError
from server.linters.wire import Message, encoded, received

logger = logging.getLogger(__name__)

_SHUTDOWN_SECONDS = 2.0
_CAPABILITIES = {
    "general": {"positionEncodings": ["utf-32", "utf-16"]},
    "workspace": {"configuration": True, "workspaceFolders": True, "didChangeWatchedFiles": {}},
    "textDocument": {
        "synchronization": {},
        "publishDiagnostics": {"versionSupport": True, "codeDescriptionSupport": True, "dataSupport": True},
        "diagnostic": {},
        "codeAction": {
            "codeActionLiteralSupport": {"codeActionKind": {"valueSet": ["quickfix"]}},
            "isPreferredSupport": True,
            "dataSupport": True,
        },
    },
}


@dataclass(frozen=True)
class Program:
    """How the server is started and what it is told."""

    name: str
    executable: Path
    arguments: tuple[str, ...]
    root: Path | None
    initialization: Mapping[str, Any] = field(default_factory=dict)
    configuration: Mapping[str, Any] = field(default_factory=dict)  # nested by the dots of a section's name


class RequestRefusedError(Exception):
    """The server answered a request with an error."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        super().__init__(str(error.get("message", error)))
        self.code = error.get("code")


class Session:
    """One running process, from its start to its end."""

    def __init__(self, program: Program, process: asyncio.subprocess.Process) -> None:
        self.capabilities: Mapping[str, Any] = {}
        self.open: OrderedDict[str, int] = OrderedDict()  # uri -> version, least recently used first
        self.ended: LinterError | None = None
        self._program = program
        self._process = process
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._pushes: dict[str, tuple[int, asyncio.Future[list[Message]]]] = {}
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self._stdin, self._stdout = process.stdin, process.stdout
        self._stderr = asyncio.create_task(programs.drained(process.stderr))
        self._reader = asyncio.create_task(self._read())

    @property
    def pid(self) -> int:
        return self._process.pid

    async def initialize(self) -> None:
        root = self._program.root
        folders = None if root is None else [{"uri": root.as_uri(), "name": root.name}]
        result = await self.request(
            "initialize",
            {
                "processId": os.getpid(),
                "clientInfo": {"name": "inkling"},
                "rootUri": None if root is None else root.as_uri(),
                "workspaceFolders": folders,
                "initializationOptions": dict(self._program.initialization),
                "capabilities": _CAPABILITIES,
            },
        )
        if not isinstance(result, dict) or not isinstance(result.get("capabilities"), dict):
            raise LinterError("broken", "it answered `initialize` without capabilities")
        self.capabilities = result["capabilities"]
        self.notify("initialized", {})

    def notify(self, method: str, params: Any) -> None:
        self._send({"method": method, "params": params})

    async def request(self, method: str, params: Any) -> Any:
        """The result; when cancelled, the server is told. Raises RequestRefusedError, or LinterError once it ended."""
        number = next(self._numbers)
        self._waiting[number] = future = asyncio.get_running_loop().create_future()
        try:
            self._send({"id": number, "method": method, "params": params})
            await self.flushed()
            return await future
        except asyncio.CancelledError:
            if self.ended is None:
                self.notify("$/cancelRequest", {"id": number})
            raise
        finally:
            self._waiting.pop(number, None)

    def expect_push(self, uri: str, version: int) -> asyncio.Future[list[Message]]:
        """The diagnostics that the child will publish for this version or a later one."""
        future: asyncio.Future[list[Message]] = asyncio.get_running_loop().create_future()
        self._pushes[same(uri)] = version, future
        return future

    def closed(self, uri: str) -> None:
        """The document is no longer of interest."""
        self._pushes.pop(same(uri), None)
        if self.open.pop(uri, None) is not None and self.ended is None:
            self.notify("textDocument/didClose", {"textDocument": {"uri": uri}})

    async def end(self, *, asking: bool) -> None:
        """End the process and wait until it is gone; if `asking`, it gets a moment to shut down by itself."""
        try:
            if asking and self.ended is None:
                async with asyncio.timeout(_SHUTDOWN_SECONDS):
                    await self.request("shutdown", None)
                    self.notify("exit", None)
                    self._stdin.close()
                    await self._process.wait()
        except (TimeoutError, LinterError, RequestRefusedError):
            logger.debug("%s did not end when asked to", self._program.name)
        finally:
            programs.kill(self._process)
            await asyncio.wait([self._reader, self._stderr], timeout=_SHUTDOWN_SECONDS)
            self._reader.cancel()
            self._stderr.cancel()
            await asyncio.gather(self._reader, self._stderr, return_exceptions=True)
            await self._process.wait()

    def _send(self, message: Message) -> None:
        if self.ended is not None:
            raise self.ended
        self._stdin.write(encoded(message))

    async def flushed(self) -> None:
        """Wait until the server has taken in what was sent, more or less."""
        with contextlib.suppress(ConnectionError):  # the reader notices the end and says why
            await self._stdin.drain()

    async def _read(self) -> None:
        failure = LinterError("crashed", "it was ended")
        try:
            failure = await self._failure()
        finally:
            self.ended = failure
            for future in [*self._waiting.values(), *(future for _, future in self._pushes.values())]:
                if not future.done():
                    future.set_exception(failure)
                    future.exception()  # whoever waits gets it; an abandoned one is not worth a warning

    async def _failure(self) -> LinterError:
        """Handle messages until there are no more; answers with the reason."""
        broken: LinterError | None = None
        try:
            while (message := await received(self._stdout)) is not None:
                self._handle(message)
        except LinterError as error:
            broken = error
        except (ConnectionError, TypeError, KeyError, AttributeError, ValueError) as error:
            broken = LinterError("broken", f"it sent a message that breaks the protocol: {error!r}")
        programs.kill(self._process)
        code = await self._process.wait()
        if broken is not None:
            return broken
        await asyncio.wait([self._stderr], timeout=_SHUTDOWN_SECONDS)
        words = self._stderr.result()[-300:] if self._stderr.done() else ""
        return LinterError("crashed", f"it ended with code {code}" + (f": {words}" if words else ""))

    def _handle(self, message: Message) -> None:
        if "method" not in message:
            future = self._waiting.get(message.get("id", 0))
            if future is not None and not future.done():
                if message.get("error") is not None:
                    future.set_exception(RequestRefusedError(message["error"]))
                else:
                    future.set_result(message.get("result"))
        elif "id" in message:
            self._send({"id": message["id"], **self._answer(message["method"], message.get("params"))})
        elif message["method"] == "textDocument/publishDiagnostics":
            self._pushed(message["params"])

    def _pushed(self, params: Message) -> None:
        version, future = self._pushes.get(same(params["uri"]), (0, None))
        said = params.get("version")
        if future is not None and not future.done() and (said is None or said >= version):
            future.set_result(list(params["diagnostics"]))

    def _answer(self, method: str, params: Any) -> Message:
        root = self._program.root
        if method == "workspace/configuration":
            return {"result": [self._section(item.get("section") or "") for item in params["items"]]}
        if method == "workspace/workspaceFolders":
            return {"result": None if root is None else [{"uri": root.as_uri(), "name": root.name}]}
        if method in ("client/registerCapability", "client/unregisterCapability", "window/workDoneProgress/create"):
            return {"result": None}
        if method in ("workspace/diagnostic/refresh", "window/showMessageRequest"):
            return {"result": None}
        return {"error": {"code": -32601, "message": f"{method} is not supported"}}

    def _section(self, name: str) -> Any:
        found: Any = self._program.configuration
        for part in filter(None, name.split(".")):
            found = found.get(part) if isinstance(found, Mapping) else None
        return found
