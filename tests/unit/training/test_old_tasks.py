"""What is none of the user's must be read about as well as before."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from model.adapters import Registry
from model.evaluation.comparison import Measured, measure
from model.shipped import shipped
from model.training import old_tasks
from model.training.dataset import TrainingSequence
from model.training.network import load_network
from model.training.night import run_night
from model.training.night_data import NightOptions
from model.training.old_tasks import (
    COUNT,
    general_examples,
    old_examples,
    old_tasks_guard,
    settled_strength,
    still_known,
)
from model.training.serving import serving_format
from model.training.sft import SftOptions
from model.weights import resolve
from tests.unit.training.tiny_language import HABITS, written

DEFAULT = "smollm2-135m-instruct"


@pytest.fixture(scope="module")
def rows(tiny_base: Path) -> list[TrainingSequence]:
    return [serving_format(tiny_base)(example) for example in old_examples(8)]


def test_each_cursor_is_in_a_file_of_its_own_with_some_lines_taken_out() -> None:
    found = old_examples()
    assert 20 <= len(found) <= COUNT
    assert len({example.path for example in found}) == len(found)
    assert len({example.path.partition("/")[0] for example in found}) == 4
    assert all(example.target.count("\n") >= 1 and example.prefix.strip() for example in found)


def test_what_is_held_while_a_night_trains_is_not_what_it_is_measured_on() -> None:
    held = general_examples(40)
    assert len(held) == 40
    packages = ({one.path.partition("/")[0] for one in each} for each in (held, old_examples()))
    assert not set.intersection(*packages)


def test_a_rise_by_more_than_the_bound_is_refused_by_name() -> None:
    assert old_tasks_guard(1.2, 1.211, 0.01).passed
    guard = old_tasks_guard(1.2, 1.224, 0.01)
    assert (guard.name, guard.passed) == ("old tasks", False)
    assert guard.value == pytest.approx(0.02)


def test_a_candidate_that_reads_worse_is_caught(tiny_base: Path, rows: list[TrainingSequence]) -> None:
    knew = Measured(np.full(len(rows), 3.0), np.zeros(len(rows), dtype=bool), np.zeros(len(rows)), np.zeros(len(rows)))
    (guard,), figures = still_known(load_network(tiny_base), rows, knew, "cpu", 0.01)
    assert not guard.passed
    assert figures["before"] == pytest.approx(3.0)
    assert figures["after"] == pytest.approx(3.0 * (1 + guard.value))


def test_who_never_knew_them_has_nothing_to_forget(tiny_base: Path, rows: list[TrainingSequence]) -> None:
    model = load_network(tiny_base)
    guards, figures = still_known(model, rows, measure(model, rows), "cpu", 0.01)
    assert guards == []
    assert "no better than chance" in figures["skipped"]


def test_a_budget_without_room_leaves_them_out_and_says_so(tiny_base: Path, tmp_path: Path) -> None:
    options = NightOptions(minimum_regions=20, budget_seconds=0.1, sft=SftOptions(rank=2, epochs=1))
    verdict = run_night(
        written(HABITS, 30), base="tiny", base_folder=tiny_base, registry=Registry(tmp_path), options=options
    )
    assert "--budget" in verdict.figures["old_tasks"]["skipped"]
    roomy = replace(options, budget_seconds=60.0, sft=SftOptions(rank=2, epochs=2))
    verdict = run_night(
        written(HABITS, 30), base="tiny", base_folder=tiny_base, registry=Registry(tmp_path), options=roomy
    )
    assert verdict.figures["old_tasks"]["cases"] == len(old_examples())


@pytest.mark.parametrize(
    ("forgotten", "strength", "passed"),
    [(0.008, 1.0, True), (0.02, 0.95 * 2 ** (-2 / 3), True), (0.06, 0.95 * 6 ** (-2 / 3), True), (0.1, 1.0, False)],
)
def test_who_forgot_too_much_is_weakened_until_it_did_not(
    forgotten: float,
    strength: float,
    passed: bool,
    rows: list[TrainingSequence],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The loss on old tasks rises with the LoRA's strength to the power of 1.5, the slowest that was seen."""

    class Tuned(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.config = SimpleNamespace(vocab_size=1000)
            self.lora_A, self.lora_B = (torch.nn.Parameter(torch.ones(2)) for _ in range(2))

    def measured(model: Tuned, rows: Any, device: str, tick: Any = None) -> Measured:
        product = float((model.lora_A * model.lora_B).mean())
        return replace(before, losses=np.full(len(rows), 1.0 + forgotten * product**1.5))

    before = Measured(np.ones(len(rows)), np.zeros(len(rows), dtype=bool), np.ones(len(rows)), np.zeros(len(rows)))
    monkeypatch.setattr(old_tasks, "measure", measured)
    tuned = Tuned()
    (guard,), figures, left = settled_strength(tuned, lambda: still_known(tuned, rows, before, "cpu", 0.01))
    assert guard.passed == passed
    assert left == pytest.approx(strength)
    assert float(tuned.lora_B.sum()) == pytest.approx(2 * strength)
    assert tuned.lora_A.sum() == 2
    assert ("whole" in figures) == (strength < 1)
    assert figures.get("whole", 1.0 + forgotten) == pytest.approx(1.0 + forgotten)
    assert figures.get("strength", 1.0) == pytest.approx(strength)


def test_forgetting_that_does_not_go_away_is_refused_at_last(rows: list[TrainingSequence]) -> None:
    """As where another adapter below is what forgot."""
    model, looks = torch.nn.Linear(1, 1), list[int]()

    def look() -> tuple[list[Any], dict[str, Any]]:
        looks.append(1)
        return [old_tasks_guard(1.0, 1.02, 0.01)], {"before": 1.0, "after": 1.02}

    (guard,), figures, left = settled_strength(model, look)
    assert (guard.passed, len(looks)) == (False, 3)
    assert left < 0.5
    assert figures["whole"] == 1.02


@pytest.mark.weights
@pytest.mark.slow
def test_the_default_base_has_something_to_forget() -> None:
    anchor = shipped(DEFAULT)
    base = resolve(DEFAULT)
    known = [serving_format(base, anchor)(example) for example in old_examples(4)]
    model = load_network(base, [anchor.folder] if anchor is not None else [])
    before = measure(model, known)
    (guard,), _ = still_known(model, known, before, "cpu", 0.01)
    assert guard.passed
    assert before.losses.mean() < 3.0
