"""What an arm serves on a day, by the nights that are written down."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from model.evaluation.completion_cases import Sizes
from model.evaluation.replay_settings import ReplaySettings
from model.evaluation.replay_sources import Source
from model.evaluation.replay_store import Store, Unit
from model.evaluation.replay_units import Plan, Replay, Task
from tests.unit.evaluation.test_replay_requests import SNAPSHOTS


def night(status: str, candidate: str | None, champion: str | None = None) -> dict[str, Any]:
    return {
        "status": status, "code": "", "reason": "", "candidate": candidate, "champion": champion, "seconds": 1.0,
        "figures": {},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arm", "nights", "served"),
    [
        ("placebo", [night("refused", "x/one"), night("skipped", None)], [None, "x/one", "x/one"]),
        ("nightly", [night("promoted", "x/one", "x/one"), night("skipped", None, "x/one")], [None, "x/one", "x/one"]),
        ("preference", [night("refused", "x/one"), night("promoted", "x/one", "x/one")], [None, None, "x/one"]),
        ("placebo", [night("skipped", None), night("refused", "x/one")], [None, None, "x/one"]),
    ],
)
def test_a_night_that_found_nothing_new_leaves_what_was_served(
    tiny_base: Path,
    make_adapter: Callable[[int], Path],
    tmp_path: Path,
    arm: str,
    nights: list[dict[str, Any]],
    served: list[str | None],
):
    settings = ReplaySettings(
        base=f"path:{tiny_base}", adapter="none", arms=("frozen", arm), sizes=Sizes(1, 32, 64, 16), days=3, hunks=4,
        requests=1, seeds=1, old_lines=0, humaneval=0, threads=1,
    )  # fmt: skip
    shutil.copytree(make_adapter(1), tmp_path / "adapters" / "x" / "one")
    with Store(tmp_path, {}) as store:
        for day, told in enumerate(nights):
            store.add(Unit("night", "mill", 0, arm, day), told)
        plan = Plan(settings, tiny_base, None, (Source("mill", tuple(SNAPSHOTS)),))
        Replay(plan, store, lambda step: None).do(Task("live", "mill", 0))
        assert [store[Unit("answers", "mill", 0, arm, day)]["adapter"] for day in range(3)] == served


def test_one_process_finishes_a_user_before_it_begins_the_next(tiny_base: Path, tmp_path: Path):
    settings = ReplaySettings(
        base=f"path:{tiny_base}", adapter="none", sizes=Sizes(1, 32, 64, 16), days=2, hunks=4, seeds=2, old_lines=1,
        humaneval=0, threads=1,
    )  # fmt: skip
    names = ("mill", "farm", "shop")
    plan = Plan(settings, tiny_base, None, tuple(Source(name, tuple(SNAPSHOTS)) for name in names))
    with Store(tmp_path, {}) as store:
        replay = Replay(plan, store, lambda step: None)
        order = replay.in_order()
        assert sorted(order, key=repr) == sorted((task for phase in replay.phases() for task in phase), key=repr)
    first = [(task.kind, task.package, task.seed) for task in order[:6]]
    assert first == [("live", "mill", 0), ("old", "", 0), ("old", "mill", 0), ("live", "farm", 0), *first[4:]]
    assert sorted(first[4:]) == [("old", "farm", 0), ("wrong", "mill", 0)]
    for place, task in enumerate(order):
        lived = {(one.package, one.seed) for one in order[:place] if one.kind == "live"}
        assert task.kind == "live" or task.needs <= lived
