"""The arms of single stages and what is forgotten, in whole replays of a tiny language and of real modules."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from model.evaluation import replay_units
from model.evaluation.completion_cases import Sizes
from model.evaluation.human_eval import read_problems
from model.evaluation.replay_pace import Progress
from model.evaluation.replay_run import evaluate
from model.evaluation.replay_settings import ReplaySettings
from model.evaluation.replay_store import RESULTS_FILE
from model.training.sft import SftOptions
from tests.unit.evaluation.replay_language import OWN_HABITS, write_versions
from tests.unit.evaluation.test_human_eval import write_wheel
from tests.unit.evaluation.test_replay_requests import SNAPSHOTS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def settings(reader: Path, tmp_path_factory: pytest.TempPathFactory) -> ReplaySettings:
    folder = tmp_path_factory.mktemp("versions")
    return ReplaySettings(
        packages=(write_versions(folder, "colours", OWN_HABITS),), base=f"path:{reader}", adapter="none",
        arms=("frozen", "nightly"), sizes=Sizes(1, 48, 96, 16), days=2, hunks=48, requests=24, seeds=1,
        night_seconds=60.0, minimum_regions=5, distance_bound=20.0, old_lines=0, humaneval=0,
        sft=SftOptions(rank=4, alpha=8, learning_rate=1e-2, epochs=2, batch=4), threads=1,
    )  # fmt: skip


def quiet(step: Progress) -> None:
    """Nobody watches."""


def record(out: Path, arm: str, package: str = "colours") -> dict[str, Any]:
    """Of the first night of an arm."""
    (path,) = (out / "adapters" / f"{package}-0-{arm}").glob("night-*/record.json")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_the_arm_preference_learns_from_its_own_offers_on_top_of_the_texts_of_nightly_and_is_added_to_a_finished_run(
    settings: ReplaySettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    wheel = write_wheel(tmp_path / "problems.whl")
    monkeypatch.setattr(replay_units, "load_problems", lambda: read_problems(wheel))
    few = replace(settings, old_lines=2, humaneval=3, out=tmp_path / "out")
    first = evaluate(few, quiet)
    before = (tmp_path / "out" / RESULTS_FILE).read_text()
    found = evaluate(replace(few, arms=(*few.arms, "preference")), quiet)
    assert (tmp_path / "out" / RESULTS_FILE).read_text().startswith(before)
    assert found["arms"]["nightly"] == first["arms"]["nightly"]
    nightly, preference = (record(tmp_path / "out", arm) for arm in ("nightly", "preference"))
    assert preference["data_hash"] == nightly["data_hash"]
    assert preference["later_examples"] == nightly["later_examples"]
    assert preference["figures"]["preference"]["method"] == "dpo"
    assert found["summary"]["preference_nights_with_stage"] == 1
    assert found["settings"]["arms"] == ["frozen", "nightly", "preference"]
    known = found["forgetting"]["preference"]
    assert (known["humaneval"]["cursors"], known["library"]["cursors"]) == (3, 2)
    assert found["summary"]["humaneval_loss_change"] != found["summary"]["library_loss_change"]


def test_the_arm_sections_writes_commits_within_the_seconds_of_a_night(settings: ReplaySettings, tmp_path: Path):
    for snapshot in SNAPSHOTS:
        for path, text in snapshot.files.items():
            file = tmp_path / snapshot.name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
    versions = ",".join(f"{tmp_path / snapshot.name / 'mill'}/" for snapshot in SNAPSHOTS)
    asked = replace(settings, packages=(versions,), arms=("frozen", "sections"), requests=2, out=tmp_path / "out")
    found = evaluate(asked, quiet)
    (night,) = found["nights"]
    assert night["figures"]["section"]["steps"] > 0
    assert night["figures"]["section"]["dropped"]["newer"] == 1  # of two files that were committed on the first day
    assert night["seconds"] < asked.night_seconds
    assert found["summary"]["sections_nights_with_stage"] == 1
