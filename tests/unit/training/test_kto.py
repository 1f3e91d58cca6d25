"""Texts that were judged alone move the way they were judged."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from feedback.examples import Example
from model.training.kto import judge, judged_of, kto_loss
from model.training.network import load_network
from model.training.preference import PreferenceOptions
from model.training.serving import serving_format
from model.training.sft import SftOptions, TrainingCancelledError, with_fresh_adapter
from model.training.tuning import Pace
from tests.unit.training.tiny_language import HABITS, OTHER_HABITS, written

OPTIONS = PreferenceOptions(learning_rate=5e-3, beta=0.5, checkpoint_seconds=0.0, epochs=3)


def judged_offers(count: int) -> list[Example]:
    """What the base writes was rejected, and, behind other cursors, what the user writes was accepted."""
    letters = sorted(OTHER_HABITS)
    found = []
    for number, example in enumerate(written(OTHER_HABITS, count)):
        if number % 4 == 0:
            found.append(replace(example, offered=example.target, outcome="accepted"))
        else:
            found.append(replace(example, offered=HABITS[letters[number % len(letters)]]))
    return found


def pace(seconds: float = 600.0, steps: list[int] | None = None, stop: int = 0) -> Pace:
    seen: list[int] = [] if steps is None else steps
    return Pace(
        "preference", OPTIONS.learning_rate, OPTIONS.clip, 0.0, seconds, lambda done, planned, loss: seen.append(done),
        lambda: 0 < stop == len(seen),
    )  # fmt: skip


def test_the_loss_is_that_of_the_paper() -> None:
    def sigmoid(value: float) -> float:
        return 1 / (1 + math.exp(-value))

    for moved, divergence in ((1.5, 0.0), (-0.5, 0.25), (0.0, 2.0)):
        wanted = float(kto_loss(torch.tensor(moved), divergence, True, 0.1))
        unwanted = float(kto_loss(torch.tensor(moved), divergence, False, 0.1))
        assert wanted == pytest.approx(1 - sigmoid(0.1 * (moved - divergence)), abs=1e-6)
        assert unwanted == pytest.approx(1 - sigmoid(0.1 * (divergence - moved)), abs=1e-6)


def test_what_says_nothing_is_left_out(tiny_base: Path) -> None:
    one = judged_offers(2)[1]
    encode = serving_format(tiny_base)
    kept = replace(one, offered=one.target, outcome="accepted")
    silent = [
        replace(one, offered=""),
        replace(one, offered=one.target),  # rejected, and then written all the same
        replace(one, outcome="ignored"),
        replace(kept, offered="something else"),  # accepted, and then changed
    ]
    assert judged_of(silent, encode, maximum_tokens=1024) == []
    both = judged_of([one, kept, *silent], encode, maximum_tokens=1024)
    assert [each.wanted for each in both] == [False, True]
    assert both[0].stranger == encode(replace(one, target=kept.offered)).row
    assert judged_of([one, kept], encode, maximum_tokens=5) == []


def test_wanted_texts_become_likelier_than_unwanted_ones(tiny_base: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    judged = judged_of(judged_offers(32), serving_format(tiny_base), maximum_tokens=1024)
    model = with_fresh_adapter(load_network(tiny_base), SftOptions(rank=4, alpha=8))
    done = judge(model, judged, options=OPTIONS, pace=pace(), run_folder=tmp_path)
    assert done.method == "kto"
    assert done.agreement_before < 0.5  # the base prefers what was rejected
    assert done.agreement_after > done.agreement_before + 0.3
    assert sum(done.losses[-3:]) < sum(done.losses[:3])


def test_a_killed_stage_goes_on(tiny_base: Path, tmp_path: Path) -> None:
    judged = judged_of(judged_offers(16), serving_format(tiny_base), maximum_tokens=1024)

    def run(folder: Path, stop: int = 0) -> tuple[float, ...]:
        torch.manual_seed(0)
        model = with_fresh_adapter(load_network(tiny_base), SftOptions(rank=4, alpha=8))
        return judge(model, judged, options=OPTIONS, pace=pace(stop=stop), run_folder=folder).losses

    whole = run(tmp_path / "whole")
    with pytest.raises(TrainingCancelledError):
        run(tmp_path / "cut", stop=5)
    assert run(tmp_path / "cut") == pytest.approx(whole, abs=1e-4)
