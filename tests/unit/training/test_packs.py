"""Many rows at once give what one after the other gives; what was read of a corpus comes back from one file."""

import lzma
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from model.evaluation.comparison import measure
from model.positions import PositionScheme, Sequential, scheme_for
from model.tokens import Tokens
from model.training.batches import divergence, target_logits
from model.training.corpus import Corpus, Package
from model.training.corpus_file import UnreadableCorpusError, read_corpus, write_corpus
from model.training.dataset import TrainingSequence
from model.training.exercises import Exercises
from model.training.network import load_network
from model.training.packed import PackedSteps
from model.training.packs import draw_lesson, draw_rows, packed
from model.training.pretraining import PretrainOptions, pretrain
from model.training.rows import Row, plain
from model.training.sft import SftOptions, with_fresh_adapter
from tests.unit.training.test_pretraining import FILES, RECORD, SHAPE

SIZE, SEED, SHARE = 2048, 3, 0.5


@pytest.fixture(params=["sequential", "parallel"])
def exercises(tiny_base: Path, request: pytest.FixtureRequest) -> Exercises:
    return Exercises(FILES, Tokens(tiny_base), scheme_for(request.param, 512), SHAPE)


def drawn(exercises: Exercises, count: int) -> list[Row]:
    return [exercises.draw(np.random.default_rng([SEED, 0, number])) for number in range(count)]


def adapted(folder: Path) -> Any:
    """A network with a LoRA that does change something."""
    torch.manual_seed(0)
    model = with_fresh_adapter(load_network(folder), SftOptions(rank=4, alpha=8))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    return model


def packed_steps(
    model: Any,
    exercises: Exercises,
    *,
    taught_share: float = SHARE,
    checkpointing: bool = False,
    stride: int = 1,
    device: str = "cpu",
) -> PackedSteps:
    return PackedSteps(
        model,
        exercises,
        size=SIZE,
        seed=SEED,
        taught_share=taught_share,
        taught_weight=0.5,
        device=device,
        checkpointing=checkpointing,
        first=0,
        stride=stride,
    )


def by_rows(model: Any, rows: Sequence[Row], taught: Sequence[int], weight: float) -> float:
    """The loss and the gradients of these rows, one after the other."""
    whole = sum(sum(row.weights) for row in rows)
    total = 0.0
    for number, row in enumerate(rows):
        logits, wanted, weights = target_logits(model, row)
        losses = torch.nn.functional.cross_entropy(logits, wanted, reduction="none")
        if number in taught:
            with torch.no_grad():
                teacher = target_logits(model, plain(row))[0]
            losses = losses + weight * divergence(teacher, logits)
        loss = (losses * weights).sum() / whole
        loss.backward()
        total += loss.item()
    return total


def test_a_lesson_teaches_what_its_rows_teach_one_by_one(exercises: Exercises, tiny_base: Path) -> None:
    lesson = draw_lesson(exercises, SIZE, (SEED, 0), SHARE)
    rows, taught = draw_rows(exercises, SIZE, (SEED, 0), SHARE)
    assert rows == drawn(exercises, len(rows))
    assert lesson.pack.count == sum(len(row) for row in rows)
    assert taught
    assert lesson.computed == lesson.pack.count + sum(len(rows[number]) for number in taught)

    model = adapted(tiny_base)
    steps = packed_steps(model, exercises, checkpointing=True, stride=0)
    steps.step()  # the same lesson twice: a step changes nothing but gradients
    summed, weights, computed, take_back = steps.step()
    take_back(1 / weights)
    found = {name: one.grad.clone() for name, one in model.named_parameters() if one.grad is not None}
    model.zero_grad(set_to_none=True)
    assert computed == lesson.computed
    assert float(summed) / weights == pytest.approx(by_rows(model, rows, taught, 0.5), rel=1e-4)
    trained = {name: one.grad for name, one in model.named_parameters() if one.grad is not None}
    assert trained.keys() == found.keys()
    for name, gradient in trained.items():
        torch.testing.assert_close(found[name], gradient, rtol=2e-3, atol=1e-5 * float(gradient.norm()) + 1e-7)


@pytest.mark.gpu
def test_a_gpu_takes_the_steps_of_a_cpu(tiny_base: Path) -> None:
    exercises = Exercises(FILES, Tokens(tiny_base), Sequential(), SHAPE)
    gradients, losses = [], []
    for device in ("cpu", "cuda"):
        model = adapted(tiny_base).to(device, torch.bfloat16 if device == "cuda" else torch.float32)
        summed, weights, _, take_back = packed_steps(model, exercises, device=device).step()
        take_back(1 / weights)
        losses.append(float(summed) / weights)
        found = [one.grad for one in model.parameters() if one.grad is not None]
        gradients.append(torch.cat([one.float().cpu().flatten() for one in found]))
    assert losses[1] == pytest.approx(losses[0], rel=1e-2)
    assert torch.nn.functional.cosine_similarity(*gradients, dim=0) > 0.99


