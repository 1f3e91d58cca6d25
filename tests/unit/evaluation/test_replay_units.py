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
