"""What goes to the team and what comes back, over a socket."""

import gzip
import hashlib
import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from feedback.consent import Consent, set_consent
from feedback.examples import load_examples
from feedback.history import Selection, listing
from feedback.records import Committed, Settled, Survival
from feedback.sending import alias
from feedback.store import Prepared
from feedback.wire import line_of
from inkling.folders import adapters_folder
from model.adapters import Registry
from server.night_sources import allowed_examples
from server.nights.record_page import record_page
from server.settings import Settings
from server.team import sync
from server.team.account import Account, TeamClient, TeamError, read_progress, write_account
from server.team.ingest import LONGEST_TEXT
from server.team.sync import meet, take_back
from tests.unit.team.conftest import ROOT, Record, Service

SECRET = "AKIA" + "Q3EGZXWVTYUIOPAS"


def at_the_team(service: Service, **selection: Any) -> list[Any]:
    return listing(service.team.database, Selection(**selection))


def test_what_is_shared_arrives_once_with_all_that_is_known(service: Service, desk: Path, shared: None, record: Record):
    account = service.account("maria")
    record("one", ROOT, None, Survival("one", time.time(), 30, 0.9))
    record("two")
    assert meet(account, desk, Settings()).suggestions == 2
    found = {entry.id: entry for entry in at_the_team(service)}
    assert set(found) == {"one", "two"}
    one = found["one"]
    assert (one.text, one.outcome.kind, one.settled.text, one.survival[0].kept) == ("foo()", "accepted", "foo()", 0.9)
    assert one.decision.features == {"length": 5.0}
    assert one.workspace == f"maria/{alias(ROOT)}"
    assert "secret-client" not in one.workspace
    assert one.documents[0].text == "def foo(): ..."
    assert meet(account, desk, Settings()).suggestions == 0
    assert [example.target for example in load_examples(service.team.database)] == ["foo()", "foo()"]


def test_what_becomes_known_later_is_sent_later(service: Service, desk: Path, shared: None, record: Record):
    account = service.account("maria")
    record("one")
    meet(account, desk, Settings())
    record("one", ROOT, None, Committed("one", time.time(), "abc", 1.0))
    assert meet(account, desk, Settings()).suggestions == 1
    assert at_the_team(service)[0].committed.commit == "abc"


def test_only_what_was_chosen_is_sent_and_only_from_then_on(service: Service, desk: Path, record: Record):
    account = service.account("maria")
    record("before")
    record("elsewhere", "/home/maria/other")
    set_consent("/home/maria/other", Consent.LOCAL, desk)
    set_consent(ROOT, Consent.TEAM, desk)
    assert meet(account, desk, Settings()).suggestions == 0
    record("after")
    assert meet(account, desk, Settings(), at_most=Consent.LOCAL).suggestions == 0  # the editor's telemetry is off
    assert meet(account, desk, Settings()).suggestions == 1
    assert [entry.id for entry in at_the_team(service)] == ["after"]
    set_consent(ROOT, Consent.LOCAL, desk)
    record("withdrawn")
    assert meet(account, desk, Settings()).suggestions == 0


