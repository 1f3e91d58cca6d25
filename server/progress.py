"""Progress in the editor's own way (`$/progress`), for editors that show it; silent for the others."""

import asyncio
import uuid
from pathlib import Path
from typing import Any

from lsprotocol import types as lsp

from server.nights.state import NightState
from server.protocol import InklingServer


class Progress:
    """One line of progress: begun, reported, ended. pygls never forgets a token, so ending drops it."""

    def __init__(self, server: InklingServer, title: str, *, cancellable: bool = False) -> None:
        window = server.client_capabilities.window
        self._server = server
        self._title = title
        self._cancellable = cancellable
        self._token = f"inkling-{uuid.uuid4().hex}"
        self._possible = bool(window and window.work_done_progress)
        self._open = False
        self._over = False

    @property
    def cancelled(self) -> bool:
        """True once the user pressed cancel."""
        future = self._server.work_done_progress.tokens.get(self._token)
        return bool(future is not None and future.cancelled())

    async def begin(self) -> None:
        """Show the line."""
        if self._possible:
            await self._server.work_done_progress.create_async(self._token)
            if self._over:  # the work was done before the editor had made the line
                self._server.work_done_progress.tokens.pop(self._token, None)
                return
            self._server.work_done_progress.begin(
                self._token, lsp.WorkDoneProgressBegin(title=self._title, cancellable=self._cancellable)
            )
            self._open = True

    def report(self, message: str, percentage: int | None = None) -> None:
        """Say how it goes."""
        if self._open:
            self._server.work_done_progress.report(
                self._token, lsp.WorkDoneProgressReport(message=message, percentage=percentage)
            )

    def end(self, message: str) -> None:
        """Take the line away."""
        self._over = True
        if self._open:
            self._open = False
            self._server.work_done_progress.end(self._token, lsp.WorkDoneProgressEnd(message=message))
            self._server.work_done_progress.tokens.pop(self._token, None)


class IndexProgress:
    """Shows what the indexing processes say, one line per folder while there is work."""

    def __init__(self, server: InklingServer) -> None:
        self._server = server
        self._lines: dict[Path, Progress] = {}
        self._beginning: set[asyncio.Task[None]] = set()

    def report(self, root: Path, message: dict[str, Any]) -> None:
        """Take in one message of the worker of `root`."""
        if message.get("phase") == "waiting":  # another window builds this index and shows how far it is
            return
        if "phase" not in message or "total" not in message:
            line = self._lines.pop(root, None)
            if line is not None:
                line.end(str(message.get("error") or "ready"))
            return
        if root not in self._lines:
            self._lines[root] = Progress(self._server, f"Inkling: indexing {root.name}")
            task = asyncio.create_task(self._lines[root].begin())
            self._beginning.add(task)
            task.add_done_callback(self._beginning.discard)
        done, total = int(message["done"]), int(message["total"])
        left = message.get("seconds_left")
        estimate = f", about {left:.0f} s left" if isinstance(left, int | float) else ""
        self._lines[root].report(
            f"{message['phase']} {done} of {total}{estimate}", 100 * done // total if total else None
        )


class NightProgress:
    """Shows a night that was started by a schedule, a shell or another window; cancelling asks it to end."""

    def __init__(self, server: InklingServer) -> None:
        self._server = server
        self._line: Progress | None = None
        self._shown: tuple[int, float] | None = None
        self._beginning: asyncio.Task[None] | None = None

    def report(self, night: NightState) -> None:
        """Take in how a night stands, as often as somebody looks."""
        which = (night.pid, night.started)
        if not night.alive:
            if self._line is not None:
                self._line.end(night.message)
                self._line = None
            return
        if self._line is None or which != self._shown:
            self._shown = which
            self._line = Progress(self._server, "Inkling: night", cancellable=True)
            self._beginning = asyncio.create_task(self._line.begin())
        self._line.report(night.message, 100 * night.done // night.total if night.total else None)
        if self._line.cancelled:
            night.stop()
