"""Live figures decide: what is worse is taken back, with the figures, once; too few requests decide nothing."""

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest
from sqlalchemy import event

from feedback.consent import Consent, Consents
from feedback.database import open_database
from feedback.live import Request, requests_of
from feedback.recorder import Recorder
from feedback.records import Decision, Outcome, Suggestion, Survival
from inkling.folders import feedback_database
from model.adapters import Registry
from model.evaluation.live import LiveRules, judge_live
from server.nights.live import LiveWatch, decide, live_verdict, settled, undecided, waiting_for

BASE, WORKSPACE = "tiny", "/home/me/project"
RULES = LiveRules(requests=100, decided=20, enough=400)


def requests(
    count: int, accepted: float, *, seed: int = 0, seconds: float = 0.2, length: float = 20.0
) -> list[Request]:
    """Requests in ten files, half of them shown, of which this share was accepted."""
    random = Random(seed)
    made = []
    for number in range(count):
        shown, taken = random.random() < 0.5, random.random() < accepted
        kept = length * taken * shown
        made.append(
            Request(f"file {number % 10}", shown, taken if shown else None, kept, seconds * random.uniform(0.8, 1.2))
        )
    return made


def test_a_clear_loss_is_called_worse_with_its_figures() -> None:
    verdict = judge_live(requests(300, 0.1), requests(300, 0.6, seed=1), age_days=0.1, rules=RULES)
    assert verdict.status == "worse"
    assert "kept characters per request fell from" in verdict.reason
    assert verdict.requests == (300, 300)
    kept = verdict.figures[0]
    assert kept.lower < kept.difference < kept.upper < 0


def test_too_few_requests_decide_nothing_however_bad() -> None:
    verdict = judge_live(requests(99, 0.0), requests(1000, 0.9), age_days=0.1, rules=RULES)
    assert (verdict.status, verdict.figures) == ("waiting", [])
    few_files = [Request("one file", True, False, 0.0, 0.2)] * 500
    assert judge_live(few_files, requests(500, 0.9), age_days=0.1, rules=RULES).status == "waiting"


def test_a_slower_model_is_worse_although_it_is_accepted_as_often() -> None:
    verdict = judge_live(requests(300, 0.4, seconds=0.5), requests(300, 0.4, seed=1), age_days=0.1, rules=RULES)
    assert verdict.status == "worse"
    (slower,) = [figure for figure in verdict.figures if figure.worse]
    assert slower.lower > RULES.slower
    assert "ms were usual" in verdict.reason


def test_equal_sides_are_seldom_called_worse() -> None:
    called = [
        judge_live(requests(400, 0.3, seed=2 * seed), requests(400, 0.3, seed=2 * seed + 1), age_days=0.1, rules=RULES)
        for seed in range(40)
    ]
    assert sum(verdict.status == "worse" for verdict in called) <= 2
    assert {verdict.status for verdict in called} >= {"good"}


def test_an_adapter_without_much_use_stays_after_some_days() -> None:
    assert judge_live([], [], age_days=2.9, rules=RULES).status == "waiting"
    assert judge_live([], [], age_days=3.1, rules=RULES).status == "good"


class Desk:
    """A database in which requests are recorded as a server records them."""

    def __init__(self) -> None:
        self._consents = Consents(feedback_database())
        self._consents.set(WORKSPACE, Consent.LOCAL)
        self._recorder = Recorder(feedback_database(), self._consents, lambda path: False)
        self._made = 0

    def record(self, adapter: str | None, made: list[Request], at: float) -> None:
        for one in made:
            self._made += 1
            id = f"suggestion-{self._made}"
            suggestion = Suggestion(
                id, at, WORKSPACE, one.group, "python", 1, 0, 0, "p", "s", "x" * 20, (), (), BASE, adapter, one.seconds
            )
            self._recorder.record(suggestion)
            self._recorder.record(Decision(id, at, one.shown, None, 1.0, "eager"))
            if one.shown:
                kind = "accepted" if one.taken else "rejected"
                self._recorder.record(Outcome(id, at, kind, 20 if one.taken else 0, "rule", 1.0))
                if one.taken:
                    self._recorder.record(Survival(id, at, 5, 1.0))
                    self._recorder.record(Survival(id, at, 30, one.kept / 20))
        assert self._recorder.flush(30)

    def close(self) -> None:
        assert self._recorder.close(30)
        self._consents.close()


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    yield desk
    desk.close()


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "adapters")


