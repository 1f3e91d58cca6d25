"""What a night reads is chosen and counted: what is left out, repeated or held back has its reason in the record."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from feedback.changes import Change
from feedback.examples import Example
from model.adapters import Registry
from model.training import night_data
from model.training.night_data import Data, NightOptions, affordable, how_preferred, prepare
from tests.unit.training.tiny_language import HABITS, HOURS, OTHER_HABITS, written

LINES = "def colour(letter):\n    return letter + 'a colour'\n"


def prepared(base: Path, examples: list[Example], **options: Any) -> Data:
    changes = options.pop("changes", ())
    return prepare(examples, base, None, None, Registry(base / "none"), NightOptions(**options), changes)


def test_what_is_read_again_or_left_out_is_counted(tiny_base: Path) -> None:
    examples = written(HABITS, 200)
    examples = [replace(one, language="lua") if number % 10 == 0 else one for number, one in enumerate(examples)]
    data = prepared(tiny_base, [*examples, examples[-1]], window=100)
    figures = data.figures
    assert figures["dropped"] == {"beyond_window": 101, "duplicate": 1}
    assert figures["languages"]["lua"] < figures["languages"]["python"]
    repeated = figures["repeated_for_balance"]["lua"]
    assert figures["training"] == len(data.training) == sum(figures["languages"].values()) + repeated
    assert figures["difficulty"] == {"not offered": sum(figures["languages"].values())}
    assert min(int(sequence.example.split("-")[1]) for sequence in data.training) < 100


def test_every_reason_has_its_place(tiny_base: Path) -> None:
    examples = written(HABITS, 40)
    odd = [
        replace(examples[0], id="empty", target=" "),
        replace(examples[1], id="leaked", at=1000 * HOURS),
        replace(examples[2], id="long", target="x" * 3000, at=3.5 * HOURS),
    ]
    figures = prepared(tiny_base, [*examples, *odd], maximum_tokens=400).figures
    assert figures["dropped"] == {"beyond_window": 0, "empty": 1, "leaked": 1}
    assert figures["dropped_training"] == {"too_long": 1}


def test_pairs_come_first_and_single_judgements_where_they_are_too_few(tiny_base: Path) -> None:
    letters = sorted(OTHER_HABITS)
    rejected = [
        replace(example, offered=HABITS[letters[number % len(letters)]])
        for number, example in enumerate(written(OTHER_HABITS, 40))
    ]
    kept = [replace(one, offered=one.target, outcome="accepted") for one in written(OTHER_HABITS, 40, start=100)]
    asked: Any = {"stages": ("sft", "preference"), "later_share": 0.1}
    many = prepared(tiny_base, rejected, minimum_pairs=30, **asked)
    assert how_preferred(many, NightOptions(minimum_pairs=30, **asked)) == ("dpo", "")
    assert many.judged == []
    mixed = prepared(tiny_base, [*rejected, *kept], minimum_pairs=60, **asked)
    assert how_preferred(mixed, NightOptions(minimum_pairs=60, **asked)) == ("kto", "")
    alike = prepared(tiny_base, kept, minimum_pairs=30, **asked)
    method, why = how_preferred(alike, NightOptions(minimum_pairs=30, **asked))
    assert method is None
    assert "36 were wanted, 0 were not" in why


def test_sections_are_older_than_what_is_measured_on_and_do_not_hold_it(tiny_base: Path) -> None:
    examples = written(HABITS, 40)
    later = replace(examples[-1], target="return letter + 'a colour'")
    changes = [
        Change("/w", "a", 1 * HOURS, "a.py", "", LINES),
        Change("/w", "b", 39 * HOURS, "b.py", "", LINES.replace("colour", "shade")),
        Change("/w", "c", 2 * HOURS, "c.py", "", LINES.replace("colour", "tone")),
    ]
    data = prepared(tiny_base, [*examples[:-1], later], stages=("sft", "section"), changes=changes)
    assert [section.commit for section in data.sections.usable] == ["c"]
    assert data.sections.dropped == {"leaked": 1, "newer": 1}


def test_one_busy_moment_does_not_decide_how_much_is_measured(tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading takes a second, but for the first times, when something else runs beside it."""
    data = prepared(tiny_base, written(HABITS, 80))
    now, read = 0.0, 0

    def clock() -> float:
        return now

    def measure(model: object, sequences: object, device: str) -> None:
        nonlocal now, read
        read += 1
        now += 60.0 if read < 5 else 1.0

    monkeypatch.setattr(night_data, "measure", measure)
    monkeypatch.setattr(night_data.time, "monotonic", clock)
    calm = affordable(None, data, "cpu", NightOptions(budget_seconds=20_000.0))
    assert len(calm.later) == len(data.later)
    read = 0
    busy = affordable(None, data, "cpu", NightOptions(budget_seconds=1_000.0))  # one try takes its time for tries
    assert len(busy.later) == busy.figures["later"] == NightOptions().least_later