def test_many_go_in_parcels(
    service: Service, desk: Path, shared: None, record: Record, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("feedback.sending._PARCEL_BYTES", 3000)
    for number in range(5):
        record(f"n{number}", ROOT, None, prefix="x" * 1000)
    assert meet(service.account("maria"), desk, Settings()).suggestions == 5
    assert len(at_the_team(service)) == 5


def test_nobody_reaches_what_somebody_else_sent(service: Service, desk: Path, shared: None, record: Record):
    record("one")
    meet(service.account("maria"), desk, Settings())
    with TeamClient(service.account("tom")) as tom:
        assert tom.send(line_of(Prepared(Settled("one", 5.0, "poison"))))["skipped"] == 1
        assert tom.erase()["suggestions"] == 0
    assert at_the_team(service)[0].settled.text == "foo()"


def test_what_was_sent_can_be_erased(service: Service, desk: Path, shared: None, record: Record):
    account = service.account("maria")
    record("one")
    meet(account, desk, Settings())
    with TeamClient(account) as maria:
        assert maria.erase(alias("/some/where/else"))["suggestions"] == 0
        assert maria.erase(alias(ROOT))["suggestions"] == 1
    assert at_the_team(service) == []


def test_what_was_erased_is_not_sent_again_and_what_is_new_counts(
    service: Service, desk: Path, shared: None, record: Record
):
    account = service.account("maria")
    record("one")
    record("two", "/home/maria/other")
    set_consent("/home/maria/other", Consent.TEAM, desk)
    meet(account, desk, Settings())
    assert take_back(account, ROOT) == 1
    record("one", ROOT, None, Committed("one", time.time(), "abc", 1.0))
    assert meet(account, desk, Settings()).suggestions == 0
    record("three")
    assert meet(account, desk, Settings()).suggestions == 1
    assert [example.id for example in allowed_examples(service.home / "data" / "feedback.sqlite")] == ["three"]


def test_what_answers_but_is_no_team_is_named(service: Service, desk: Path):
    def page(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, text="<html>")

    with (
        TeamClient(service.account("maria"), transport=httpx.MockTransport(page)) as team,
        pytest.raises(TeamError, match="no team's service"),
    ):
        team.champion()


def test_a_secret_that_came_through_loses_its_texts(service: Service, desk: Path):
    line = json.loads(fact("one", text=f'key = "{SECRET}"'))
    with TeamClient(service.account("maria")) as maria:
        assert maria.send(json.dumps(line).encode())["redacted"] == 1
        line["fact"]["path"] = "config/.env"
        line["fact"]["id"] = "two"
        with pytest.raises(TeamError, match="never shared"):
            maria.send(json.dumps(line).encode())
    entry = at_the_team(service)[0]
    assert entry.redacted
    assert entry.text is None


def fact(name: str, **changes: object) -> str:
    values: dict[str, object] = {
        "id": name, "at": 1.0, "workspace": "w", "path": "a.py", "language": "python", "version": 1, "line": 0,
        "column": 0, "prefix": "", "suffix": "", "text": "x", "documents": [], "logprobs": [], "base": "b",
        "adapter": None, "seconds": 0.1, **changes,
    }  # fmt: skip
    return json.dumps({"kind": "Suggestion", "bare": False, "length": 1, "fact": values})


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", "Line 2"),
        ('{"kind": "Nothing", "bare": false, "length": 0, "fact": {}}', "Line 2"),
        (fact("two", at="soon"), "number"),
        (fact("two", at=float("inf")), "at is no number"),
        (fact("two", text="x" * (LONGEST_TEXT + 1)), "text is too long"),
        (fact("two", id="i" * 5000), "id is too long"),
        (fact("two", line=None), "integer"),
    ],
)
def test_a_line_that_is_no_fact_is_named_and_nothing_is_stored(service: Service, line: str, told: str):
    with TeamClient(service.account("maria")) as maria, pytest.raises(TeamError, match=told):
        maria.send(f"{fact('one')}\n{line}\n".encode())
    assert at_the_team(service) == []


