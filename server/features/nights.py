"""`inkling.night` and `inkling.consent`: learning, started and allowed from the editor.

The night itself is a process of its own (`inkling night --json`); this module shows its progress and lets the
user cancel it. The running server notices a new champion by itself.
"""

import asyncio
import contextlib
import json
from typing import Any

from feedback.consent import Consent
from inkling.process import command, environment
from server.progress import Progress
from server.protocol import InklingServer

NIGHT = "inkling.night"
CONSENT = "inkling.consent"


def register(server: InklingServer) -> None:
    """Announce the commands."""

    @server.command(NIGHT)
    async def night() -> dict[str, Any]:
        return await run_night(server)

    @server.command(CONSENT)
    def consent(value: str) -> dict[str, Any]:
        allowed = [choice.value for choice in Consent]
        if value not in allowed:
            return {"error": f"expected one of {', '.join(allowed)}, found {value!r}"}
        roots = [str(root) for root in server.session.workspaces.roots]
        for root in roots:
            server.session.learning.consents.set(root, Consent(value))
        return {"consent": value, "workspaces": roots}


async def run_night(server: InklingServer) -> dict[str, Any]:
    """Run a night in a child process with progress; returns its last message, the verdict."""
    settings = server.session.settings
    options = ["--budget", settings.night.budget, "--minimum-regions", str(settings.night.minimum_regions)]
    child = await asyncio.create_subprocess_exec(
        *command("night", "--json", "--base", settings.model.base, *options),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=environment(),
        start_new_session=True,
    )
    assert child.stdout is not None
    progress = Progress(server, "Inkling: night", cancellable=True)
    await progress.begin()
    last: dict[str, Any] = {}
    try:
        async for line in child.stdout:
            with contextlib.suppress(ValueError):
                last = json.loads(line)
                progress.report(str(last.get("message") or last.get("phase") or ""))
            if progress.cancelled:
                child.terminate()
        await child.wait()
    finally:
        if child.returncode is None:
            child.terminate()
        progress.end(str(last.get("reason") or "finished"))
    return last
