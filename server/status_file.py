"""What a running server is up to, for `inkling status` in a shell: one small file per server, replaced as a whole.

A server writes its status every few seconds while something changes and removes the file when it leaves. A file whose
process is gone is not a server any more; whoever reads removes it.
"""

import asyncio
import contextlib
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from inkling import folders

log = logging.getLogger(__name__)

_SECONDS = 3.0


def servers_folder() -> Path:
    """Where the files lie."""
    return folders.cache_folder() / "servers"


class StatusFile:
    """Keeps this process's file up to date. `status` makes what is written; it runs on the event loop."""

    def __init__(self, status: Callable[[], dict[str, Any]]) -> None:
        self._status = status
        self._path = servers_folder() / f"{os.getpid()}.json"
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to write."""
        self._task = asyncio.create_task(self._keep(), name="status file")

    def close(self) -> None:
        """Stop, and remove the file."""
        if self._task is not None:
            self._task.cancel()
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)

    async def _keep(self) -> None:
        while True:
            status = self._status()
            try:
                await asyncio.to_thread(self._write, status)
            except OSError as error:  # a full disk: the status is not worth more than a line in the log
                log.warning("the status cannot be written to %s: %s", self._path, error)
            await asyncio.sleep(_SECONDS)

    def _write(self, status: dict[str, Any]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        new = self._path.with_suffix(".new")
        described = {"pid": os.getpid(), "started": psutil.Process().create_time(), **status}
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)  # it names folders of the user's
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(described, file, default=str)
        new.replace(self._path)


def running_servers() -> list[dict[str, Any]]:
    """The status of each server that runs now, oldest first. Files of servers that are gone are removed."""
    found = []
    for path in sorted(servers_folder().glob("*.json")):
        try:
            status = json.loads(path.read_text(encoding="utf-8"))
            alive = psutil.Process(int(status["pid"])).create_time() == float(status["started"])
        except (OSError, ValueError, KeyError, psutil.NoSuchProcess, psutil.AccessDenied):
            alive = False
        if alive:
            found.append(status)
        else:
            with contextlib.suppress(OSError):
                path.unlink()
    return sorted(found, key=lambda status: float(status["started"]))
