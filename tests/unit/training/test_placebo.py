"""The doubt of a sceptic: is it learning, or does anything that was trained pass? Whole nights, several seeds, on users
who differ from the base everywhere and in half of what they write."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.adapters import Registry
from model.evaluation.comparison import knowledge_guard
from model.training.dataset import shuffled_targets, split_by_time
from model.training.night import run_night
from model.training.night_data import NightOptions
from model.training.sft import SftOptions
from model.training.verdict import Verdict
from tests.unit.training.tiny_language import HABITS, OTHER_HABITS, written

HALF = {**HABITS, "k": "pink", "m": "red", "p": "blue"}
OPTIONS = NightOptions(
    minimum_regions=20, distance_bound=20.0, sft=SftOptions(rank=4, alpha=8, learning_rate=1e-2, epochs=6, batch=4)
)
SEEDS = (0, 1, 2, 3)


def night(folder: Path, base: Path, habits: Mapping[str, str], seed: int, *, placebo: bool) -> Verdict:
    examples = written(habits, 60, start=1000 * seed)
    if placebo:
        split = split_by_time(examples)
        examples = [*shuffled_targets(split.training, seed), *split.later]
    options = replace(OPTIONS, sft=replace(OPTIONS.sft, seed=seed))
    return run_night(examples, base="tiny", base_folder=base, registry=Registry(folder), options=options)


@pytest.mark.parametrize("habits", [OTHER_HABITS, HALF], ids=["everywhere", "half"])
@pytest.mark.parametrize("seed", SEEDS)
def test_what_was_learned_is_promoted_and_its_placebo_is_not(
    tiny_base: Path, tmp_path: Path, habits: Mapping[str, str], seed: int
) -> None:
    true = night(tmp_path / "true", tiny_base, habits, seed, placebo=False)
    assert true.status == "promoted", true.reason
    placebo = night(tmp_path / "placebo", tiny_base, habits, seed, placebo=True)
    assert placebo.status == "refused", placebo.reason
    assert placebo.figures["gain_lower"] > 0  # the plain loss alone would have promoted it
    held = {guard["name"]: guard["passed"] for guard in placebo.figures["guards"]}
    assert not held["knowledge of context"]
    assert placebo.code == "not_better" or "knowledge of context" in placebo.reason
    if habits is OTHER_HABITS:  # nothing to lose: the margin was negative, and even grew
        assert placebo.figures["margin_before"] < 0
        assert placebo.figures["margin_after"] > placebo.figures["margin_before"]
        assert held["use of context"]


def test_a_margin_that_only_grew_to_zero_is_no_knowledge() -> None:
    noise = np.random.default_rng(0).normal(0.0, 0.2, 40)
    before = noise - 0.6
    assert not knowledge_guard(before, noise, gain=1.2, share=0.25).passed
    assert knowledge_guard(before, noise + 0.9, gain=1.2, share=0.25).passed
    assert not knowledge_guard(before, noise + 0.2, gain=1.2, share=0.25).passed  # much was gained, little is knowledge


def test_who_knew_little_must_know_more_and_who_knew_much_must_only_keep_it() -> None:
    noise = np.random.default_rng(0).normal(0.0, 0.2, 40)
    assert not knowledge_guard(noise + 0.5, noise + 0.55, gain=1.2, share=0.25).passed
    assert knowledge_guard(noise + 0.5, noise + 0.9, gain=1.2, share=0.25).passed
    assert knowledge_guard(noise + 1.4, noise + 1.42, gain=0.5, share=0.25).passed
    assert not knowledge_guard(noise - 2.0, noise + 0.1, gain=0.5, share=0.25).passed  # grown, but from far below zero


def test_without_any_margin_to_measure_nothing_is_known() -> None:
    for margins in (np.array([]), np.array([3.0])):
        guard = knowledge_guard(margins, margins, gain=0.5, share=0.25)
        assert not guard.passed
        assert np.isfinite(guard.value)
