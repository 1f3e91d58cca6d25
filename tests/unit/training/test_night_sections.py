"""The section stage within a night: on commits and settled texts, or left out with the reason."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from feedback.changes import Change
from model.adapters import RUNS_FOLDER, Registry
from model.training.night import run_night
from model.training.night_data import NightOptions
from model.training.progress import Progress
from model.training.section_training import CHECKPOINT_FILE, SectionOptions
from model.training.sections import Checks
from model.training.sft import SftOptions, TrainingCancelledError
from model.training.verdict import Verdict
from tests.unit.training.tiny_language import OTHER_HABITS, written

OPTIONS = NightOptions(
    minimum_regions=20,
    distance_bound=20.0,
    stages=("sft", "section"),
    sft=SftOptions(rank=4, alpha=8, learning_rate=1e-2, epochs=6, batch=4),
    section=SectionOptions(samples=2, sections=2, most_tokens=6, middle=(0.0, 1.0), checkpoint_seconds=0.0),
)


def commits(count: int, at: float = -1.0) -> list[Change]:
    """Each adds a function to a file of its own."""
    return [
        Change("/home/somebody/project", f"c{number}", at, f"module_{number}.py", "",
               f"def colour_{number}(letter):\n    return letter + {number!r} * {number}\n")
        for number in range(count)
    ]  # fmt: skip


def night(folder: Path, base: Path, changes: list[Change], **more: object) -> Verdict:
    options = {"options": OPTIONS, "changes": changes, **more}
    return run_night(
        written(OTHER_HABITS, 60),
        base="tiny",
        base_folder=base,
        registry=Registry(folder),
        **options,  # type: ignore[arg-type]
    )


def test_sections_are_written_rewarded_and_measured_on_what_was_held_back(tiny_base: Path, tmp_path: Path) -> None:
    looked: list[str] = []

    def lint(section: object, text: str) -> int:
        looked.append(text)
        return 0

    verdict = night(tmp_path, tiny_base, [*commits(10), *commits(2, at=1e9)], checks=Checks(lint=lint))
    assert verdict.status == "promoted", verdict.reason
    stage = verdict.figures["section"]
    assert (stage["sections"], stage["dropped"], stage["held_sections"]) == (10, {"newer": 2}, 2)
    assert 3 <= len(stage["steps"]) <= 12
    assert set(stage["steps"][0]["components"]) == {"likeness", "syntax", "tests", "lint", "length"}
    assert set(stage["held_after"]) == {"total", *stage["steps"][0]["components"]}
    assert looked
    assert verdict.adapter is not None
    page = (Registry(tmp_path).get(verdict.adapter).folder / "record.md").read_text()
    assert "reward on held-out sections" in page
    assert Registry(tmp_path).record(verdict.adapter)["commits"] == sorted(f"c{number}" for number in range(10))


@pytest.mark.parametrize(
    ("changes", "options", "reason"),
    [
        (commits(3), OPTIONS, "3 sections, 8 are needed"),
        (commits(10), replace(OPTIONS, stages=("sft",)), "not asked for"),
        (commits(10), replace(OPTIONS, budget_seconds=4.0), "steps have to fit"),
    ],
)
def test_a_stage_that_cannot_run_says_why(
    tiny_base: Path, tmp_path: Path, changes: list[Change], options: NightOptions, reason: str
) -> None:
    little = replace(options, sft=replace(OPTIONS.sft, epochs=1))
    if options.budget_seconds < 10:
        little = replace(little, section=replace(OPTIONS.section, samples=64, sections=16, most_tokens=96))
    verdict = night(tmp_path, tiny_base, changes, options=little)
    assert reason in verdict.figures["section"]["skipped"]


def test_a_night_that_ends_in_this_stage_goes_on_in_it(tiny_base: Path, tmp_path: Path) -> None:
    seen: list[Progress] = []

    def asked() -> bool:
        return sum("Sections" in step.message for step in seen) == 2

    with pytest.raises(TrainingCancelledError):
        night(tmp_path, tiny_base, commits(10), progress=seen.append, cancelled=asked)
    assert len(list((tmp_path / RUNS_FOLDER).glob(f"*/{CHECKPOINT_FILE}"))) == 1
    seen.clear()
    verdict = night(tmp_path, tiny_base, commits(10), progress=seen.append)
    assert not any(step.message.startswith("Training") for step in seen)  # that stage was over
    assert verdict.figures["steps"] == verdict.figures["planned_steps"]
    assert verdict.figures["section"]["resumed_at"] == 2
    assert not list((tmp_path / RUNS_FOLDER).iterdir())


class SlowLint:
    """A linter that takes so many seconds of the night's clock for each text, and notes when it was asked."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.asked = 0

    def __call__(self, section: object, text: str) -> int:
        self.asked += 1
        return 0

    def clock(self) -> float:
        return time.monotonic() + self.seconds * self.asked


LITTLE = replace(OPTIONS, sft=replace(OPTIONS.sft, epochs=1))


def test_checks_count_towards_what_a_step_takes(tiny_base: Path, tmp_path: Path) -> None:
    lint = SlowLint(30.0)
    verdict = night(tmp_path, tiny_base, commits(10), options=LITTLE, checks=Checks(lint=lint), clock=lint.clock)
    assert "steps have to fit" in verdict.figures["section"]["skipped"]
    assert lint.asked == 2  # the real text, and once more as if it had been written


def test_the_stage_keeps_its_share_with_checks(tiny_base: Path, tmp_path: Path) -> None:
    lint = SlowLint(1.0)
    options = replace(LITTLE, budget_seconds=300.0)
    verdict = night(tmp_path, tiny_base, commits(10), options=options, checks=Checks(lint=lint), clock=lint.clock)
    assert verdict.figures["section"]["steps"]
    assert lint.asked * lint.seconds < 0.4 * options.budget_seconds


def test_whoever_cancels_is_heard_between_two_checks(tiny_base: Path, tmp_path: Path) -> None:
    lint = SlowLint(1.0)
    with pytest.raises(TrainingCancelledError, match="rewarded"):
        night(tmp_path, tiny_base, commits(10), options=LITTLE, checks=Checks(lint=lint), clock=lint.clock,
              cancelled=lambda: lint.asked >= 3)  # fmt: skip
    assert lint.asked <= 4
