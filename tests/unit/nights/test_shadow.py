"""Measured in the shadow: what does worse on work that settled since it was made is told from what does not."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from feedback.examples import Example
from model.adapters import RUNS_FOLDER, Registry, Trial
from model.evaluation.shadow import shadow
from model.training.network import load_network
from model.training.serving import serving_format
from model.training.sft import SftOptions, train
from tests.unit.training.tiny_language import HABITS, HOURS, OTHER_HABITS, make_base, written

BASE, MADE = "tiny", 1000.0


@pytest.fixture(scope="module")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny-base")
    make_base(folder)
    return folder


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "adapters")


@pytest.fixture
def on_trial(registry: Registry, tiny_base: Path) -> Callable[..., Trial]:
    """An adapter of somebody with other habits than the base, on trial since it was made."""

    def make(at: float = MADE) -> Trial:
        encode = serving_format(tiny_base)
        sequences = [encode(example) for example in written(OTHER_HABITS, 40)]
        folder = registry.folder / RUNS_FOLDER / "one"
        options = SftOptions(rank=4, alpha=8, learning_rate=1e-2, epochs=4)
        tuned, _ = train(load_network(tiny_base), sequences, options=options, budget_seconds=600, run_folder=folder)
        tuned.save_pretrained(folder / "adapter")
        (folder / "adapter" / "record.json").write_text('{"later_examples": ["example-1005"]}')
        name = registry.add_candidate(folder / "adapter", base=BASE, name="one", at=at).name
        registry.introduce(name, 0.5)
        trial = registry.trial(BASE)
        assert trial is not None
        return trial

    return make


def since(habits: dict[str, str], count: int) -> list[Example]:
    return [
        replace(example, at=MADE + 1 + number * HOURS)
        for number, example in enumerate(written(habits, count, start=1000))
    ]


def test_new_work_decides_and_old_work_does_not_count(
    registry: Registry, tiny_base: Path, on_trial: Callable[..., Trial]
) -> None:
    trial = on_trial()
    old = [replace(example, at=MADE - 1) for example in written(OTHER_HABITS, 40)]
    assert shadow(trial, registry, tiny_base, old) is None
    worse = shadow(trial, registry, tiny_base, [*old, *since(HABITS, 20)])
    assert worse is not None
    assert (worse.status, worse.requests) == ("worse", (19, 19))  # one of them was measured on by its night
    assert "regions that settled since" in worse.reason
    well = shadow(trial, registry, tiny_base, since(OTHER_HABITS, 20))
    assert well is not None
    assert well.status == "waiting"


def test_an_adapter_that_a_clock_which_was_ahead_made_is_measured_on_all_that_its_night_did_not_see(
    registry: Registry, tiny_base: Path, on_trial: Callable[..., Trial]
) -> None:
    trial = on_trial(at=time.time() + 86_400)
    assert shadow(trial, registry, tiny_base, since(HABITS, 6)) is None
    verdict = shadow(trial, registry, tiny_base, since(HABITS, 20))
    assert verdict is not None
    assert verdict.requests == (19, 19)
