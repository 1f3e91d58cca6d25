"""Nights on the tiny base: what deserves to be served is, what does not is refused with its reason."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from feedback.examples import Example
from model.adapters import RUNS_FOLDER, Registry, RegistryError
from model.evaluation.comparison import Guard, improvement
from model.training import night as night_module
from model.training.checkpoints import CHECKPOINT_FILE
from model.training.dataset import shuffled_targets, split_by_time
from model.training.night import run_night
from model.training.night_data import NightOptions
from model.training.old_tasks import old_tasks_guard
from model.training.preference import PreferenceOptions
from model.training.progress import Progress
from model.training.sft import SftOptions, TrainingCancelledError
from model.training.verdict import Verdict
from tests.unit.training.tiny_language import HABITS, OTHER_HABITS, written

BASE = "tiny"
OPTIONS = NightOptions(
    minimum_regions=20,
    distance_bound=20.0,  # one colour for another is far from the base by nature
    sft=SftOptions(rank=4, alpha=8, learning_rate=1e-2, epochs=6, batch=4, general=0),
)


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "adapters")


def night(registry: Registry, tiny_base: Path, examples: list, **more: object) -> Verdict:  # type: ignore[type-arg]
    options = {"options": OPTIONS, **more}
    return run_night(examples, base=BASE, base_folder=tiny_base, registry=registry, **options)  # type: ignore[arg-type]


def test_a_user_with_other_habits_gets_an_adapter_that_knows_them(registry: Registry, tiny_base: Path) -> None:
    verdict = night(registry, tiny_base, written(OTHER_HABITS, 60))
    assert (verdict.status, verdict.code) == ("promoted", "better"), verdict.reason
    champion = registry.champion(BASE)
    assert champion is not None
    assert champion.name == verdict.adapter
    assert verdict.figures["later_after"] < verdict.figures["later_before"] - 0.5
    assert verdict.figures["gain_lower"] > 0
    assert verdict.figures["exact_after"] > verdict.figures["exact_before"]
    assert not list((registry.folder / RUNS_FOLDER).iterdir())


def test_the_record_says_what_was_done_to_a_program_and_to_a_person(registry: Registry, tiny_base: Path) -> None:
    verdict = night(registry, tiny_base, written(OTHER_HABITS, 60))
    assert verdict.adapter is not None
    folder = registry.get(verdict.adapter).folder
    record = registry.record(verdict.adapter)
    assert record["training_examples"] == [f"example-{number}" for number in range(42)]
    assert record["later_examples"] == [f"example-{number}" for number in range(42, 60)]
    assert record["reason"] == verdict.reason
    assert verdict.reason in (folder / "record.md").read_text()
    assert json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"] == BASE
    assert str(tiny_base) not in "".join(path.read_text() for path in folder.glob("*.[jm]*"))


def test_the_placebo_is_refused_by_the_same_gate(registry: Registry, tiny_base: Path) -> None:
    examples = written(HABITS, 60)
    split = split_by_time(examples)
    verdict = night(registry, tiny_base, [*shuffled_targets(split.training, seed=0), *split.later])
    assert (verdict.status, verdict.code) == ("refused", "not_better"), verdict.reason
    assert registry.champion(BASE) is None
    assert verdict.adapter is not None
    assert registry.get(verdict.adapter).state == "candidate"
    assert registry.record(verdict.adapter)["status"] == "refused"


def test_a_violated_guard_refuses_a_night_that_is_otherwise_better(registry: Registry, tiny_base: Path) -> None:
    options = replace(OPTIONS, certainty_loss=-1.0)
    verdict = night(registry, tiny_base, written(OTHER_HABITS, 60), options=options)
    assert (verdict.status, verdict.code) == ("refused", "guard")
    assert "certainty" in verdict.reason


def test_a_night_must_beat_the_champion_and_not_only_the_base(registry: Registry, tiny_base: Path) -> None:
    first = night(registry, tiny_base, written(OTHER_HABITS, 60))
    assert first.status == "promoted"
    little = replace(OPTIONS, sft=replace(OPTIONS.sft, epochs=1, learning_rate=1e-4))
    second = night(registry, tiny_base, written(OTHER_HABITS, 90), options=little)
    assert (second.status, second.code) == ("refused", "not_better")
    assert f"({first.adapter})" in second.reason
    champion = registry.champion(BASE)
    assert champion is not None
    assert champion.name == first.adapter


def test_a_day_in_one_file_promotes_nothing(registry: Registry, tiny_base: Path) -> None:
    examples = [replace(one, at=one.at / 1000) for one in written(OTHER_HABITS, 60)]
    verdict = night(registry, tiny_base, examples)
    assert (verdict.status, verdict.code) == ("refused", "one_file"), verdict.reason


def test_code_of_others_is_held_beside_and_is_no_part_of_what_was_learned_from(
    registry: Registry, tiny_base: Path
) -> None:
    options = replace(OPTIONS, sft=replace(OPTIONS.sft, epochs=2, general=4))
    verdict = night(registry, tiny_base, written(OTHER_HABITS, 60), options=options)
    assert (verdict.figures["training"], verdict.figures["general"]) == (42, 10)
    assert verdict.figures["planned_steps"] == 11 + 13  # the first pass leaves it out
    assert verdict.adapter is not None
    assert len(registry.record(verdict.adapter)["training_examples"]) == 42


def test_a_candidate_that_forgot_too_much_is_judged_and_kept_at_less_of_its_strength(
    registry: Registry, tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tiny base knows no old tasks, so what they tell is said here: twice as much as is allowed, then half."""
    rises = iter([0.02, 0.005])

    def known(*of: object) -> tuple[list[Guard], dict[str, float]]:
        after = 1.0 + next(rises)
        return [old_tasks_guard(1.0, after, 0.01)], {"before": 1.0, "after": after}

    monkeypatch.setattr(night_module, "still_known", known)
    verdict = night(registry, tiny_base, written(OTHER_HABITS, 60))
    strength = verdict.figures["old_tasks"]["strength"]
    assert strength == pytest.approx(0.95 * 2 ** (-2 / 3))
    assert f"It has {strength:.0%} of its strength" in verdict.reason
    assert "rose by 2.0%" in verdict.reason
    (guard,) = (one for one in verdict.figures["guards"] if one["name"] == "use of context")
    assert guard["bound"] == pytest.approx(
        -OPTIONS.context_loss * strength * max(0.5, verdict.figures["margin_before"])
    )


