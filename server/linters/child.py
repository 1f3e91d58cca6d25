"""A language server that runs as our child: we are its client, it lints the text that we show it.

Not a full client: documents are sent whole, and only diagnostics and quick fixes are asked for. A child that crashes,
hangs or talks nonsense is started again after a pause, until it has failed too often; then it is given up until
`close`. Every document's text is the last one that was linted, never the file on disk. The child ends when we end: by
`close`, by the end of its stdin, and on Linux by the kernel.
"""

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from server.linters import programs
from server.linters.linter import LintedText, LinterError
from server.linters.session import Program, RequestRefusedError, Session
from server.linters.wire import Message

PAUSES = (0.1, 0.5, 2.0)  # seconds before each further start; after the last one failed, the child is given up
_START_SECONDS = 30.0
_FAILURES_FORGOTTEN_AFTER = 600.0
_TIMEOUTS_OF_A_HUNG_CHILD = 3  # one may be a large project's first analysis
_MOST_OPEN = 32
_TRY_AGAIN = (-32801, -32802)  # ContentModified, ServerCancelled


@dataclass(frozen=True)
class Answer:
    """What the child said of one text: raw diagnostics and code actions, columns in `encoding`."""

    diagnostics: list[Message]
    actions: list[Message]
    encoding: str


