"""`inkling.adapters` and what can be done with them: promote, roll back, note; the same functions as the shell's.

An adapter comes with the verdict of its night, from its record, and with the user's note. The running server notices a
new champion by itself, within seconds, whoever made it one.
"""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from inkling.errors import InklingError
from inkling.folders import adapters_folder
from model.adapters import Adapter, Registry
from model.lineage import promote_fitting
from server.protocol import InklingServer

ADAPTERS = "inkling.adapters"
PROMOTE = "inkling.adapters.promote"
ROLLBACK = "inkling.adapters.rollback"
NOTE = "inkling.adapters.note"

T = TypeVar("T")


def register(server: InklingServer) -> None:
    """Announce the commands. A mistake that a person can mend is an answer with `error`."""

    @server.command(ADAPTERS)
    async def adapters() -> dict[str, Any]:
        """All adapters, newest first, with the base that is served and its champion (null: the bare base)."""
        return await _or_error(lambda: _overview(server.session.settings.model.base))

    @server.command(PROMOTE)
    async def promote(name: str) -> dict[str, Any]:
        """Make an adapter the champion of its base."""
        adapter = await _or_error(lambda: promote_fitting(Registry(adapters_folder()), name))
        if isinstance(adapter, dict):
            return adapter
        return {"message": f"{adapter.name} is now the champion on {adapter.base}."}

    @server.command(ROLLBACK)
    async def rollback() -> dict[str, Any]:
        """Serve the champion before this one again, or the bare base."""
        base = server.session.settings.model.base
        adapter = await _or_error(lambda: Registry(adapters_folder()).rollback(base))
        if isinstance(adapter, dict):
            return adapter
        return {"message": f"{base} is served {f'with {adapter.name}' if adapter else 'bare'} now."}

    @server.command(NOTE)
    async def note(name: str, text: str) -> dict[str, Any]:
        """Keep the user's note about an adapter; an empty one takes it away."""
        return await _or_error(lambda: _noted(name, text))


async def _or_error(work: Callable[[], T]) -> T | dict[str, Any]:
    try:
        return await asyncio.to_thread(work)
    except InklingError as error:
        return {"error": str(error)}


def _overview(base: str) -> dict[str, Any]:
    registry = Registry(adapters_folder())
    adapters = registry.list()
    return {
        "base": base,
        "served": registry.history(base)[-1],
        "before": next(iter(registry.history(base)[-2:-1]), None),
        "canRollBack": len(registry.history(base)) > 1 or any(a.state == "canary" and a.base == base for a in adapters),
        "adapters": [_described(registry, adapter) for adapter in adapters],
    }


def _described(registry: Registry, adapter: Adapter) -> dict[str, Any]:
    """One that is damaged is listed all the same, with what is wrong."""
    try:
        record, problem = registry.record(adapter.name), None
    except InklingError as error:
        record, problem = {}, str(error)
    return {
        "name": adapter.name,
        "state": adapter.state,
        "base": adapter.base,
        "at": adapter.at,
        "dropped": adapter.dropped,
        "status": record.get("status"),
        "reason": record.get("reason"),
        "figures": record.get("figures") or {},
        "note": registry.note(adapter.name),
        "problem": problem,
    }


def _noted(name: str, text: str) -> dict[str, Any]:
    Registry(adapters_folder()).set_note(name, text)
    return {"message": ""}