def test_a_layer_without_a_lora_stays_as_it_is(exercises: Exercises, tiny_base: Path) -> None:
    model = with_fresh_adapter(load_network(tiny_base), SftOptions(rank=4, alpha=8, targets=("q_proj", "v_proj")))
    steps = packed_steps(model, exercises, taught_share=0.0)
    _, weights, _, take_back = steps.step()
    take_back(1 / weights)
    got = {name for name, one in model.named_parameters() if one.grad is not None}
    assert got == {name for name, _ in model.named_parameters() if "lora_" in name}


def test_the_processes_of_a_training_take_different_lessons(exercises: Exercises, tiny_base: Path) -> None:
    assert draw_lesson(exercises, SIZE, (SEED, 1), SHARE).pack.tokens.tolist() == (
        draw_lesson(exercises, SIZE, (SEED, 1), SHARE).pack.tokens.tolist()
    )
    assert draw_lesson(exercises, SIZE, (SEED, 1), SHARE).pack.tokens.tolist() != (
        draw_lesson(exercises, SIZE, (SEED, 2), SHARE).pack.tokens.tolist()
    )


def test_a_row_that_does_not_fit_is_said(exercises: Exercises) -> None:
    rows = drawn(exercises, 1)
    with pytest.raises(ValueError, match="do not fit"):
        packed(rows, len(rows[0]) - 1)
    with pytest.raises(ValueError, match="does not fit into a pack of 16"):
        draw_lesson(exercises, 16, (SEED, 0), SHARE)


def test_an_adapter_is_trained_on_packs_and_a_killed_training_goes_on(tiny_base: Path, tmp_path: Path) -> None:
    scheme: PositionScheme = Sequential()
    exercises = Exercises(FILES, Tokens(tiny_base), scheme, SHAPE)
    options = PretrainOptions(
        minutes=60, tokens=60_000, pack=SIZE, rank=4, alpha=8, learning_rate=1e-2, checkpoint_seconds=0.0
    )

    def run(out: Path, stop: int = 0) -> dict[str, Any]:
        def watch(pace: Any) -> None:
            if pace.step == stop:
                raise KeyboardInterrupt

        return pretrain(load_network(tiny_base), exercises, options=options, out=out, record=RECORD, progress=watch)

    whole = run(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", stop=4)
    cut = run(tmp_path / "cut")
    assert (cut["steps"], cut["tokens"]) == (whole["steps"], whole["tokens"])
    assert cut["training_loss"]["last"] == pytest.approx(whole["training_loss"]["last"], abs=1e-3)
    assert cut["training_loss"]["last"] < cut["training_loss"]["first"]
    sequences = [TrainingSequence(str(number), row) for number, row in enumerate(drawn(exercises, 12))]
    before = measure(load_network(tiny_base), sequences).losses.mean()
    after = measure(load_network(tiny_base, [tmp_path / "cut"]), sequences).losses.mean()
    assert after < before - 0.3


def test_a_corpus_in_one_file_draws_the_same_exercises(exercises: Exercises, tiny_base: Path, tmp_path: Path) -> None:
    packages = (Package("some", "1.0", "MIT", "0" * 64), Package("other", "2.0", "MIT", "1" * 64, held_out=True))
    corpus = Corpus(packages, FILES, {"other": FILES["some"]}, {"secret": 1})
    write_corpus(corpus, tmp_path / "corpus.xz")
    again = read_corpus(tmp_path / "corpus.xz")
    assert (again.packages, again.dropped) == (corpus.packages, corpus.dropped)
    assert again.held_out.keys() == {"other"}
    drawn_again = Exercises(again.training, Tokens(tiny_base), Sequential(), SHAPE)
    at_first = Exercises(FILES, Tokens(tiny_base), Sequential(), SHAPE)
    assert drawn(drawn_again, 8) == drawn(at_first, 8)


@pytest.mark.parametrize("damage", ["cut", "other", "none"])
def test_a_damaged_file_is_refused(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "corpus.xz"
    write_corpus(Corpus((), FILES, {}, {}), path)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-40])
    elif damage == "other":
        path.write_bytes(lzma.compress(b'{"form": 99}\n'))
    else:
        path.unlink()
    with pytest.raises(UnreadableCorpusError, match="--save-corpus"):
        read_corpus(path)