@pytest.fixture
def candidate(registry: Registry) -> Callable[[str], str]:
    def make(name: str) -> str:
        folder = registry.folder / ".runs" / name
        folder.mkdir(parents=True)
        (folder / "adapter_config.json").write_text('{"peft_type": "LORA"}')
        (folder / "adapter_model.safetensors").write_bytes(name.encode())
        return registry.add_candidate(folder, base=BASE, name=name).name

    return make


def introduced(registry: Registry, name: str, ago: float = 6000.0) -> None:
    """A canary of some time ago."""
    with pytest.MonkeyPatch.context() as earlier:
        at = time.time() - ago
        earlier.setattr(time, "time", lambda: at)
        registry.introduce(name, 0.5)


def test_requests_are_read_as_they_ended_and_open_ones_are_left_out(desk: Desk) -> None:
    now = time.time()
    old = [
        Request("a.py", True, True, 10.0, 0.3),
        Request("a.py", True, False, 0.0, 0.3),
        Request("b.py", False, None, 0.0, 0.3),
    ]
    desk.record("night-a", old, now - 5000)
    desk.record("night-a", old[:1], now - 10)  # too young: what becomes of it is not known yet
    desk.record(None, old[:1], now - 5000)
    engine = open_database(feedback_database())
    found = requests_of(engine, BASE, "night-a", now=now)
    assert sorted((one.kept, one.taken, one.shown) for one in found if one.shown) == [
        (0.0, False, True),
        (10.0, True, True),
    ]
    assert len(found) == 3
    assert len({one.group for one in found}) == 2
    assert [one.kept for one in requests_of(engine, BASE, None, now=now)] == [10.0]
    assert requests_of(engine, "another base", "night-a", now=now) == []
    engine.dispose()


async def test_a_bad_canary_is_taken_back_once_said_and_noted(
    desk: Desk, registry: Registry, candidate: Callable[[str], str]
) -> None:
    registry.promote(candidate("old"))
    introduced(registry, candidate("new"))
    at = time.time() - 5000
    desk.record("old", requests(160, 0.6, seed=1), at)
    desk.record("new", requests(160, 0.05), at)
    told: list[str] = []
    watches = [LiveWatch(registry, feedback_database(), BASE, told.append) for _ in range(2)]
    for watch in watches:
        await watch.look()
    assert len(told) == 1
    assert told[0].startswith("The adapter new was taken back: kept characters per request fell from")
    assert "Now old is served" in told[0]
    assert (registry.get("new").state, registry.get("old").state) == ("retired", "champion")
    (entry,) = registry.record("new")["live"]
    assert (entry["decision"], entry["status"], entry["against"]) == ("taken back", "worse", "old")
    assert entry["figures"][0]["name"] == "kept characters per request"


async def test_what_somebody_else_took_back_is_said_too(
    desk: Desk, registry: Registry, candidate: Callable[[str], str]
) -> None:
    registry.promote(candidate("old"))
    introduced(registry, candidate("new"))
    told: list[str] = []
    watch = LiveWatch(registry, feedback_database(), BASE, told.append)
    await watch.look()
    assert told == []
    at = time.time() - 5000
    desk.record("old", requests(160, 0.6, seed=1), at)
    desk.record("new", requests(160, 0.05), at)
    judged = live_verdict(registry, feedback_database(), BASE)
    assert judged is not None
    settled(registry, *judged)  # as a night does, or another window
    for _ in range(3):
        await watch.look()
    assert len(told) == 1
    assert told[0].startswith("The adapter new was taken back")
    assert watch.status() is None


async def test_a_champion_that_is_worse_than_the_one_before_is_rolled_back(
    desk: Desk, registry: Registry, candidate: Callable[[str], str]
) -> None:
    registry.introduce(candidate("new"), 1.0)
    at = time.time() - 40 * 86_400
    desk.record(None, requests(160, 0.6, seed=1), at)
    desk.record("new", requests(160, 0.05), time.time() - 5000)
    told: list[str] = []
    await LiveWatch(registry, feedback_database(), BASE, told.append).look()
    assert registry.champion(BASE) is None
    assert "no adapter of yours is served" in told[0]


