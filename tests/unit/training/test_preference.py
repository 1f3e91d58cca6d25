"""Pairs say what was wanted instead; the stage makes it likelier, and goes on where it was killed."""

from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch

from feedback.examples import Example
from model.training.network import load_network
from model.training.preference import Pair, PreferenceOptions, Preferred, pairs_of, prefer
from model.training.serving import serving_format
from model.training.sft import SftOptions, TrainingCancelledError, with_fresh_adapter
from model.training.tuning import Pace
from tests.unit.training.tiny_language import HABITS, OTHER_HABITS, written

OPTIONS = PreferenceOptions(learning_rate=5e-3, beta=0.5, checkpoint_seconds=0.0)


def rejected_offers(count: int = 24) -> list[Example]:
    """The base's own habit was offered, and the user wrote another colour."""
    letters = sorted(OTHER_HABITS)
    return [
        replace(example, offered=HABITS[letters[number % len(letters)]])
        for number, example in enumerate(written(OTHER_HABITS, count))
    ]


def pairs(base: Path, examples: list[Example] | None = None) -> list[Pair]:
    return pairs_of(examples or rejected_offers(), serving_format(base), maximum_tokens=1024)[0]


def preferred(
    base: Path,
    found: list[Pair],
    folder: Path,
    options: PreferenceOptions = OPTIONS,
    seconds: float = 600.0,
    steps: list[int] | None = None,
    stop: int = 0,
) -> Preferred:
    """The stage on a fresh adapter; it is cancelled after `stop` steps, which are noted in `steps`."""
    seen: list[int] = [] if steps is None else steps
    pace = Pace(
        "preference", options.learning_rate, options.clip, options.checkpoint_seconds, seconds,
        lambda done, planned, loss: seen.append(done), lambda: 0 < stop == len(seen),
    )  # fmt: skip
    return prefer(adapted(base), found, options=options, pace=pace, run_folder=folder)


def adapted(base: Path) -> Any:
    torch.manual_seed(0)
    return with_fresh_adapter(load_network(base), SftOptions(rank=4, alpha=8))


def test_an_offer_contrasts_with_what_was_written_instead(tiny_base: Path) -> None:
    offered = rejected_offers(4)
    assert [pair.example for pair in pairs(tiny_base, offered)] == [example.id for example in offered]
    one = offered[0]
    kept = replace(one, offered=one.target, outcome="accepted")
    for silent in (
        kept,
        replace(one, offered=""),
        replace(one, offered=one.target[:2]),
        replace(one, outcome="ignored"),
        replace(one, offered=one.target + " "),
    ):
        assert pairs(tiny_base, [silent]) == []
    assert len(pairs(tiny_base, [replace(kept, offered="grey, I think")])) == 1
    assert pairs_of(offered, serving_format(tiny_base), maximum_tokens=5) == ([], {"too_long": 4})


def test_only_texts_that_are_near_but_not_right_make_a_pair(tiny_base: Path) -> None:
    one = rejected_offers(1)[0]
    kinds = [
        replace(one, offered="return total * price", target="return total * price "),
        replace(one, offered="zzzzzzzzzzzzzzzzzzzzzz", target="return total * price"),
        replace(one, offered="return total + price", target="return total * price"),
        replace(one, offered=""),
    ]
    found, dropped = pairs_of(kinds, serving_format(tiny_base), maximum_tokens=1024)
    assert len(found) == 1
    assert dropped == {"far": 1, "no_contrast": 1, "right": 1}


def test_what_was_preferred_becomes_likelier(tiny_base: Path, tmp_path: Path) -> None:
    done = preferred(tiny_base, pairs(tiny_base), tmp_path, replace(OPTIONS, epochs=3))
    assert done.agreement_before < 0.2  # the base prefers its own habits
    assert done.agreement_after > done.agreement_before + 0.5
    assert done.steps == done.planned == 18
    assert done.losses[-1] < done.losses[0]


def test_a_killed_stage_goes_on_with_the_same_reference(tiny_base: Path, tmp_path: Path) -> None:
    found = pairs(tiny_base)
    whole = preferred(tiny_base, found, tmp_path / "whole")
    with pytest.raises(TrainingCancelledError):
        preferred(tiny_base, found, tmp_path / "cut", stop=3)
    again = preferred(tiny_base, found, tmp_path / "cut")
    assert again.losses == pytest.approx(whole.losses, abs=1e-4)
    assert again.agreement_before == whole.agreement_before
    other = preferred(tiny_base, found[:8], tmp_path / "cut")
    assert other.planned == 2


def test_a_stage_that_is_over_is_not_begun_again(tiny_base: Path, tmp_path: Path) -> None:
    """A night that is killed in a later stage comes through this one once more."""
    done = preferred(tiny_base, pairs(tiny_base), tmp_path)
    steps: list[int] = []
    again = preferred(tiny_base, pairs(tiny_base), tmp_path, steps=steps)
    assert steps == []
    assert again.losses == done.losses
    assert again.agreement_after == pytest.approx(done.agreement_after)


def test_the_budget_ends_the_stage(tiny_base: Path, tmp_path: Path) -> None:
    done = preferred(tiny_base, pairs(tiny_base), tmp_path, seconds=0.0)
    assert done.steps == 0
    assert done.agreement_after == done.agreement_before


def test_reading_and_training_share_the_budget_and_the_newest_pairs_are_read(tiny_base: Path, tmp_path: Path) -> None:
    found, seconds = pairs(tiny_base), count()
    pace = Pace("preference", 1e-3, 1.0, 0.0, 80.0, clock=lambda: float(next(seconds)))  # a second for each look
    done = prefer(adapted(tiny_base), found, options=OPTIONS, pace=pace, run_folder=tmp_path)
    assert 5 <= done.items < len(found)
    assert 0 < done.steps <= done.planned
    assert next(seconds) <= 80 + done.items
    alone = preferred(tiny_base, found[-done.items :], tmp_path / "alone")
    assert done.agreement_before == alone.agreement_before


def test_whoever_cancels_is_heard_while_pairs_are_read(tiny_base: Path, tmp_path: Path) -> None:
    looks = count()
    pace = Pace("preference", 1e-3, 1.0, 0.0, 600.0, cancelled=lambda: next(looks) == 3)
    with pytest.raises(TrainingCancelledError, match="read 24 texts"):
        prefer(adapted(tiny_base), pairs(tiny_base), options=OPTIONS, pace=pace, run_folder=tmp_path)
    assert next(looks) == 4
