"""The indexing process of one workspace folder, as seen by the server.

Chunking and embedding run in a child (`inkling index FOLDER --worker`) with low priority, so that neither the
event loop nor a completion ever waits for them, and a crash there costs nothing but a restart. It talks in JSON
lines; the protocol is described in `index.worker`. This module only starts, feeds, watches and stops it.
"""

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from inkling.process import command, environment

log = logging.getLogger(__name__)

_RESTARTS = 3
_STEADY_SECONDS = 300.0  # of work, after which the restarts before it do not count
_STOP_SECONDS = 0.5  # a batch that takes longer is killed: an index survives that
_LINE_LIMIT = 1 << 20  # bytes
_WORDS = 600  # bytes of a dead worker's last words that are kept


class IndexProcess:
    """Starts the worker, restarts it a few times if it dies, and keeps the last thing it said."""

    def __init__(self, root: Path, options: Iterable[str], on_progress: Callable[[Path, dict[str, Any]], None]) -> None:
        self.root = root
        self._options = tuple(options)
        self._on_progress = on_progress
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._last: dict[str, Any] = {"phase": "starting"}
        self._restarts = 0
        self._stopping = False
        self._words = ""

    def start(self) -> None:
        """Start in the background; returns at once."""
        self._task = asyncio.create_task(self._keep_running(), name=f"index {self.root}")

    def changed(self, paths: Iterable[Path]) -> None:
        """These files were saved, made, renamed or deleted."""
        self._send({"changed": [str(path) for path in paths]})

    def rescan(self) -> None:
        """Look at the whole tree again."""
        self._send({"rescan": True})

    def status(self) -> dict[str, Any]:
        """What the worker said last, and how often it had to be restarted."""
        return {**self._last, "restarts": self._restarts}

    async def stop(self) -> None:
        """Ask the worker to stop, and make it stop."""
        self._stopping = True
        process = self._process
        if process is not None and process.returncode is None:
            self._send({"stop": True})
            if process.stdin is not None:
                process.stdin.close()
            try:
                await asyncio.wait_for(process.wait(), _STOP_SECONDS)
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._on_progress(self.root, {"phase": "stopped"})

    async def _keep_running(self) -> None:
        while not self._stopping:
            began = time.monotonic()
            code = await self._run_once()
            if self._stopping or code == 0:
                return
            if time.monotonic() - began >= _STEADY_SECONDS:
                self._restarts = 0
            if self._restarts >= _RESTARTS:
                why = self._last.get("error") if self._last.get("phase") == "stopped" else self._words
                words = f"The indexing process ended {self._restarts + 1} times with {code}. {why}".strip()
                self._say({"phase": "stopped", "error": words})
                return
            self._restarts += 1
            await asyncio.sleep(2.0**self._restarts)

    async def _run_once(self) -> int:
        try:
            self._process = await asyncio.create_subprocess_exec(
                *command("index", str(self.root), "--worker", *self._options),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=environment(),
                limit=_LINE_LIMIT,
                start_new_session=True,
            )
        except OSError as error:
            self._say({"phase": "stopped", "error": f"the indexing process cannot be started: {error}"})
            return -1
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        errors = asyncio.create_task(last_words(self._process.stderr))
        try:
            async for line in self._process.stdout:
                self._say(json.loads(line))
        except ValueError:  # not JSON, or a line without end: not a worker of ours any more
            log.exception("the indexing process said something that is no message")
            self._process.kill()
        self._words = await errors
        return await self._process.wait()

    def _say(self, message: dict[str, Any]) -> None:
        self._last = message
        self._on_progress(self.root, message)

    def _send(self, message: dict[str, Any]) -> None:
        process = self._process
        if process is None or process.stdin is None or process.stdin.is_closing() or process.returncode is not None:
            return  # a worker that starts later looks at the whole tree anyway
        with contextlib.suppress(ConnectionError):
            process.stdin.write(json.dumps(message).encode() + b"\n")


async def last_words(stream: asyncio.StreamReader) -> str:
    """Drain a child's standard error; the end of what it said, for when it dies."""
    kept = b""
    while chunk := await stream.read(4096):
        kept = (kept + chunk)[-_WORDS:]
    return kept.decode("utf-8", "replace").strip()
