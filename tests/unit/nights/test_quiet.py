"""Whether the machine is free: what status files of servers and the system's own files about power say."""

import json
import os
from pathlib import Path

import psutil
import pytest

from server.nights.activity import Activity
from server.nights.quiet import Conditions, conditions, runs_on_battery
from server.status_file import servers_folder


def write_status(activity: object, pid: int | None = None) -> None:
    """A status file as a server with this process would write it."""
    servers_folder().mkdir(parents=True, exist_ok=True)
    process = psutil.Process(pid)
    status = {"pid": process.pid, "started": process.create_time(), "activity": activity}
    (servers_folder() / f"{process.pid}.json").write_text(json.dumps(status))


@pytest.fixture
def power(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which the system says where its power comes from."""
    if not psutil.LINUX:
        pytest.skip("other systems do not say it in files")
    monkeypatch.setattr("psutil._pslinux.POWER_SUPPLY_PATH", str(tmp_path))
    return tmp_path


def supply(folder: Path, status: str, online: int) -> None:
    battery, mains = folder / "BAT0", folder / "AC0"
    battery.mkdir()
    mains.mkdir()
    for name, value in {"energy_now": "50", "energy_full": "100", "power_now": "10", "status": status}.items():
        (battery / name).write_text(value)
    (mains / "online").write_text(str(online))


def test_a_machine_without_servers_and_batteries_is_free() -> None:
    assert conditions().quiet_seconds == float("inf")
    assert Conditions().hindrance(3600) is None


def test_the_last_key_in_any_editor_counts() -> None:
    write_status({"quietSeconds": 3000, "busy": []})
    write_status({"quietSeconds": 12, "busy": ["indexing"]}, os.getppid())
    found = conditions()
    assert (found.quiet_seconds, found.busy) == (12, ("indexing",))
    assert found.hindrance(60) == "the last key was 12 s ago, 60 s of quiet are asked for"
    assert found.hindrance(10) == "a server is at work: indexing"


def test_a_server_that_is_gone_hinders_nothing() -> None:
    write_status({"quietSeconds": 0, "busy": ["indexing"]})
    file = servers_folder() / f"{os.getpid()}.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "started": 1.0}))
    assert conditions().hindrance(60) is None


def test_a_battery_counts_only_while_it_is_drained(power: Path) -> None:
    assert not runs_on_battery()
    supply(power, "Discharging", 0)
    assert runs_on_battery()
    assert "battery" in (conditions().hindrance(0) or "")
    assert conditions().hindrance(0, on_battery=True) is None


def test_a_machine_that_is_plugged_in_is_free(power: Path) -> None:
    supply(power, "Charging", 1)
    assert not runs_on_battery()


def test_a_session_says_when_it_was_touched_and_what_it_is_at() -> None:
    activity = Activity()
    with activity.working("agent"):
        assert activity.status([]) == {"quietSeconds": 0.0, "busy": ["agent"]}
    assert activity.status([{"index": {"phase": "embed"}}])["busy"] == ["indexing"]
    assert activity.status([{"index": {"phase": "ready"}}])["busy"] == []