class LanguageServerChild:
    """A language server that is started when first needed and again when it fails."""

    def __init__(self, program: Program, *, timeout_seconds: float, pauses: Sequence[float] = PAUSES) -> None:
        self.program = program
        self.timeout_seconds = timeout_seconds
        self._pauses = tuple(pauses)
        self._session: Session | None = None
        self._start: asyncio.Task[Session] | None = None
        self._failures: deque[float] = deque()
        self._timeouts = 0
        self._given_up: LinterError | None = None
        self._documents: dict[str, asyncio.Lock] = {}
        self._versions = itertools.count(1)

    @property
    def state(self) -> str:
        """What a person is told about it."""
        if self._given_up is not None:
            return f"given up: {self._given_up}"
        if self._start is not None:
            return "starting"
        if self._session is None:
            return "not started"
        return "running" if self._session.ended is None else f"ended: {self._session.ended}"

    @property
    def given_up(self) -> bool:
        """True once it has failed too often to be started again."""
        return self._given_up is not None

    @property
    def pid(self) -> int | None:
        """The process, while one runs."""
        return self._session.pid if self._session is not None and self._session.ended is None else None

    async def check(self, text: LintedText, *, actions: bool) -> Answer:
        """Diagnostics of this text and, if asked for, its quick fixes. Raises LinterError.

        A crash on the way is survived by starting again within the same time limit.
        """
        lock = self._documents.setdefault(text.uri, asyncio.Lock())
        try:
            async with asyncio.timeout(self.timeout_seconds), lock:
                answer = await self._answer(text, actions)
        except TimeoutError:
            await self._timed_out()
            message = (
                f"{self.program.name} did not answer within {self.timeout_seconds:g} s; "
                "`inkling.linters.timeoutSeconds` sets how long it is waited for."
            )
            raise LinterError("slow", message) from None
        self._timeouts = 0
        return answer

    async def forget(self, uri: str) -> None:
        """Tell the child that a document was closed."""
        self._documents.pop(uri, None)
        if self._session is not None:
            self._session.closed(uri)

    def files_changed(self, uris: Sequence[str]) -> None:
        """Tell the child that files changed on disk, its own settings file among them."""
        session = self._session
        if session is not None and session.ended is None:
            session.notify("workspace/didChangeWatchedFiles", {"changes": [{"uri": uri, "type": 2} for uri in uris]})

    async def close(self) -> None:
        """End the process. A later `check` starts a new one, with the failures forgotten."""
        start, self._start = self._start, None
        session, self._session = self._session, None
        self._given_up = None
        self._failures.clear()
        if start is not None:
            start.cancel()
            await asyncio.gather(start, return_exceptions=True)
        if session is not None:
            await session.end(asking=True)

    async def _answer(self, text: LintedText, actions: bool) -> Answer:
        while True:
            session = await self._running()
            try:
                return await self._ask(session, text, actions)
            except LinterError as error:
                await self._failed(session, error)
            except (RequestRefusedError, TypeError, KeyError, AttributeError) as error:
                raise LinterError("broken", f"{self.program.name} refused: {error}") from error

    async def _running(self) -> Session:
        """The running session. A start goes on when whoever asked for it is cancelled or out of time."""
        while self._session is None or self._session.ended is not None:
            if self._given_up is not None:
                raise LinterError(self._given_up.failure, str(self._given_up))
            if self._session is not None:
                await self._failed(self._session, self._session.ended or LinterError("crashed", "it ended"))
                continue
            if self._start is None:
                self._start = asyncio.create_task(self._started())
            start = self._start
            try:
                session = await asyncio.shield(start)
            except LinterError as error:
                if self._start is start:
                    self._start = None
                    self._count(error)
            except asyncio.CancelledError:
                if start.cancelled():  # by `close`, not by whoever waits here
                    raise LinterError("crashed", f"{self.program.name} was closed") from None
                raise
            else:
                if self._start is start:
                    self._start, self._session = None, session
        return self._session

    async def _started(self) -> Session:
        if self._failures:
            await asyncio.sleep(self._pauses[min(len(self._failures), len(self._pauses)) - 1])
        program = self.program
        try:
            process = await programs.start(program.executable, program.arguments, program.root)
        except OSError as error:
            raise LinterError("crashed", f"it could not be started: {error}") from error
        session = Session(program, process)
        try:
            async with asyncio.timeout(max(_START_SECONDS, self.timeout_seconds)):
                await session.initialize()
        except BaseException as error:
            await session.end(asking=False)
            if isinstance(error, RequestRefusedError):
                raise LinterError("broken", f"it refused to start: {error}") from error
            if isinstance(error, TimeoutError):
                raise LinterError("slow", "it did not finish starting") from error
            raise
        return session

    async def _timed_out(self) -> None:
        self._timeouts += 1
        session = self._session
        if session is not None and self._timeouts >= _TIMEOUTS_OF_A_HUNG_CHILD:
            self._timeouts = 0
            await self._failed(session, LinterError("slow", "it hung"))

    async def _failed(self, session: Session, error: LinterError) -> None:
        if self._session is session:  # several documents may have been waiting; one of them counts it
            self._session = None
            self._count(error)
            await asyncio.shield(session.end(asking=False))

    def _count(self, error: LinterError) -> None:
        now = time.monotonic()
        self._failures.append(now)
        while now - self._failures[0] > _FAILURES_FORGOTTEN_AFTER:
            self._failures.popleft()
        if len(self._failures) > len(self._pauses):
            message = (
                f"{self.program.name} failed {len(self._failures)} times and is not started again until Inkling's "
                f"server restarts. The last time {error}"
            )
            self._given_up = LinterError(error.failure, message)

    async def _ask(self, session: Session, text: LintedText, actions: bool) -> Answer:
        provider = session.capabilities.get("diagnosticProvider")
        version = next(self._versions)
        push = None if provider else session.expect_push(text.uri, version)
        self._show(session, text, version)
        document = {"uri": text.uri}
        if push is not None:
            await session.flushed()
            diagnostics = await push
        else:
            report = await self._patiently(session, "textDocument/diagnostic", {"textDocument": document})
            diagnostics = report["items"]
        encoding = session.capabilities.get("positionEncoding", "utf-16")
        if encoding not in ("utf-8", "utf-16", "utf-32"):
            raise LinterError("broken", f"it counts columns in {encoding!r}")
        found: list[Message] = []
        if actions and diagnostics and session.capabilities.get("codeActionProvider"):
            last = text.text.count("\n") + text.text.count("\r") + 1
            whole = {"start": {"line": 0, "character": 0}, "end": {"line": last, "character": 0}}
            context = {"diagnostics": diagnostics, "only": ["quickfix"], "triggerKind": 2}
            params = {"textDocument": document, "range": whole, "context": context}
            found = await self._patiently(session, "textDocument/codeAction", params) or []
        return Answer(diagnostics, found, encoding)

    @staticmethod
    async def _patiently(session: Session, method: str, params: Any) -> Any:
        while True:  # bounded by the caller's time limit
            try:
                return await session.request(method, params)
            except RequestRefusedError as error:
                if error.code not in _TRY_AGAIN:
                    raise
                await asyncio.sleep(0.05)

    @staticmethod
    def _show(session: Session, text: LintedText, version: int) -> None:
        if text.uri in session.open:
            document: Message = {"uri": text.uri, "version": version}
            change = {"textDocument": document, "contentChanges": [{"text": text.text}]}
            session.notify("textDocument/didChange", change)
        else:
            document = {"uri": text.uri, "languageId": text.language, "version": version, "text": text.text}
            session.notify("textDocument/didOpen", {"textDocument": document})
        session.open[text.uri] = version
        session.open.move_to_end(text.uri)
        if len(session.open) > _MOST_OPEN:
            session.closed(next(iter(session.open)))