def test_a_body_that_unpacks_without_end_is_refused(service: Service, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("server.team.service.LARGEST_BODY", 10_000)
    account = service.account("maria")
    headers = {"Authorization": f"Bearer {account.token}", "Content-Encoding": "gzip"}
    bomb = gzip.compress(b"0" * 5_000_000)
    answer = httpx.post(f"{account.url}/v1/facts", content=bomb, headers=headers)
    assert (answer.status_code, "send less" in answer.json()["error"]) == (400, True)
    answer = httpx.post(f"{account.url}/v1/facts", content=b"no gzip", headers=headers)
    assert (answer.status_code, "no gzip" in answer.json()["error"]) == (400, True)


@pytest.fixture
def adapter(tmp_path: Path, service: Service, desk: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of the team's champion. Whether it fits the base is another test's concern."""
    monkeypatch.setattr("model.exchange.matrices", lambda *known: {})
    monkeypatch.setattr("model.exchange.load_tensors", lambda folder: {})
    monkeypatch.setattr(sync, "resolve", lambda base: tmp_path)
    return promoted(service, tmp_path, b"weights")


def promoted(service: Service, tmp_path: Path, content: bytes, record: dict[str, Any] | None = None) -> str:
    folder = service.team.registry.folder / "made"
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA"}))
    (folder / "adapter_model.safetensors").write_bytes(content)
    if record is not None:
        (folder / "record.json").write_text(json.dumps(record))
    made = service.team.registry.add_candidate(folder, base=Settings().model.base)
    service.team.registry.introduce(made.name, 0)
    return made.name


def test_what_the_team_promoted_comes_as_a_canary_once(service: Service, desk: Path, adapter: str, tmp_path: Path):
    account = service.account("maria")
    met = meet(account, desk, Settings())
    digest = hashlib.sha256(b"weights").hexdigest()
    assert met.adapter == f"team-{adapter}-{digest[:6]}"
    registry = Registry(adapters_folder())
    assert registry.folder != service.team.registry.folder
    assert (registry.get(met.adapter).state, registry.get(met.adapter).digest) == ("canary", digest)
    assert meet(account, desk, Settings()).adapter == ""
    promoted(service, tmp_path, b"better")
    assert meet(account, desk, Settings()).adapter == "", "one trial at a time"
    assert registry.get(met.adapter).state == "canary"
    registry.retire(met.adapter)
    assert meet(account, desk, Settings()).adapter.startswith("team-")


def test_what_the_team_s_night_said_comes_along_with_nobody_else_s_rows(
    service: Service, desk: Path, adapter: str, shared: None, record: Record, tmp_path: Path
):
    record("mine")
    account = service.account("maria")
    meet(account, desk, Settings())
    with TeamClient(service.account("tom")) as tom:
        tom.send(fact("his").encode())
    figures = {"gain": 0.25, "gain_lower": 0.1, "gain_upper": None, "losses": [3.0, 2.0]}
    ids = {"training_examples": ["mine", "his"], "later_examples": ["his"]}
    promoted(service, tmp_path, b"better", {"status": "promoted", "reason": "Promoted.", "figures": figures, **ids})
    registry = Registry(adapters_folder())
    registry.retire(registry.list()[0].name)
    taken = registry.record(meet(account, desk, Settings()).adapter)
    assert (taken["status"], taken["reason"]) == ("promoted", "The team serves it. Promoted.")
    assert taken["figures"] == {"gain": 0.25, "gain_lower": 0.1}
    assert (taken["training_examples"], taken["later_examples"]) == (["mine"], [])
    assert "Gain on later feedback" in record_page(taken, "one")


def test_an_adapter_that_changed_on_its_way_is_not_taken(service: Service, desk: Path, adapter: str):
    (service.team.registry.get(adapter).folder / "adapter_model.safetensors").write_bytes(b"poison")
    found = service.team.registry

    class Lying(TeamClient):
        def champion(self) -> dict[str, Any]:
            return {"base": Settings().model.base, "name": adapter, "digest": "0" * 64}

    with pytest.raises(TeamError, match="not what the team says"):
        meet(service.account("maria"), desk, Settings(), client=Lying)
    assert Registry(adapters_folder()).list() == []
    assert "not what the team says" in read_progress().trouble
    assert found.list()


def test_an_adapter_of_another_base_is_not_taken(service: Service, desk: Path, adapter: str):
    class Other(TeamClient):
        def champion(self) -> dict[str, Any]:
            return {**super().champion(), "base": "another"}

    with pytest.raises(TeamError, match=r"inkling\.model\.base"):
        meet(service.account("maria"), desk, Settings(), client=Other)


def test_a_team_that_is_away_costs_a_sentence(desk: Path, shared: None, record: Record):
    record("one")
    account = Account("http://127.0.0.1:9", "token")
    with pytest.raises(TeamError, match="cannot be reached"):
        meet(account, desk, Settings())
    assert "cannot be reached" in read_progress().trouble
    assert read_progress().sent == {}


@pytest.mark.parametrize("url", ["http://team.example.org", "team.example.org", "file:///etc/passwd", ""])
def test_a_token_is_never_sent_in_the_open(desk: Path, url: str):
    with pytest.raises(TeamError, match=r"Expected the address|expected https"):
        write_account(Account(url, "token"))
