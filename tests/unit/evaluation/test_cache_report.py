"""The arithmetic of the report on literal numbers."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from model.evaluation.cache_arms import nats
from model.evaluation.cache_report import (
    ArmLosses,
    arm_figures,
    gap_recovered,
    plot,
    summary,
    timing_figures,
    without_nan,
)
from model.evaluation.cache_timing import Timings


def arm(name: str, *losses: list[float]) -> ArmLosses:
    return ArmLosses(name, tuple(np.array(one) for one in losses))


ARMS = [
    arm("reference_none", [2.0, 4.0], [3.0, 3.0]),  # 3.0
    arm("reference_full", [1.0, 3.0], [2.0, 2.0]),  # 2.0
    arm("none", [2.2, 4.2], [3.2, 3.2]),  # 3.2: quantised weights lose something
    arm("parallel", [1.0, 3.4], [2.2, 2.2]),  # 2.2
    arm("wrong", [2.2, 4.4], [3.2, 3.4]),  # 3.3
]
MARKS = [[True, False], [False, True]]


def test_the_gap_recovered_is_the_share_of_the_full_prefills_gain():
    assert gap_recovered(3.0, 2.0, 2.0) == 1.0
    assert gap_recovered(3.0, 2.0, 3.0) == 0.0
    assert gap_recovered(2.465, 2.251, 2.284) == pytest.approx(0.8458, abs=1e-4)
    assert gap_recovered(3.0, 2.0, 3.5) == -0.5
    assert math.isnan(gap_recovered(2.0, 2.0, 1.0))


def test_gains_are_against_the_same_place_and_the_gap_against_transformers():
    figures = arm_figures(ARMS, MARKS)
    assert figures["reference_full"]["gain"] == pytest.approx(1.0)
    assert figures["reference_full"]["gap_recovered"] == pytest.approx(1.0)
    assert figures["parallel"]["loss"] == pytest.approx(2.2)
    assert figures["parallel"]["gain"] == pytest.approx(1.0)  # 3.2 - 2.2
    assert figures["parallel"]["gap_recovered"] == pytest.approx(0.8)  # (3.0 - 2.2) / (3.0 - 2.0)
    assert figures["parallel"]["gap_recovered_same_runtime"] == pytest.approx(1.0)
    assert figures["wrong"]["gain"] == pytest.approx(-0.1)
    assert "gap_recovered" not in figures["reference_none"]


def test_names_that_stand_only_elsewhere_are_counted_apart():
    figures = arm_figures(ARMS, MARKS)
    assert figures["reference_none"]["elsewhere_loss"] == pytest.approx(2.5)  # 2.0 and 3.0
    assert figures["parallel"]["elsewhere_loss"] == pytest.approx(1.6)
    assert figures["parallel"]["elsewhere_gain"] == pytest.approx(2.7 - 1.6)
    assert math.isnan(arm_figures(ARMS, [[False, False]] * 2)["parallel"]["elsewhere_loss"])


def test_the_interval_holds_the_share_and_is_none_for_one_case():
    low, high = arm_figures(ARMS, MARKS)["parallel"]["gap_recovered_95"]
    assert low - 1e-9 <= 0.8 <= high + 1e-9
    alone = [ArmLosses(one.name, one.losses[:1]) for one in ARMS]
    assert all(map(math.isnan, arm_figures(alone, MARKS[:1])["parallel"]["gap_recovered_95"]))


def test_nats_are_minus_the_logarithm_of_the_softmax():
    logits = np.log(np.array([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]], dtype=np.float32)) + 7
    assert nats(logits, [1, 2]) == pytest.approx([math.log(4), -math.log(0.8)], abs=1e-6)


@pytest.fixture
def timings() -> Timings:
    made = Timings()
    for milliseconds in (10, 20, 30):
        made.add("keystroke", milliseconds / 1000, 1)
        made.add("line", 10 * milliseconds / 1000, 1)
    made.add("reference_prefill", 4.0, 5000)
    made.add("reference_decode", 2.0, 20)
    made.add("decode", 1.0, 40)
    made.add("decode_edits", 1.0, 100)
    return made


def test_the_summary_has_the_promised_figures(timings: Timings):
    found = summary(arm_figures(ARMS, MARKS), timings, "parallel")
    assert found["ttft_speedup_p50"] == pytest.approx(200)
    assert found["decode_speedup"] == pytest.approx(4)
    assert found["decode_speedup_edits"] == pytest.approx(10)
    assert found["full_context_gain"] == pytest.approx(1.0)
    assert found["wrong_repo_gain"] == pytest.approx(-0.1)
    assert found["gap_recovered"] == pytest.approx(0.8)
    assert found["line_ms_p95"] == pytest.approx(290)


def test_times_are_in_milliseconds_with_the_tokens_that_were_computed(timings: Timings):
    events = timing_figures(timings)["events"]
    assert events["keystroke"] == pytest.approx(
        {"p50_ms": 20, "p95_ms": 29, "tokens_p50": 1, "tokens_p95": 1, "samples": 3}
    )
    assert timing_figures(timings)["decode"]["decode"]["tokens_per_second"] == pytest.approx(40)


def test_what_is_not_finite_becomes_null():
    found = without_nan({"a": [math.nan, 1.0], "b": (math.inf,), "c": {"d": 0}})
    assert json.loads(json.dumps(found, allow_nan=False)) == {"a": [None, 1.0], "b": [None], "c": {"d": 0}}


def test_a_plot_is_a_picture(timings: Timings, tmp_path: Path):
    pytest.importorskip("matplotlib")
    report = {
        "arms": arm_figures(ARMS, MARKS),
        "timing": timing_figures(timings),
        "settings": {"base": "tiny", "packages": ["shop"], "cases": 2},
    }
    plot(without_nan(report), tmp_path / "cache.png")
    assert (tmp_path / "cache.png").read_bytes().startswith(b"\x89PNG")
