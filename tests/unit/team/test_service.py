"""Who may do what at a team's service, its page, its nights, and the commands around it."""

import asyncio
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import httpx
import psutil
import pytest
from typer.testing import CliRunner

from feedback.consent import Consent, set_consent
from feedback.history import show
from inkling.process import command, environment
from server.cli import app
from server.nights.schedule import Schedule
from server.settings import FeedbackSettings, Settings
from server.team import service as service_module
from server.team.account import TeamClient, TeamError
from server.team.service import Team
from server.team.sync import meet
from tests.unit.team.conftest import ROOT, Record, Service


def test_without_a_token_nothing_but_health_answers(service: Service):
    assert httpx.get(f"{service.url}/health").json() == {"ok": True}
    for method, path in (("GET", "/v1/champion"), ("POST", "/v1/facts"), ("DELETE", "/v1/facts"), ("GET", "/v1/nights"),
                         ("POST", "/v1/nights"), ("GET", "/v1/adapters/a/weights")):  # fmt: skip
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic x"}):
            assert httpx.request(method, service.url + path, headers=headers).status_code == 401, path
    page = httpx.get(service.url)
    assert page.status_code == 401
    assert "Token of an admin" in page.text


def test_only_admins_start_nights(service: Service, monkeypatch: pytest.MonkeyPatch):
    started: list[list[str]] = []

    async def spawn(options: list[str]) -> int:
        started.append(options)
        return 4711

    monkeypatch.setattr(service_module, "spawn", spawn)
    with TeamClient(service.account("tom")) as tom, pytest.raises(TeamError, match="for admins"):
        tom.night()
    with TeamClient(service.account("maria", admin=True)) as maria:
        assert maria.night() == {"pid": 4711}
    (options,) = started
    assert options[options.index("--canary-share") + 1] == "0"


def test_a_second_night_has_to_wait(service: Service, monkeypatch: pytest.MonkeyPatch):
    class Running:
        alive = True

    monkeypatch.setattr(service_module, "read_state", Running)
    with TeamClient(service.account("maria", admin=True)) as maria, pytest.raises(TeamError, match="night is running"):
        maria.night()


async def test_a_night_has_to_wait_for_its_process_and_not_for_one_that_got_its_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    this = psutil.Process()

    async def spawn(options: list[str]) -> int:
        return this.pid

    monkeypatch.setattr(service_module, "spawn", spawn)
    team = Team(tmp_path / "feedback.sqlite", Service, Settings(), Schedule())  # type: ignore[arg-type]
    assert await team.night() == this.pid
    assert await team.night() is None
    began = this.create_time()
    monkeypatch.setattr(psutil.Process, "create_time", lambda process: began + 60)
    assert await team.night() == this.pid
    team.close()


async def test_a_night_that_is_due_begins_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    started: list[list[str]] = []

    class Enough(BaseException):
        pass

    async def spawn(options: list[str]) -> int:
        started.append(options)
        raise Enough

    monkeypatch.setattr(service_module, "spawn", spawn)
    monkeypatch.setattr(service_module, "_LOOK_SECONDS", 0.0)
    monkeypatch.setattr(service_module, "due", lambda *known: True)
    team = Team(tmp_path / "feedback.sqlite", Service, Settings(), Schedule.parse("03:00"))  # type: ignore[arg-type]
    with pytest.raises(Enough):
        await team.keep_schedule()
    assert len(started) == 1
    team.close()


async def test_texts_go_from_a_service_after_their_days_and_before_a_night(
    desk: Path, record: Record, monkeypatch: pytest.MonkeyPatch
):
    class Enough(BaseException):
        pass

    async def enough(seconds: float) -> None:
        raise Enough

    async def spawn(options: list[str]) -> int:
        return 4711

    monkeypatch.setattr(service_module, "spawn", spawn)
    now = time.time()
    desk.parent.mkdir(parents=True)
    for id, days in (("old", 31), ("ageing", 29), ("new", 1)):
        record(id, at=now - days * 86_400)
    team = Team(desk, Service, Settings(feedback=FeedbackSettings(texts_days=30)), Schedule())  # type: ignore[arg-type]
    with monkeypatch.context() as once:
        once.setattr(asyncio, "sleep", enough)
        with pytest.raises(Enough):
            await team.keep_within_bounds()
    assert [show(team.database, id).text for id in ("old", "ageing")] == [None, "foo()"]
    with monkeypatch.context() as later:
        later.setattr(time, "time", lambda: now + 2 * 86_400)
        await team.night()
    assert [show(team.database, id).text for id in ("ageing", "new")] == [None, "foo()"]
    team.close()


