"""`inkling.night`, `inkling.cancelNight` and `inkling.consent`: learning, started and allowed from the editor.

The night itself is a process of its own (`inkling night --json`); this module shows its progress and lets the
user cancel it. Nights that a schedule starts are those of `server.nights`. The running server notices a new champion
by itself.
"""

import asyncio
import contextlib
import json
from typing import Any

from feedback.consent import Consent
from inkling.errors import InklingError
from inkling.process import command, environment
from server.indexing import last_words
from server.nights.scheduler import night_options
from server.nights.state import read_state
from server.progress import Progress
from server.protocol import InklingServer

NIGHT = "inkling.night"
CANCEL = "inkling.cancelNight"
CONSENT = "inkling.consent"
_LOOK_SECONDS = 0.3
_LONGEST_LINE = 1 << 24  # bytes: a verdict holds the figures of every step


def register(server: InklingServer) -> None:
    """Announce the commands."""

    @server.command(NIGHT)
    async def night() -> dict[str, Any]:
        return await run_night(server)

    @server.command(CANCEL)
    async def cancel() -> dict[str, Any]:
        """Ask the night that runs to end, whoever started it; it keeps what it has come to."""
        night = await asyncio.to_thread(read_state)
        return {"cancelled": night is not None and night.stop()}

    @server.command(CONSENT)
    async def consent(value: str, *folders: str) -> dict[str, Any]:
        """Arguments: off, local or team, then the open folders that it is for; without any, all of them."""
        allowed = [choice.value for choice in Consent]
        if value not in allowed:
            return {"error": f"expected one of {', '.join(allowed)}, found {value!r}"}
        known = [str(root) for root in server.session.workspaces.roots]
        if unknown := [folder for folder in folders if folder not in known]:
            return {"error": f"expected open folders ({', '.join(known)}), found {', '.join(unknown)}"}
        roots = list(folders) or known
        try:
            for root in roots:
                await asyncio.to_thread(server.session.learning.consents.set, root, Consent(value))
        except InklingError as error:
            return {"error": str(error)}
        return {"consent": value, "workspaces": roots}


async def run_night(server: InklingServer) -> dict[str, Any]:
    """Run a night in a child process with progress; returns its verdict, or why there is none."""
    session = server.session
    child = await asyncio.create_subprocess_exec(
        *command("night", "--json", *night_options(session.settings)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(),
        limit=_LONGEST_LINE,
        start_new_session=True,
    )
    assert child.stdout is not None
    assert child.stderr is not None
    words = asyncio.create_task(last_words(child.stderr))
    progress = Progress(server, "Inkling: night", cancellable=True)
    last: dict[str, Any] = {}
    stopper = asyncio.create_task(_stop_when_cancelled(progress, child))
    session.nights.by_hand = True
    try:
        await progress.begin()
        async for line in child.stdout:
            with contextlib.suppress(ValueError):
                last = json.loads(line)
                progress.report(str(last.get("message") or ""))
        code = await child.wait()
        if last.get("phase") != "verdict":
            last = {"phase": "verdict", "status": "failed", "reason": await words or f"the night ended with {code}"}
    finally:
        session.nights.by_hand = False
        stopper.cancel()
        if child.returncode is None:
            child.terminate()
        progress.end(str(last.get("reason") or "stopped"))
    return last


async def _stop_when_cancelled(progress: Progress, child: asyncio.subprocess.Process) -> None:
    """Ask the night once to end; it keeps a checkpoint and says that it was cancelled."""
    while not progress.cancelled:  # noqa: ASYNC110 - pygls has a flag for it, and nothing to wait on
        await asyncio.sleep(_LOOK_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        child.terminate()
