"""Nights around a running server: one starts by itself, one gives way to who types, all are shown and can be ended."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from pytest_lsp import LanguageClient

from inkling.folders import adapters_folder
from inkling.process import command, environment
from model.adapters import Registry
from server.nights.state import read_state
from tests.e2e.conftest import QUIET, Connect, insert, open_document, run, until
from tests.e2e.test_night import base, remember  # noqa: F401 - the fixture of a tiny base
from tests.unit.training.tiny_language import OTHER_HABITS, written


@pytest.fixture
def nights() -> Iterator[list["subprocess.Popen[bytes]"]]:
    """Nights that a test started; none outlives it."""
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for child in started:
        child.kill()
        child.wait()
    last = read_state()
    if last is not None:
        last.stop()


def begin(*options: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(command("night", "--json", *options), env=environment(), stdout=subprocess.DEVNULL)


def settings(base: str, schedule: str) -> dict[str, Any]:  # noqa: F811
    night = {"schedule": schedule, "idleMinutes": 0, "onBattery": True, "minimumRegions": 40}
    return {**QUIET, "model": {"base": base}, "night": night}


def shown(client: LanguageClient) -> list[tuple[str, str | None]]:
    """Kind and message of every progress that the client was shown."""
    return [(value.kind, value.message) for reports in client.progress_reports.values() for value in reports]


async def test_a_night_that_is_due_runs_by_itself_and_its_verdict_is_shown(
    connect: Connect,
    project: Path,
    base: str,  # noqa: F811
    nights: list["subprocess.Popen[bytes]"],
) -> None:
    remember(written(OTHER_HABITS, 60))
    client = await connect(project, settings(base, "idle"))
    over = {"promoted", "refused"}
    found = (await until(client, lambda status: (status["night"]["last"] or {}).get("status") in over))["night"]
    assert found["schedule"] == "idle"
    assert found["last"]["scheduled"]
    assert found["next"] is not None
    (adapter,) = Registry(adapters_folder()).list()
    assert found["last"]["adapter"] == adapter.name
    assert ("end", found["last"]["message"]) in shown(client)


async def test_a_night_from_the_editor_yields_to_its_user_and_says_how_it_goes(
    connect: Connect,
    project: Path,
    base: str,  # noqa: F811
    nights: list["subprocess.Popen[bytes]"],
) -> None:
    remember(written(OTHER_HABITS, 60))
    client = await connect(project, settings(base, "off"))
    asked = asyncio.create_task(run(client, "inkling.night"))
    await until(client, lambda status: (status["night"]["last"] or {}).get("status") == "running")
    running = read_state()
    assert running is not None
    if sys.platform != "win32":
        assert psutil.Process(running.pid).nice() >= 10
    last = await asyncio.wait_for(asked, 120)
    assert (last["phase"], last["status"] in {"promoted", "refused"}) == ("verdict", True), last
    said = shown(client)
    assert any((message or "").startswith("Training: step") for kind, message in said if kind == "report")
    assert ("end", last["reason"]) in said


async def test_a_night_waits_while_somebody_types_and_any_window_can_end_it(
    connect: Connect,
    project: Path,
    base: str,  # noqa: F811
    nights: list["subprocess.Popen[bytes]"],
) -> None:
    remember(written(OTHER_HABITS, 60))
    client, uri = await connect(project, settings(base, "off")), (project / "new.py").as_uri()
    open_document(client, uri, "x = 1\n")
    insert(client, uri, 2, 0, 0, "y")
    await until(client, lambda status: status["activity"]["quietSeconds"] < 20)
    child = begin("--base", base, "--minimum-regions", "40", "--give-way", "3600")
    nights.append(child)
    found = await until(client, lambda status: (status["night"]["last"] or {}).get("status") == "waiting")
    assert "s of quiet are asked for" in found["night"]["last"]["message"]
    assert await run(client, "inkling.cancelNight") == {"cancelled": True}
    assert await asyncio.to_thread(child.wait, 60) == 130
    await until(client, lambda status: status["night"]["last"]["status"] == "cancelled")
    assert await run(client, "inkling.cancelNight") == {"cancelled": False}
