"""The arithmetic of the report on literal numbers."""

import math

import pytest

from model.evaluation.completion_cases import CompletionCase
from model.evaluation.completion_report import (
    Reading,
    estimate,
    exact,
    latency_figures,
    mask_gap,
    similarity,
    summary,
    task_figures,
)
from model.evaluation.completion_writing import Times

CASES = [
    CompletionCase("line", "whole line", "p", "a.py", "", "x = 1", "\n", copied=True),
    CompletionCase("line", "rest of a line", "p", "a.py", "", "y = 2", "\n"),
    CompletionCase("lines", "lines", "p", "b.py", "", "if x:\n    return y", "\n"),
]
READINGS = {
    "base": [Reading(9.0, 3, "x = 2"), Reading(6.0, 3, "y = 2"), Reading(20.0, 4, "if y:\n    return y")],
    "base_documents": [Reading(6.0, 3, "x = 1 "), Reading(6.0, 3, "z"), Reading(8.0, 4, "")],
    "adapter_left_to_right": [Reading(6.0, 3, ""), Reading(6.0, 3, ""), Reading(13.0, 4, "")],
    "adapter": [Reading(6.0, 3, "x = 1"), Reading(6.0, 3, "y = 1"), Reading(8.0, 4, "")],
    "adapter_documents": [Reading(3.0, 3, "x = 1"), Reading(3.0, 3, "y = 2"), Reading(6.0, 4, CASES[2].middle + "\n")],
    "adapter_documents_plain": [Reading(2.0, 3), Reading(3.0, 3), Reading(5.0, 4)],
}


def test_an_estimate_is_the_formula_of_the_sums_and_its_interval_holds_it():
    found = estimate([[1.0, 2.0, 6.0], [1.0, 2.0, 2.0]], lambda nats, tokens: nats / tokens)
    assert found.value == pytest.approx(9 / 5)
    assert 1.0 <= found.lower <= found.value <= found.upper <= 3.0
    assert estimate([[1.0, 2.0]], lambda total: total, seed=3) == estimate([[1.0, 2.0]], lambda total: total, seed=3)


def test_cases_that_were_treated_together_are_drawn_together():
    kept = [2.0] * 20 + [0.0] * 20  # one treatment helped, the other did harm
    columns, groups = [kept, [1.0] * 40], ["helped"] * 20 + ["harmed"] * 20
    alone = estimate(columns, lambda mine, others: mine / others)
    grouped = estimate(columns, lambda mine, others: mine / others, groups=groups)
    assert alone.value == grouped.value == 1.0
    assert 0.5 < alone.lower < alone.upper < 1.5
    assert (grouped.lower, grouped.upper) == (0.0, 2.0)
    assert estimate(columns, lambda mine, others: mine / others, groups=["one"] * 40) == alone


def test_one_case_has_no_interval_and_none_has_no_figure():
    alone = estimate([[1.0], [2.0]], lambda a, b: a / b)
    assert alone.value == 0.5
    assert math.isnan(alone.lower)
    assert math.isnan(estimate([[], []], lambda a, b: a / b).value)


def test_an_interval_over_resamples_without_a_value_is_none():
    alone, masked, full = [3.0, 1.0, 3.0], [2.0, 2.0, 2.0], [2.0, 2.0, 2.0]
    found = estimate([alone, masked, full], mask_gap)  # two of three cases gain, so many resamples do not
    assert found.value == pytest.approx(0.0)
    assert math.isnan(found.lower)


def test_exact_leaves_blanks_at_the_end_aside_and_nothing_else():
    assert exact("x = 1  \n", "x = 1")
    assert not exact(" x = 1", "x = 1")
    assert not exact("x = 1\ny", "x = 1")


def test_similarity_is_one_less_the_share_that_has_to_be_edited():
    assert similarity("x = 1\n", "x = 1") == 1.0
    assert similarity("x = 2", "x = 1") == pytest.approx(0.8)
    assert similarity("", "x = 1") == 0.0


def test_the_mask_gap_is_the_share_of_the_gain_that_the_mask_loses():
    assert mask_gap(3.0, 2.0, 2.0) == pytest.approx(0.0)
    assert mask_gap(3.0, 2.5, 2.0) == pytest.approx(0.5)
    assert mask_gap(3.0, 1.8, 2.0) == pytest.approx(-0.2)
    assert math.isnan(mask_gap(2.0, 1.0, 2.0))


def test_figures_are_by_task_and_over_all():
    found = task_figures(CASES, READINGS)
    assert [found[task]["cases"] for task in ("line", "lines", "section", "all")] == [2, 1, 0, 3]
    assert found["line"]["copied"] == 1
    assert found["all"]["tokens"] == 10
    served = found["all"]["arms"]["adapter_documents"]
    assert served["loss"] == pytest.approx(12 / 10)  # over tokens, not over cases
    assert served["em"] == 1.0
    assert served["similarity"] == 1.0
    assert found["line"]["arms"]["base"]["em"] == 0.5
    assert "em" not in found["all"]["arms"]["adapter_documents_plain"]
    assert math.isnan(found["section"]["arms"]["base"]["loss"])


def test_the_summary_has_the_promised_figures():
    found = summary(CASES, READINGS, {"base": [True, False, False, False], "adapter": [True, True, False, True]})
    assert found["base_loss"] == pytest.approx(2.0)
    assert found["adapter_loss"] == pytest.approx(1.2)
    assert found["base_em"] == 0.5  # single lines only
    assert found["adapter_em"] == 1.0
    assert found["mask_gap"] == pytest.approx(1 - (20 - 12) / (20 - 10))
    assert found["humaneval_single_line_em"] == 0.75
    assert found["base_humaneval_single_line_em"] == 0.25
    assert found["left_to_right_loss_change"] == pytest.approx(-1.0)
    assert (found["cases"], found["single_line_cases"], found["middle_tokens"]) == (3, 2, 10)
    assert found["humaneval_cases"] == 4
    low, high = found["base_loss_95"]
    assert low <= 2.0 <= high


def test_without_an_adapter_its_figures_are_no_numbers():
    base = {name: READINGS[name] for name in ("base", "base_documents")}
    found = summary(CASES, base, {"base": []})
    assert found["base_loss"] == pytest.approx(2.0)
    for name in ("adapter_loss", "adapter_em", "mask_gap", "left_to_right_loss_change", "humaneval_single_line_em"):
        assert math.isnan(found[name])


def test_times_are_percentiles_in_milliseconds():
    found = latency_figures([Times(0.1, 0.01), Times(0.3, 0.03), Times(0.2, 0.02)])
    assert found["samples"] == 3
    assert found["cold"]["p50_ms"] == pytest.approx(200)
    assert found["keystroke"]["p95_ms"] == pytest.approx(29)
    assert math.isnan(latency_figures([])["cold"]["p50_ms"])
