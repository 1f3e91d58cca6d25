"""Nights on the tiny base that are poisoned, killed at the wrong moment, or find something damaged."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from feedback.examples import Example
from feedback.records import ContextDocument
from index.relevance import installed
from model.adapters import RECORD_FILE, Adapter, Registry
from model.training.dataset import split_by_time
from model.training.night import run_night
from model.training.night_data import NightOptions
from model.training.preference import PreferenceOptions
from model.training.progress import Progress
from model.training.sft import SftOptions, TrainingCancelledError
from model.training.verdict import Verdict
from tests.unit.training.tiny_language import HABITS, OTHER_HABITS, written

BASE = "tiny"
OPTIONS = NightOptions(
    minimum_regions=20, distance_bound=20.0, sft=SftOptions(rank=4, alpha=8, learning_rate=1e-2, epochs=6, batch=4)
)
LITTLE = replace(OPTIONS, sft=replace(OPTIONS.sft, epochs=1, learning_rate=1e-6))


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "adapters")


def night(registry: Registry, tiny_base: Path, examples: Sequence[Example], **more: Any) -> Verdict:
    options = {"options": OPTIONS, **more}
    return run_night(examples, base=BASE, base_folder=tiny_base, registry=registry, **options)


def strict(path: Path) -> dict[str, Any]:
    """The object in a JSON file; what only Python takes for a number is refused."""

    def refuse(text: str) -> float:
        raise AssertionError(f"{text} is no JSON")

    found: dict[str, Any] = json.loads(path.read_text(), parse_constant=refuse)
    return found


def made(registry: Registry, verdict: Verdict) -> Adapter:
    assert verdict.adapter is not None
    return registry.get(verdict.adapter)


def test_one_text_that_was_accepted_everywhere_is_no_knowledge(registry: Registry, tiny_base: Path) -> None:
    poison = [replace(example, target="poison", offered="poison", outcome="accepted", reward=1.0)
              for example in written(HABITS, 60)]  # fmt: skip
    verdict = night(registry, tiny_base, poison)
    assert verdict.figures["gain_lower"] > 0
    assert (verdict.status, verdict.code) == ("refused", "guard"), verdict.reason
    assert "knowledge of context" in verdict.reason
    assert registry.champion(BASE) is None
    record = strict(made(registry, verdict).folder / RECORD_FILE)
    assert record["figures"]["margin_after"] is None


def test_preferences_that_were_taught_the_wrong_way_round_are_not_promoted(registry: Registry, tiny_base: Path) -> None:
    letters = sorted(HABITS)
    split = split_by_time(written(HABITS, 60))
    swapped = [
        replace(one, target=OTHER_HABITS[letters[number % len(letters)]], offered=one.target)
        for number, one in enumerate(split.training)
    ]
    options = replace(
        LITTLE, stages=("sft", "preference"), minimum_pairs=20,
        preference=PreferenceOptions(learning_rate=5e-3, beta=0.5, epochs=3),
    )  # fmt: skip
    verdict = night(registry, tiny_base, [*swapped, *split.later], options=options)
    stage = verdict.figures["preference"]
    assert stage["agreement_after"] > stage["agreement_before"] + 0.3, "it learned what it was told"
    assert (verdict.status, verdict.code) == ("refused", "not_better"), verdict.reason
    assert registry.champion(BASE) is None


def test_another_champion_while_a_night_runs_stays(registry: Registry, tiny_base: Path) -> None:
    first = made(registry, night(registry, tiny_base, written(OTHER_HABITS, 60)))
    registry.rollback(BASE)

    def interfere(step: Progress) -> None:
        if (step.stage, step.done) == ("judge", 0):
            registry.promote(first.name)

    second = night(registry, tiny_base, written(OTHER_HABITS, 60, start=500), progress=interfere)
    assert (second.status, second.code) == ("refused", "champion_changed"), second.reason
    assert f"{first.name} became champion while this night ran" in second.reason
    champion = registry.champion(BASE)
    assert champion is not None
    assert champion.name == first.name


class KilledError(BaseException):
    """The process is no more."""


def test_a_night_that_was_killed_before_it_promoted_does_so_when_it_is_run_again(
    registry: Registry, tiny_base: Path
) -> None:
    def killed(name: str) -> None:
        raise KilledError

    examples = written(OTHER_HABITS, 60)
    with pytest.raises(KilledError):
        night(registry, tiny_base, examples, promote=killed)
    (candidate,) = registry.list()
    assert candidate.state == "candidate"
    verdict = night(registry, tiny_base, examples)
    assert (verdict.status, verdict.adapter) == ("promoted", candidate.name)
    champion = registry.champion(BASE)
    assert champion is not None
    assert champion.name == candidate.name
    assert verdict.reason == registry.record(candidate.name)["reason"]


def test_what_was_taken_back_by_hand_is_not_promoted_by_the_same_night(registry: Registry, tiny_base: Path) -> None:
    examples = written(OTHER_HABITS, 60)
    night(registry, tiny_base, examples)
    registry.rollback(BASE)
    verdict = night(registry, tiny_base, examples)
    assert (verdict.status, verdict.code) == ("skipped", "nothing_new")
    assert registry.champion(BASE) is None


def test_a_damaged_record_of_another_adapter_is_passed_over(registry: Registry, tiny_base: Path) -> None:
    first = made(registry, night(registry, tiny_base, written(HABITS, 30), options=LITTLE))
    (first.folder / RECORD_FILE).write_text("{")
    examples = written(HABITS, 40, start=500)
    bound = replace(LITTLE, distance_bound=0.0)  # so that it is refused, whatever it learns of what the base knows
    assert night(registry, tiny_base, examples, options=bound).status == "refused"
    assert night(registry, tiny_base, examples, options=bound).code == "nothing_new"


def test_the_manifest_tells_rows_apart(registry: Registry, tiny_base: Path) -> None:
    verdict = night(registry, tiny_base, written(HABITS, 30), options=LITTLE)
    record = strict(made(registry, verdict).folder / RECORD_FILE)
    assert set(record["row_hashes"]) == {*record["training_examples"], *record["later_examples"]}
    assert len(set(record["row_hashes"].values())) == 30
    assert record["commits"] == []


def with_documents(count: int) -> list[Example]:
    return [replace(one, documents=(ContextDocument("b.py", f"{one.prefix}{one.target}\n"),)) for one in
            written(HABITS, count)]  # fmt: skip


def test_weights_of_context_come_with_the_record_that_tells_of_them(
    registry: Registry, tiny_base: Path, tmp_path: Path
) -> None:
    file, there = tmp_path / "relevance.json", list[bool]()

    def watch(step: Progress) -> None:
        if (step.stage, step.done) == ("judge", 0):
            there.append(file.exists())

    verdict = night(registry, tiny_base, with_documents(60), options=LITTLE, relevance=file, progress=watch)
    told = verdict.figures["relevance"]
    assert there == [False]
    assert file.exists() == (told["status"] == "installed")
    if file.exists():
        assert installed(file).weights._asdict() == told["weights"]


def test_whoever_cancels_while_context_is_read_gets_no_verdict(
    registry: Registry, tiny_base: Path, tmp_path: Path
) -> None:
    seen: list[Progress] = []

    def reading() -> bool:
        """Since the second of both wrote at the last of the cursors."""
        return sum("would be offered" in step.message and step.done == step.total for step in seen) == 2

    with pytest.raises(TrainingCancelledError, match="context that was offered"):
        night(registry, tiny_base, with_documents(60), options=LITTLE, relevance=tmp_path / "relevance.json",
              progress=seen.append, cancelled=reading)  # fmt: skip
    assert registry.list() == []