async def test_a_good_canary_is_promoted_and_nobody_is_disturbed(
    desk: Desk, registry: Registry, candidate: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    introduced(registry, candidate("new"))
    at = time.time() - 5000
    desk.record(None, requests(160, 0.3, seed=1), at)
    desk.record("new", requests(160, 0.5), at)
    told: list[str] = []
    watch = LiveWatch(registry, feedback_database(), BASE, told.append)
    await watch.look()
    assert registry.champion(BASE) is None
    with monkeypatch.context() as later:
        in_days = time.time() + 4 * 86_400
        later.setattr(time, "time", lambda: in_days)
        await watch.look()
    champion = registry.champion(BASE)
    assert champion is not None
    assert (champion.name, told) == ("new", [])
    assert registry.record("new")["live"][0]["decision"] == "promoted"
    await watch.look()
    status = watch.status()
    assert status is not None
    assert (status["adapter"], status["share"], status["status"]) == ("new", 1.0, "waiting")


def test_a_canary_with_little_use_is_decided_about_in_time_where_no_server_runs(
    registry: Registry, candidate: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.introduce(candidate("new"), 0.5)
    place = feedback_database()
    assert decide(registry, place, BASE) is None
    trial = undecided(registry, place, BASE)
    assert trial is not None
    latest = datetime.fromtimestamp(trial.since + 3 * 86_400)
    assert f"{latest:%Y-%m-%d %H:%M} at the latest" in waiting_for(trial)
    with monkeypatch.context() as later:
        in_days = time.time() + 3.1 * 86_400
        later.setattr(time, "time", lambda: in_days)
        assert undecided(registry, place, BASE) is None
        decide(registry, place, BASE)
        assert registry.history(BASE) == (None, "new")
        assert undecided(registry, place, BASE) is None, "it is watched on, but nothing waits for that"


def test_a_clock_that_was_set_back_hides_no_requests(
    desk: Desk, registry: Registry, candidate: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.promote(candidate("old"))
    now = time.time()
    with monkeypatch.context() as ahead:
        ahead.setattr(time, "time", lambda: now + 400 * 86_400)
        registry.introduce(candidate("new"), 0.5)
    desk.record("old", requests(160, 0.6, seed=1), now - 5000)
    desk.record("new", requests(160, 0.05), now - 5000)
    judged = live_verdict(registry, feedback_database(), BASE)
    assert judged is not None
    assert judged[1].status == "worse"


def test_a_clock_that_was_set_back_is_no_reason_to_keep_anything(
    registry: Registry, candidate: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    with monkeypatch.context() as ahead:
        ahead.setattr(time, "time", lambda: now + 20 * 86_400)
        registry.introduce(candidate("new"), 0.5)
    assert decide(registry, feedback_database(), BASE) is None
    trial = registry.trial(BASE)
    assert trial is not None
    assert (trial.share, trial.since < time.time()) == (0.5, True)
    assert registry.champion(BASE) is None


def test_a_canary_is_not_held_against_requests_from_before_it(
    desk: Desk, registry: Registry, candidate: Callable[[str], str]
) -> None:
    registry.promote(candidate("old"))
    introduced(registry, candidate("new"))
    now = time.time()
    desk.record("old", requests(160, 0.9, seed=1), now - 20_000)
    desk.record("old", requests(40, 0.3, seed=2), now - 5000)
    desk.record("new", requests(160, 0.3), now - 5000)
    judged = live_verdict(registry, feedback_database(), BASE)
    assert judged is not None
    assert judged[1].requests == (160, 40)


def test_what_was_served_years_ago_is_not_read(desk: Desk, registry: Registry, candidate: Callable[[str], str]) -> None:
    registry.introduce(candidate("new"), 1.0)
    now = time.time()
    for adapter in (None, "new"):
        desk.record(adapter, requests(160, 0.5), now - 700 * 86_400)
        desk.record(adapter, requests(3, 1.0)[:1], now - 80 * 86_400)
    judged = live_verdict(registry, feedback_database(), BASE)
    assert judged is not None
    assert judged[1].requests == (1, 1)


def test_requests_are_read_by_indexes_alone(desk: Desk) -> None:
    engine = open_database(feedback_database())
    asked: list[tuple[str, Any]] = []

    def note(connection: Any, cursor: Any, statement: str, values: Any, context: Any, many: bool) -> None:
        asked.append((statement, values))

    event.listen(engine, "before_cursor_execute", note)
    requests_of(engine, BASE, "night-a", now=time.time(), since=time.time() - 86_400)
    event.remove(engine, "before_cursor_execute", note)
    ((statement, values),) = [each for each in asked if each[0].startswith("SELECT")]
    with engine.connect() as connection:
        plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)]
    engine.dispose()
    assert plan[0] == "SEARCH suggestions USING INDEX ix_suggestions_at (at>? AND at<?)"
    assert [step for step in plan if not step.startswith(("SEARCH", "CORRELATED"))] == []


def test_without_a_database_nothing_is_known(registry: Registry, candidate: Callable[[str], str]) -> None:
    assert live_verdict(registry, feedback_database(), BASE) is None
    registry.introduce(candidate("new"), 0.5)
    judged = live_verdict(registry, feedback_database(), BASE)
    assert judged is not None
    assert judged[1].status == "waiting"
