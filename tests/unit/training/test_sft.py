"""Training one adapter: it learns, it keeps to its plan, and a kill costs no step."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from model.evaluation.comparison import distance, measure
from model.training.batches import robust
from model.training.checkpoints import CHECKPOINT_FILE
from model.training.dataset import TrainingSequence
from model.training.network import load_network
from model.training.serving import serving_format
from model.training.sft import (
    SftOptions,
    Step,
    Trained,
    TrainingCancelledError,
    TrainingDivergedError,
    peak_rate,
    ratio_of_up,
    train,
)
from tests.unit.training.tiny_language import OTHER_HABITS, written

FAST = SftOptions(rank=4, alpha=8, learning_rate=1e-2, epochs=3, batch=4)


@pytest.fixture
def sequences(tiny_base: Path) -> list[TrainingSequence]:
    encode = serving_format(tiny_base)
    return [encode(example) for example in written(OTHER_HABITS, 24)]


@pytest.fixture
def load(tiny_base: Path) -> Callable[[], Any]:
    return lambda: load_network(tiny_base)


def trained(
    load: Callable[[], Any], sequences: list[TrainingSequence], folder: Path, **more: Any
) -> tuple[Any, Trained]:
    options = {"options": FAST, "budget_seconds": 600.0, **more}
    return train(load(), sequences, run_folder=folder, **options)


def test_a_fresh_adapter_changes_nothing_and_training_does(
    load: Callable[[], Any], sequences: list[TrainingSequence], tmp_path: Path
) -> None:
    before = measure(load(), sequences).losses.mean()
    model, done = trained(load, sequences, tmp_path)
    assert measure(model, sequences).losses.mean() < before - 0.5
    assert (done.steps, done.planned, len(done.losses)) == (18, 18, 18)
    assert done.losses[-1] < done.losses[0]
    assert distance(model, sequences) > 0.1
    with model.disable_adapter():
        assert measure(model, sequences).losses.mean() == pytest.approx(before)


def test_the_same_seed_trains_the_same_adapter(
    load: Callable[[], Any], sequences: list[TrainingSequence], tmp_path: Path
) -> None:
    _, one = trained(load, sequences, tmp_path / "one")
    _, two = trained(load, sequences, tmp_path / "two")
    assert one.losses == pytest.approx(two.losses, abs=1e-5)


def test_a_budget_that_is_spent_ends_the_training_after_its_first_steps(
    load: Callable[[], Any], sequences: list[TrainingSequence], tmp_path: Path
) -> None:
    _, done = trained(load, sequences, tmp_path, budget_seconds=0.0)
    assert done.steps == done.planned == 3


def test_a_machine_that_was_busy_at_first_does_not_shorten_the_whole_training(
    load: Callable[[], Any], sequences: list[TrainingSequence], tmp_path: Path
) -> None:
    seconds, planned = [0.0], []

    def step(done: Step) -> None:
        planned.append(done.planned)
        seconds[0] += 10.0 if done.done <= 3 else 1.0

    _, done = trained(load, sequences, tmp_path, budget_seconds=60.0, progress=step, clock=lambda: seconds[0])
    assert planned[2] == 6
    assert done.steps == done.planned == 18


def test_a_cancelled_training_goes_on_where_it_was(
    load: Callable[[], Any], sequences: list[TrainingSequence], tmp_path: Path
) -> None:
    steps: list[Step] = []
    with pytest.raises(TrainingCancelledError, match="5 of 18"):
        trained(load, sequences, tmp_path / "cut", progress=steps.append, cancelled=lambda: len(steps) == 5)
    model, cut = trained(load, sequences, tmp_path / "cut")
    whole_model, whole = trained(load, sequences, tmp_path / "whole")
    assert (cut.resumed_at, cut.steps) == (5, whole.steps)
    assert cut.losses == pytest.approx(whole.losses, abs=1e-4)
    assert measure(model, sequences).losses == pytest.approx(measure(whole_model, sequences).losses, abs=1e-3)


def test_a_checkpoint_of_other_data_is_not_gone_on_with(
    load: Callable[[], Any], sequences: list[TrainingSequence], tmp_path: Path
) -> None:
    trained(load, sequences, tmp_path)
    _, other = trained(load, sequences[1:], tmp_path)
    assert other.resumed_at == 0


def test_the_estimate_falls_to_zero(load: Callable[[], Any], sequences: list[TrainingSequence], tmp_path: Path) -> None:
    steps: list[Step] = []
    trained(load, sequences, tmp_path, progress=steps.append)
    assert [step.done for step in steps] == list(range(1, 19))
    assert steps[0].seconds_left > 0
    assert steps[-1].seconds_left == 0


def test_a_loss_that_is_no_number_stops_the_training(
    load: Callable[[], Any], sequences: list[TrainingSequence], tmp_path: Path
) -> None:
    def broken() -> Any:
        model = load()
        with torch.no_grad():
            model.get_input_embeddings().weight.fill_(float("nan"))
        return model

    with pytest.raises(TrainingDivergedError, match="learning rate"):
        trained(broken, sequences, tmp_path)


def test_a_base_without_the_known_layers_is_refused(sequences: list[TrainingSequence], tmp_path: Path) -> None:
    from inkling.errors import UserError

    with pytest.raises(UserError, match="Llama-shaped"):
        trained(lambda: torch.nn.Sequential(torch.nn.Linear(2, 2)), sequences, tmp_path)


CHILD = """
import dataclasses, sys
from pathlib import Path
from model.training.network import load_network
from model.training.serving import serving_format
from model.training.sft import SftOptions, train
from tests.unit.training.tiny_language import OTHER_HABITS, written
base, run = map(Path, sys.argv[1:])
options = SftOptions(rank=4, alpha=8, learning_rate=1e-2, epochs=3, batch=4, checkpoint_seconds=0.0)
train(load_network(base), [serving_format(base)(one) for one in written(OTHER_HABITS, 24)],
      options=options, budget_seconds=600.0, run_folder=run, progress=lambda step: print(step.done, flush=True))
