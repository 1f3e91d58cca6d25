"""A team's service that really listens, in a home of its own, and a developer's home beside it."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvicorn

from feedback.consent import Consent, set_consent
from feedback.database import open_database, write
from feedback.records import ContextDocument, Decision, Fact, Outcome, Settled, Suggestion
from feedback.store import Prepared, store
from server.nights.schedule import Schedule
from server.settings import Settings
from server.team.account import Account
from server.team.members import Members
from server.team.service import Team, application

ROOT = "/home/maria/secret-client/project"


@dataclass(frozen=True)
class Service:
    """One that runs. `home`: its INKLING_HOME."""

    home: Path
    url: str
    team: Team
    members: Members

    def account(self, name: str, *, admin: bool = False) -> Account:
        return Account(self.url, self.members.add(name, "admin" if admin else "member"))


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    home = tmp_path / "service"
    monkeypatch.setenv("INKLING_HOME", str(home))
    members = Members(home / "data" / "team" / "members.json")
    place = home / "data" / "feedback.sqlite"
    place.parent.mkdir(parents=True)
    team = Team(place, members, Settings(), Schedule())
    config = uvicorn.Config(application(team), host="127.0.0.1", port=0, log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield Service(home, f"http://127.0.0.1:{port}", team, members)
    server.should_exit = True
    thread.join(10)


@pytest.fixture
def desk(tmp_path: Path, service: Service, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of a developer, which everything that follows uses; its feedback database."""
    monkeypatch.setenv("INKLING_HOME", str(tmp_path / "desk"))
    return tmp_path / "desk" / "data" / "feedback.sqlite"


Record = Callable[..., None]


@pytest.fixture
def record(desk: Path) -> Record:
    """Put a suggestion with an outcome into the developer's database."""

    def put(id: str, root: str = ROOT, at: float | None = None, *more: Fact, **changes: object) -> None:
        at = time.time() if at is None else at
        values: dict[str, object] = {
            "id": id, "at": at, "workspace": root, "path": "src/a.py", "language": "python", "version": 1, "line": 0,
            "column": 4, "prefix": "x = ", "suffix": "\nlast\n", "text": "foo()",
            "documents": (ContextDocument("src/b.py", "def foo(): ..."),), "logprobs": (-0.1,), "base": "smol",
            "adapter": None, "seconds": 0.05, **changes,
        }  # fmt: skip
        facts: tuple[Fact, ...] = (
            Suggestion(**values),  # type: ignore[arg-type]
            Decision(id, at, True, 0.5, 1.0, "gate", {"length": 5.0}),
            Outcome(id, at + 1, "accepted", 5, "typed", 1.0),
            Settled(id, at + 12, "foo()"),
            *more,
        )
        engine = open_database(desk)
        with write(engine).begin() as connection:
            for fact in facts:
                store(connection, Prepared(fact, False, 5))
        engine.dispose()

    return put


@pytest.fixture
def shared(desk: Path) -> None:
    """The developer chose to share."""
    desk.parent.mkdir(parents=True, exist_ok=True)
    set_consent(ROOT, Consent.TEAM, desk)
