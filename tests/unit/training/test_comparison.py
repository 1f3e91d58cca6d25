"""How sure a gain is, and the bounds that guards hold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.evaluation.comparison import (
    Measured,
    certainty_guard,
    context_guard,
    distance_guard,
    exact_guard,
    improvement,
    loss_guard,
)
from model.training.verdict import judged


def test_a_gain_on_every_example_is_certain() -> None:
    before = np.array([2.0, 1.5, 3.0, 2.5, 1.0, 2.2])
    gain = improvement(before, before - np.array([0.4, 0.5, 0.45, 0.5, 0.4, 0.55]))
    assert gain.mean == pytest.approx(0.4667, abs=1e-3)
    assert 0.3 < gain.lower < gain.mean < gain.upper


def test_one_lucky_example_is_not_a_gain() -> None:
    before = np.full(10, 2.0)
    after = before.copy()
    after[3] = 0.1
    assert improvement(before, after).lower < 0


def test_one_example_alone_proves_nothing() -> None:
    assert improvement(np.array([5.0]), np.array([0.1])).lower == -np.inf


def test_few_examples_get_the_wider_interval_of_students_t() -> None:
    gained = np.array([0.1, 0.5, 0.9, 0.4])
    expected = gained.mean() - 3.182446 * gained.std(ddof=1) / 2  # t(0.975, 3 degrees of freedom)
    assert improvement(gained, np.zeros(4)).lower == pytest.approx(expected, abs=1e-5)


def test_the_same_seed_gives_the_same_interval() -> None:
    before, after = np.random.default_rng(0).normal(2, 1, (2, 50))
    assert improvement(before, after, seed=7) == improvement(before, after, seed=7)


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=30))
def test_the_interval_holds_the_mean(gains: list[float]) -> None:
    gain = improvement(np.array(gains), np.zeros(len(gains)))
    assert gain.lower <= gain.mean + 1e-9
    assert gain.upper >= gain.mean - 1e-9


def test_noise_is_promoted_in_few_of_many_worlds() -> None:
    random = np.random.default_rng(1)
    lucky = sum(improvement(random.normal(0, 1, 12), np.zeros(12)).lower > 0 for _ in range(200))
    assert lucky <= 12  # 2.5% are expected


def test_what_suits_a_few_files_is_promoted_in_few_of_many_worlds() -> None:
    random = np.random.default_rng(2)
    files = np.repeat(np.arange(6), 10)
    alone = together = 0
    for _ in range(200):
        gained = random.normal(0, 0.55, 6)[files] + random.normal(0, 0.84, 60)
        alone += improvement(gained, np.zeros(60)).lower > 0
        together += improvement(gained, np.zeros(60), list(files)).lower > 0
    assert alone > 20  # 5 are expected of an interval that holds what it says
    assert together <= 12


def test_one_group_says_nothing_about_the_next() -> None:
    gained = np.array([0.4, 0.5, 0.45, 0.5])
    assert improvement(gained, np.zeros(4), ["a.py"] * 4).lower == -np.inf
    two = improvement(gained, np.zeros(4), ["a.py", "a.py", "b.py", "b.py"])
    assert (two.groups, two.examples) == (2, 4)
    assert 0 < two.lower < two.mean


def test_losing_whole_targets_breaks_a_guard() -> None:
    def matching(count: int) -> Measured:
        return Measured(np.zeros(20), np.arange(20) < count, np.ones(20), np.zeros(20))

    assert exact_guard(matching(10), matching(9)).passed
    assert exact_guard(matching(10), matching(8)).passed
    assert not exact_guard(matching(10), matching(7)).passed


def test_the_other_guards_hold_their_bounds() -> None:
    assert distance_guard(0.9, 1.0).passed
    assert not distance_guard(1.1, 1.0).passed
    assert context_guard(np.array([1.0, 2.0]), np.array([1.0, 2.1]), 0.2).passed
    assert context_guard(np.array([3.0, 4.0]), np.array([2.5, 3.2]), 0.2).passed  # -0.65 of 3.5: a share goes with any
    assert not context_guard(np.array([1.0, 2.0]), np.array([0.5, 1.8]), 0.2).passed
    assert context_guard(np.array([-0.2, 0.2]), np.array([-0.25, 0.15]), 0.2).passed  # little to lose
    assert not context_guard(np.array([-0.2, 0.2]), np.array([-0.4, 0.1]), 0.2).passed


def test_right_tokens_may_get_a_little_less_likely():
    def measured(*certainty: float) -> Measured:
        return Measured(np.zeros(2), np.zeros(2, dtype=bool), np.array(certainty), np.zeros(2))

    assert certainty_guard(measured(0.6, 0.8), measured(0.59, 0.8), 0.03).passed
    assert certainty_guard(measured(0.6, 0.8), measured(0.7, 0.8), 0.03).passed
    assert not certainty_guard(measured(0.6, 0.8), measured(0.55, 0.8), 0.03).passed
    assert certainty_guard(measured(0.0, 0.0), measured(0.0, 0.0), 0.03).passed


def test_a_broken_guard_outweighs_a_gain() -> None:
    gain = improvement(np.full(8, 2.0), np.linspace(1.0, 1.1, 8))
    status, code, reason = judged(gain, gain, [distance_guard(3.0, 1.0)], least_later=4, against="the bare base")
    assert (status, code) == ("refused", "guard")
    assert "distance to base is 3" in reason


def test_a_gain_that_may_be_none_is_refused_with_its_figures() -> None:
    unsure = improvement(np.array([2.0, 1.0, 2.0, 1.0]), np.array([1.0, 2.0, 1.0, 1.5]))
    sure = improvement(np.full(4, 1.0), np.linspace(0.8, 0.9, 4))
    status, code, reason = judged(sure, unsure, [], least_later=4, against="night-2026-11-24-a")
    assert (status, code) == ("refused", "not_better")
    status, _, reason = judged(unsure, sure, [], least_later=4, against="night-2026-11-24-a")
    assert status == "promoted"  # by the robust loss
    assert "1.500 (night-2026-11-24-a) to 1.375" in reason
    assert f"decides, is {sure.mean:.3f}" in reason


def test_the_loss_must_not_rise_while_the_robust_one_falls() -> None:
    before, after = np.full(4, 1.0), np.array([0.5, 0.5, 0.5, 3.0])
    assert not loss_guard(improvement(before, after)).passed
    assert loss_guard(improvement(after, before)).passed