"""


def test_a_killed_training_reaches_the_step_count_that_was_planned(
    tiny_base: Path, load: Callable[[], Any], sequences: list[TrainingSequence], tmp_path: Path, repository: Path
) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tiny_base), str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{repository}{os.pathsep}{repository / 'server/launch'}"},
    )
    assert child.stdout is not None
    for line in child.stdout:  # the checkpoint of the step before this line is on disk
        if int(line) == 7:
            child.send_signal(signal.SIGKILL)
            break
    child.stdout.close()
    assert child.wait() == -signal.SIGKILL
    assert (tmp_path / CHECKPOINT_FILE).exists()
    options = SftOptions(rank=4, alpha=8, learning_rate=1e-2, epochs=3, batch=4, checkpoint_seconds=0.0)
    _, done = trained(load, sequences, tmp_path, options=options)
    assert done.resumed_at >= 6
    assert done.steps == done.planned == 18


def test_fewer_steps_take_larger_ones() -> None:
    options = SftOptions(learning_rate=2e-4)
    assert [peak_rate(steps, 400, options) for steps in (400, 100, 1)] == pytest.approx([2e-4, 4e-4, 6e-4])


def test_with_less_than_a_pass_what_begins_at_zero_takes_larger_steps() -> None:
    options = SftOptions(up_ratio=2.0)
    assert [ratio_of_up(steps, 60, options) for steps in (240, 60, 40, 30, 5, 0)] == [1.0, 1.0, 1.5, 2.0, 2.0, 2.0]


def test_a_part_of_a_pass_moves_what_begins_at_zero_further(
    load: Callable[[], Any], sequences: list[TrainingSequence], tmp_path: Path
) -> None:
    far = {}
    for ratio in (1.0, 2.0):
        seconds = [0.0]

        def step(_: Step, seconds: list[float] = seconds) -> None:
            seconds[0] += 4.0

        options = SftOptions(rank=4, alpha=8, learning_rate=1e-5, epochs=3, batch=1, retention=0.0, up_ratio=ratio)
        model, done = trained(
            load, sequences, tmp_path / str(ratio), options=options, budget_seconds=44.0, progress=step,
            clock=lambda seconds=seconds: seconds[0],
        )  # fmt: skip
        assert 3 < done.planned <= len(sequences) // 2
        far[ratio] = sum(float(each.detach().norm()) for name, each in model.named_parameters() if "lora_B" in name)
    assert far[2.0] > 1.3 * far[1.0]


def test_a_surprise_teaches_less_than_a_near_miss_and_without_an_exponent_it_is_the_cross_entropy() -> None:
    nats = torch.tensor([0.1, 1.0, 6.0], requires_grad=True)
    robust(nats, 0.2).sum().backward()
    assert nats.grad is not None
    assert nats.grad.tolist() == pytest.approx((-0.2 * nats.detach()).exp().tolist())
    assert robust(nats, 0.0) is nats