def test_each_later_example_stays_in_the_record(registry: Registry, tiny_base: Path) -> None:
    verdict = night(registry, tiny_base, written(OTHER_HABITS, 60))
    assert verdict.adapter is not None
    each = registry.record(verdict.adapter)["later_each"]
    gained = np.array(each["robust_before"]) - np.array(each["robust_after"])
    assert len(gained) == 18
    assert gained.mean() == pytest.approx(verdict.figures["robust_gain"], abs=1e-5)
    again = improvement(np.array(each["losses_before"]), np.array(each["losses_after"]), each["group"])
    assert again.lower == pytest.approx(verdict.figures["gain_lower"], abs=1e-5)


def offered_otherwise(count: int) -> list[Example]:
    """The base's own habit was offered, and the user wrote another colour."""
    letters = sorted(OTHER_HABITS)
    return [
        replace(example, offered=HABITS[letters[number % len(letters)]])
        for number, example in enumerate(written(OTHER_HABITS, count))
    ]


def test_preference_goes_on_where_sft_left_and_says_why_it_did_not(registry: Registry, tiny_base: Path) -> None:
    little = replace(OPTIONS, sft=replace(OPTIONS.sft, epochs=4), stages=("sft", "preference"), minimum_pairs=40)
    verdict = night(registry, tiny_base, offered_otherwise(60), options=little)
    assert verdict.status == "promoted", verdict.reason
    stage = verdict.figures["preference"]
    assert stage["method"] == "dpo"
    assert stage["steps"] == stage["planned"] > 0
    assert stage["agreement_after"] >= stage["agreement_before"]
    assert verdict.figures["pairs"] == 42
    least = replace(little, sft=replace(OPTIONS.sft, epochs=1))
    few = night(registry, tiny_base, written(OTHER_HABITS, 40, start=500), options=least)
    assert "0 pairs, 40 are needed" in few.figures["preference"]["skipped"]
    assert few.figures["dropped_pairs"] == {"no_contrast": 28}


