"""Whole replays in the tiny language: nights help who has habits of their own, a placebo knows less, and a run that
was killed goes on where it was."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from inkling.errors import UserError
from model.evaluation import replay_nights, replay_run
from model.evaluation.completion_cases import Sizes
from model.evaluation.replay_arms import NAMES
from model.evaluation.replay_pace import Progress
from model.evaluation.replay_run import evaluate
from model.evaluation.replay_settings import ArmsError, ReplaySettings, quick_settings
from model.evaluation.replay_store import RESULTS_FILE, ResultsError
from model.training.sft import SftOptions
from server.commands import evaluation
from tests.unit.evaluation.replay_language import OWN_HABITS, write_versions
from tests.unit.evaluation.test_replay_git import git
from tests.unit.training.tiny_language import OTHER_HABITS

SUMMARY = {
    *(f"kept_chars_gain_over_{rival}{end}" for rival in ("frozen", "deltas", "gate", "placebo", "wrong_package")
      for end in ("", "_ci_low")),
    "gate_accept_gain", "gate_offer_change", "placebo_promotions", "old_task_loss_change", "humaneval_loss_change",
    "library_loss_change", "seconds_per_night",
}  # fmt: skip

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def settings(reader: Path, tmp_path_factory: pytest.TempPathFactory) -> ReplaySettings:
    """Two users: one who differs from the base in half of the letters, and one who does in all."""
    folder = tmp_path_factory.mktemp("versions")
    packages = (write_versions(folder, "colours", OWN_HABITS), write_versions(folder, "shades", OTHER_HABITS))
    return ReplaySettings(
        packages=packages, base=f"path:{reader}", adapter="none", sizes=Sizes(1, 48, 96, 16), days=2, hunks=48,
        requests=24, seeds=1, night_seconds=60.0, minimum_regions=5, distance_bound=20.0, old_lines=0, humaneval=0,
        sft=SftOptions(rank=4, alpha=8, learning_rate=1e-2, epochs=6, batch=4), threads=1,
    )  # fmt: skip


@pytest.fixture(scope="module")
def finished(settings: ReplaySettings, tmp_path_factory: pytest.TempPathFactory) -> tuple[ReplaySettings, Any]:
    """The settings with their folder, and the report."""
    placed = replace(settings, out=tmp_path_factory.mktemp("results") / "out")
    return placed, evaluate(placed, quiet)


def quiet(step: Progress) -> None:
    """Nobody watches."""


def nights(report: dict[str, Any], arm: str, package: str = "colours") -> list[str]:
    return [night["status"] for night in report["nights"] if night["arm"] == arm and night["package"] == package]


def lines(settings: ReplaySettings) -> list[str]:
    assert settings.out is not None
    return (settings.out / RESULTS_FILE).read_text().splitlines()


def test_the_report_has_every_promised_figure(finished: tuple[ReplaySettings, Any]):
    _, report = finished
    assert set(report) == {"summary", "arms", "packages", "curve", "nights", "forgetting", "settings"}
    assert set(report["summary"]) >= SUMMARY
    assert list(report["arms"]) == list(NAMES)
    assert list(report["packages"]) == ["colours", "shades"]
    assert len(report["curve"]) == 2
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert "80%" in report["settings"]["rule"]


def test_a_user_with_habits_of_their_own_keeps_more_after_a_night(finished: tuple[ReplaySettings, Any]):
    _, report = finished
    assert nights(report, "nightly") == ["promoted"]
    for rival in ("frozen", "deltas", "placebo", "wrong_package"):
        assert report["summary"][f"kept_chars_gain_over_{rival}"] > 0, rival
    assert report["summary"]["loss_change"] < -0.3
    assert report["packages"]["colours"]["arms"]["nightly"]["accept_rate"] > 0.4


def test_the_placebo_knows_less_of_the_context(finished: tuple[ReplaySettings, Any]):
    """Its targets are whole lines of this user, so that it learns some habits from them all the same, and on 14 later
    examples one processor refuses a night of it and another promotes it. `test_placebo` has shuffled targets that tell
    nothing, and verdicts that they do not pass."""
    _, report = finished
    made = {night["arm"]: night for night in report["nights"] if night["package"] == "colours"}
    known = {
        arm: next(guard["value"] for guard in made[arm]["figures"]["guards"] if guard["name"] == "knowledge of context")
        for arm in ("nightly", "placebo")
    }
    assert known["placebo"] < known["nightly"] / 2
    promoted = [night for night in report["nights"] if (night["arm"], night["status"]) == ("placebo", "promoted")]
    assert report["summary"]["placebo_promotions"] == len(promoted)
    loss = {name: arm["loss"] for name, arm in report["packages"]["colours"]["arms"].items()}
    assert loss["placebo"] != loss["frozen"]  # and is served all the same, so that it can be compared
    assert loss["placebo"] > loss["nightly"]


def test_on_the_first_day_every_arm_that_learns_is_one_that_does_not(finished: tuple[ReplaySettings, Any]):
    first = finished[1]["curve"][0]
    assert all(first[name] == first["frozen"] for name in ("gate", "alone"))
    assert all(first[name] == first["deltas"] for name in ("nightly", "full", "placebo", "wrong"))
    assert first["deltas"] != first["frozen"]


def test_what_is_finished_is_not_done_again(finished: tuple[ReplaySettings, Any], monkeypatch: pytest.MonkeyPatch):
    settings, report = finished
    monkeypatch.setattr(replay_nights, "run_night", None)
    before = lines(settings)
    again = evaluate(settings, quiet)
    assert lines(settings) == before
    assert {**again, "settings": {}} == {**report, "settings": {}}


class KilledError(Exception):
    """The power went off."""


def test_a_run_that_was_killed_goes_on_to_the_same_end(
    finished: tuple[ReplaySettings, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    settings, report = finished
    assert settings.out is not None
    shutil.copytree(settings.out, tmp_path / "out")
    resumed = replace(settings, out=tmp_path / "out")
    whole = lines(resumed)
    place = next(
        number for number, line in enumerate(whole) if '"arm": "nightly", "day": 0, "found": {"status"' in line
    )
    kept = "\n".join(whole[:place]) + "\n" + whole[place][:40]  # killed while the end of a night was written down
    (tmp_path / "out" / RESULTS_FILE).write_text(kept)
    messages: list[str] = []

    def killing(step: Progress) -> None:
        messages.append(step.message)
        if "full: train" in step.message:
            raise KilledError

    with monkeypatch.context() as patched:
        patched.setattr(replay_nights, "run_night", None)  # that night is in its registry and is not run again
        with pytest.raises(KilledError):
            evaluate(resumed, killing)
    again = evaluate(resumed, quiet)
    colours = [report["packages"]["colours"]["arms"], again["packages"]["colours"]["arms"]]
    assert colours[0]["nightly"] == colours[1]["nightly"]
    assert colours[0]["full"]["loss"] == pytest.approx(colours[1]["full"]["loss"], abs=0.1)
    assert nights(again, "placebo") == nights(report, "placebo")


def test_results_of_other_texts_and_of_other_code_are_not_taken(
    settings: ReplaySettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folders = write_versions(tmp_path, "colours", OWN_HABITS)
    alone = replace(settings, packages=(folders,), arms=("frozen",), requests=2, out=tmp_path / "out")
    evaluate(alone, quiet)
    with monkeypatch.context() as patched:
        patched.setattr(replay_run, "code_digest", lambda *folders: "of other code")
        with pytest.raises(ResultsError, match=r"other settings \(code\)"):
            evaluate(alone, quiet)
    file = next(Path(folders.split(",")[-1]).glob("*.py"))
    file.write_text(file.read_text() + "\nlater = 1\n")
    with pytest.raises(ResultsError, match=r"other settings \(texts\)"):
        evaluate(alone, quiet)


def test_code_that_only_reports_makes_no_other_results(tmp_path: Path):
    (tmp_path / "model").mkdir()
    for name in ("arms.py", "some_report.py"):
        (tmp_path / "model" / name).write_text("x = 1\n")
    before = replay_run.code_digest(tmp_path / "model")
    (tmp_path / "model" / "some_report.py").write_text("x = 2\n")
    assert replay_run.code_digest(tmp_path / "model") == before
    (tmp_path / "model" / "arms.py").write_text("x = 2\n")
    assert replay_run.code_digest(tmp_path / "model") != before


def test_progress_counts_up_to_the_end_with_an_estimate(settings: ReplaySettings, tmp_path: Path):
    steps: list[Progress] = []
    alone = replace(settings, packages=settings.packages[:1], arms=("frozen", "deltas"), requests=2, out=tmp_path)
    report = evaluate(alone, steps.append)
    assert [steps[0].done, steps[-1].done, steps[-1].total] == [0, 4, 4]
    assert steps[-1].seconds_left == 0
    assert list(report["arms"]) == ["frozen", "deltas"]
    assert report["summary"]["seconds_per_night"] is None


def test_what_is_finished_so_far_is_told_without_running_anything(
    finished: tuple[ReplaySettings, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    settings, report = finished
    assert settings.out is not None
    monkeypatch.setattr(replay_nights, "run_night", None)
    part = replace(settings, out=tmp_path)
    for name in (RESULTS_FILE, "settings.json"):
        whole = (settings.out / name).read_text()
        (tmp_path / name).write_text(whole if name != RESULTS_FILE else "".join(whole.splitlines(keepends=True)[:2]))
    with pytest.raises(ArmsError, match="Nothing is finished"):
        evaluate(replace(part, out=tmp_path / "empty"), quiet, so_far=True)
    colours = [line for line in lines(settings) if '"package": "colours"' in line and '"arm": "wrong"' not in line]
    (tmp_path / RESULTS_FILE).write_text("".join(f"{line}\n" for line in colours))
    told = evaluate(part, quiet, so_far=True)
    assert list(told["packages"]) == ["colours"]
    assert set(told["arms"]) == {*NAMES} - {"wrong"}
    assert told["packages"]["colours"]["arms"]["nightly"] == report["packages"]["colours"]["arms"]["nightly"]
    assert lines(part) == colours


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"arms": ("frozen", "best")}, "best"),
        ({"arms": ("nightly",)}, "frozen has to be among them"),
        ({"arms": ("frozen", "wrong")}, "add the arm nightly"),
        ({"packages": ()}, "Nothing to replay"),
        ({"adapter": "/nowhere"}, r"no metadata\.json"),
    ],
)
def test_what_cannot_be_replayed_is_refused_at_once(settings: ReplaySettings, changes: dict[str, Any], told: str):
    with pytest.raises(ArmsError, match=told):
        evaluate(replace(settings, **changes), quiet)


def test_a_quick_run_is_one_package_one_seed_and_two_days(settings: ReplaySettings):
    quick = quick_settings(replace(settings, seeds=3, days=5))
    assert (len(quick.packages), quick.seeds, quick.days, quick.humaneval) == (1, 1, 2, 0)


@pytest.fixture
def app() -> typer.Typer:
    made = typer.Typer()
    evaluation.register(made)
    return made


def arguments(settings: ReplaySettings, out: Path) -> list[str]:
    return [
        "eval", "replay", settings.packages[0], "--base", settings.base, "--adapter", "none", "--arm", "deltas",
        "--arm", "gate", "--days", "2", "--hunks", "20", "--requests", "3", "--seeds", "1", "--old-lines", "0",
        "--humaneval", "0", "--threads", "1", "--out", str(out),
    ]  # fmt: skip


def test_the_command_prints_one_json_object_and_progress_elsewhere(
    app: typer.Typer, settings: ReplaySettings, tmp_path: Path
):
    done = CliRunner().invoke(app, [*arguments(settings, tmp_path), "--json"], catch_exceptions=False)
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    assert set(found["summary"]) >= SUMMARY
    assert found["settings"]["histories"] == {"colours": ["1", "2", "3"]}
    assert "4 of 4" in done.stderr


def test_the_command_prints_tables_for_people(app: typer.Typer, settings: ReplaySettings, tmp_path: Path):
    done = CliRunner().invoke(app, arguments(settings, tmp_path), catch_exceptions=False)
    assert done.exit_code == 0
    for told in (
        "Learning curve",
        "deltas: the same, and the user's newest",
        "placebo_promotions",
        "The simulated user accepts",
    ):
        assert told in done.stdout


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_the_command_replays_the_commits_of_a_repository(app: typer.Typer, settings: ReplaySettings, tmp_path: Path):
    repository = tmp_path / "paints"
    repository.mkdir()
    git(repository, "init", "-q")
    for version in settings.packages[0].split(","):
        shutil.copytree(version, repository / "colours", dirs_exist_ok=True)
        git(repository, "add", ".")
        git(repository, "commit", "-q", "-m", "a day of work")
    asked = ["--git" if part == settings.packages[0] else part for part in arguments(settings, tmp_path / "out")]
    asked.insert(asked.index("--git") + 1, str(repository))
    done = CliRunner().invoke(app, [*asked, "--json"], catch_exceptions=False)
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    assert {name: len(commits) for name, commits in found["settings"]["histories"].items()} == {"paints": 3}
    assert found["summary"]["requests"] == 3


def test_several_processes_find_what_one_does(finished: tuple[ReplaySettings, Any], tmp_path: Path):
    settings, report = finished
    steps: list[Progress] = []
    shared = evaluate(replace(settings, workers=2, out=tmp_path), steps.append)
    theirs, mine = lines(replace(settings, out=tmp_path)), lines(settings)
    assert sorted(map(unit_of, theirs)) == sorted(map(unit_of, mine))
    for arm in ("frozen", "deltas", "gate"):  # the others depend on the seconds of a night
        assert shared["arms"][arm] == report["arms"][arm]
    assert nights(shared, "nightly") == nights(report, "nightly")
    assert steps[-1].done == steps[-1].total
    assert shared["settings"]["workers"] == 2


def test_what_stops_a_worker_stops_the_run_and_what_was_done_stays(
    settings: ReplaySettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    broken = replace(settings, sft=replace(settings.sft, targets=("no_such_layer",)), workers=2, out=tmp_path)
    with pytest.raises(UserError, match="no_such_layer"):
        evaluate(broken, quiet)
    kinds = [json.loads(line)["kind"] for line in lines(broken)]
    assert "answers" in kinds
    assert "night" not in kinds


def unit_of(line: str) -> tuple[Any, ...]:
    found = json.loads(line)
    return tuple(found[name] for name in ("kind", "package", "seed", "arm", "day"))