def test_the_page_is_for_admins_and_shows_who_sent_what(service: Service, desk: Path, shared: None, record: Record):
    record("one")
    meet(service.account("tom"), desk, Settings())
    service.members.add("<b>".strip("<>"), "member")
    admin, member = service.account("maria", admin=True), service.account("eve")
    with httpx.Client(base_url=service.url) as browser:
        assert browser.post("/login", data={"token": member.token}).status_code == 403
        assert browser.get("/").status_code == 401
        answer = browser.post("/login", data={"token": admin.token})
        assert answer.status_code == 303
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        page = browser.get("/").text
        assert "<td>tom</td>" in page
        assert "Suggestions shown per day" in page
        assert "There was no night yet." in page
        # Another site that sends the browser here gets nowhere with its cookie.
        other = {"Sec-Fetch-Site": "cross-site"}
        assert browser.post("/v1/nights", headers=other).status_code == 401
        assert browser.get("/", headers=other).status_code == 401


def test_the_commands_of_an_admin(tmp_path: Path):
    runner = CliRunner()
    token = runner.invoke(app, ["team", "add", "maria", "--admin"]).stdout.strip()
    assert len(token) > 30
    listed = json.loads(runner.invoke(app, ["team", "list", "--json"]).stdout)
    assert [(member["name"], member["role"], member["seen"]) for member in listed] == [("maria", "admin", None)]
    assert "no member any more" in runner.invoke(app, ["team", "remove", "maria"]).stdout


def test_the_commands_of_a_developer(service: Service, desk: Path, record: Record):
    runner = CliRunner()
    wrong = runner.invoke(app, ["team", "join", service.url, "--token", "wrong"])
    assert isinstance(wrong.exception, TeamError)
    assert isinstance(runner.invoke(app, ["team", "sync"]).exception, Exception)
    account = service.account("maria")
    joined = runner.invoke(app, ["team", "join", service.url, "--token", account.token], catch_exceptions=False)
    assert "has no adapter yet" in joined.stdout
    set_consent(ROOT, Consent.TEAM, desk)
    record("one")
    assert "1 suggestions sent, no new adapter" in runner.invoke(app, ["team", "sync"], catch_exceptions=False).stdout
    told = json.loads(runner.invoke(app, ["team", "status", "--json"]).stdout)
    assert (told["team"], told["suggestions"], told["trouble"]) == (service.url, 1, None)
    local = runner.invoke(app, ["feedback", "erase", "--all", "--yes"], catch_exceptions=False)
    assert "`inkling team erase` takes it back" in local.stderr
    assert "1 suggestions are erased" in runner.invoke(app, ["team", "erase"], catch_exceptions=False).stdout
    assert runner.invoke(app, ["team", "leave"]).stdout == "Left.\n"
    assert json.loads(runner.invoke(app, ["team", "status", "--json"]).stdout)["team"] is None


@pytest.mark.timeout(120)
def test_a_service_of_its_own_takes_a_night_from_start_to_verdict(tmp_path: Path):
    home = tmp_path / "home"
    known = environment({"INKLING_HOME": str(home)})
    token = subprocess.run(
        command("team", "add", "maria", "--admin"), env=known, capture_output=True, text=True, check=True
    ).stdout.strip()
    with httpx.Client(headers={"Authorization": f"Bearer {token}"}) as client:
        port = free_port()
        process = subprocess.Popen(command("team", "serve", "--port", str(port)), env=known, stderr=subprocess.PIPE)
        try:
            url = f"http://127.0.0.1:{port}"
            wait(lambda: client.get(f"{url}/health").is_success)
            assert client.post(f"{url}/v1/nights").status_code == 202
            wait(lambda: (client.get(f"{url}/v1/nights").json()["last"] or {}).get("status") == "skipped")
            assert "needs 300 settled regions" in client.get(f"{url}/v1/nights").json()["last"]["message"]
        finally:
            process.send_signal(signal.SIGINT if os.name != "nt" else signal.SIGTERM)
            process.communicate(timeout=20)


def test_a_service_without_members_says_how_to_begin(tmp_path: Path):
    done = subprocess.run(
        command("team", "serve"), env=environment({"INKLING_HOME": str(tmp_path)}), capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "inkling team add" in done.stderr


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait(until: object, seconds: float = 60.0) -> None:
    assert callable(until)
    end = time.monotonic() + seconds
    while True:
        try:
            if until():
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.2)