def test_too_few_pairs_but_enough_judgements_are_learned_from_without_pairs(
    registry: Registry, tiny_base: Path
) -> None:
    examples = [
        replace(example, offered=example.target, outcome="accepted") if number % 2 else example
        for number, example in enumerate(offered_otherwise(60))
    ]
    examples[0] = replace(examples[0], target="long" * 500)  # what was offered is short enough to be judged
    little = replace(
        OPTIONS, sft=replace(OPTIONS.sft, epochs=1), stages=("sft", "preference"), minimum_pairs=40,
        preference=PreferenceOptions(learning_rate=2e-3),
    )  # fmt: skip
    verdict = night(registry, tiny_base, examples, options=little)
    assert verdict.figures["judged"] == {"wanted": 21, "unwanted": 21}
    stage = verdict.figures["preference"]
    assert (stage["method"], stage["steps"]) == ("kto", stage["planned"])
    assert verdict.adapter is not None
    page = (registry.get(verdict.adapter).folder / "record.md").read_text()
    assert "| preference | kto, 11 of 11 steps" in page
    record = registry.record(verdict.adapter)
    assert record["figures"]["dropped_training"] == {"too_long": 1}
    assert {"example-0"} <= {*record["training_examples"]} & {*record["row_hashes"]}


def test_the_same_night_is_not_tried_until_it_is_lucky(registry: Registry, tiny_base: Path) -> None:
    examples = written(HABITS, 30)
    little = replace(OPTIONS, sft=replace(OPTIONS.sft, epochs=1, learning_rate=1e-6))
    first = night(registry, tiny_base, examples, options=little)
    assert first.status == "refused"
    again = night(registry, tiny_base, examples, options=little)
    assert (again.status, again.code) == ("skipped", "nothing_new")
    assert len(registry.list()) == 1


def test_too_few_regions_are_said_and_nothing_is_made(registry: Registry, tiny_base: Path) -> None:
    verdict = night(registry, tiny_base, written(HABITS, 19))
    assert (verdict.status, verdict.code) == ("skipped", "not_enough_data")
    assert "needs 20 settled regions, 19 are usable" in verdict.reason
    assert not registry.folder.exists()


def test_a_dry_run_says_what_it_would_do_and_makes_nothing(registry: Registry, tiny_base: Path) -> None:
    verdict = night(registry, tiny_base, written(HABITS, 60), options=replace(OPTIONS, dry_run=True))
    assert verdict.status == "planned"
    assert "train on 42 examples" in verdict.reason
    assert not registry.folder.exists()


def test_a_cancelled_night_goes_on_from_its_checkpoint(registry: Registry, tiny_base: Path) -> None:
    seen: list[Progress] = []
    with pytest.raises(TrainingCancelledError):
        night(
            registry,
            tiny_base,
            written(OTHER_HABITS, 60),
            progress=seen.append,
            cancelled=lambda: sum(step.stage == "train" for step in seen) == 9,
        )
    assert registry.list() == []
    assert len(list((registry.folder / RUNS_FOLDER).glob(f"*/{CHECKPOINT_FILE}"))) == 1
    verdict = night(registry, tiny_base, written(OTHER_HABITS, 60))
    assert verdict.figures["resumed_at"] == 9
    assert verdict.figures["steps"] == verdict.figures["planned_steps"] == 66


def test_a_damaged_registry_stops_a_night_before_it_costs_anything(registry: Registry, tiny_base: Path) -> None:
    registry.folder.mkdir()
    registry.path.write_text("{")
    seen: list[Progress] = []
    with pytest.raises(RegistryError, match="is damaged"):
        night(registry, tiny_base, written(OTHER_HABITS, 60), progress=seen.append)
    assert seen == []


def test_progress_goes_through_all_stages_to_the_reason(registry: Registry, tiny_base: Path) -> None:
    seen: list[Progress] = []
    little = replace(OPTIONS, sft=replace(OPTIONS.sft, epochs=1))
    verdict = night(registry, tiny_base, written(HABITS, 30), options=little, progress=seen.append)
    assert list(dict.fromkeys(step.stage for step in seen)) == ["prepare", "measure", "train", "judge"]
    assert seen[-1].message == verdict.reason
