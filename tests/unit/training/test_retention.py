"""What the base is sure of stays what it is while an adapter learns something else."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from model.training.batches import divergence, target_logits
from model.training.dataset import TrainingSequence, passes, shuffled_batches, silent
from model.training.network import load_network
from model.training.retention import Retention, around, divergence_from
from model.training.rows import Row
from model.training.serving import serving_format
from model.training.sft import SftOptions, train, with_fresh_adapter
from tests.unit.training.tiny_language import HABITS, OTHER_HABITS, written

FAST = SftOptions(rank=4, alpha=8, learning_rate=1e-2, epochs=4, batch=4, retention=0.0)


@pytest.fixture
def sequences(tiny_base: Path) -> list[TrainingSequence]:
    """Of somebody with other habits, below lines as the base knows them."""
    encode = serving_format(tiny_base)
    known = "".join(f"{letter}={colour}\n" for letter, colour in HABITS.items())
    examples = written(OTHER_HABITS, 24)
    return [encode(replace(example, prefix=known + example.prefix)) for example in examples]


def moved_away(tiny_base: Path) -> Any:
    """The base with an adapter that says something else."""
    model = with_fresh_adapter(load_network(tiny_base), FAST)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    return model


def test_only_tokens_of_the_tail_are_held_that_are_no_target_and_that_something_predicts():
    row = Row(tuple(range(8)), tuple(range(8)), (0, 0, 1, 1, -1, -1, -1, -1), (0, 0, 0, 0, 0, 0, 0, 1.0))
    assert around(row) == [5, 6]


def test_with_all_tokens_known_the_divergence_is_the_whole_one_with_fewer_it_is_less():
    draw = torch.Generator().manual_seed(0)
    teacher, student = torch.randn(5, 20, generator=draw), torch.randn(5, 20, generator=draw)
    whole = divergence(teacher, student)
    for count in (20, 4):
        best = torch.log_softmax(teacher, -1).topk(count, dim=-1)
        found = divergence_from(best.indices, best.values, student)
        assert (found >= 0).all()
        if count == 20:
            assert torch.allclose(found, whole, atol=1e-3)
        else:
            assert (found <= whole + 1e-6).all()


def test_an_adapter_that_changes_nothing_yet_diverges_nowhere(tiny_base: Path, sequences: list[TrainingSequence]):
    model = with_fresh_adapter(load_network(tiny_base), FAST)
    held = Retention(model, 1.0, 40, 1.0, "cpu")
    for sequence in sequences[:6]:
        with torch.no_grad():
            ((own, moved),) = next(held.losses([sequence]))
            logits, wanted, _ = target_logits(model, sequence.row)
        assert torch.allclose(own, torch.nn.functional.cross_entropy(logits, wanted, reduction="none"), atol=1e-4)
        assert float(moved) == pytest.approx(0.0, abs=1e-3)


def test_what_is_held_moves_less_and_what_is_to_be_learned_is_learned(
    tiny_base: Path, sequences: list[TrainingSequence], tmp_path: Path
):
    def moved(model: Any) -> float:
        held = Retention(model, 1.0, 40, 1.0, "cpu")
        with torch.no_grad():
            return sum(float(one) for pack in held.losses(sequences) for _, one in pack) / len(sequences)

    def trained(weight: float) -> tuple[float, float]:
        options = replace(FAST, retention=weight)
        model, done = train(
            load_network(tiny_base), sequences, options=options, budget_seconds=600.0, run_folder=tmp_path / str(weight)
        )
        return moved(model), done.losses[-1] - done.losses[0]

    free, free_learned = trained(0.0)
    bound, bound_learned = trained(1.0)
    assert bound < free / 2
    assert bound_learned < free_learned / 2 < 0


def test_holding_some_of_the_sequences_weighs_as_much_as_holding_all(
    tiny_base: Path, sequences: list[TrainingSequence]
):
    model = moved_away(tiny_base)

    def moved(share: float) -> list[float]:
        held = Retention(model, 1.0, 40, share, "cpu")
        with torch.no_grad():
            return [float(one) for pack in held.losses(sequences) for _, one in pack]

    everything, half = moved(1.0), moved(0.5)
    assert all(each == pytest.approx(2 * one) or each == 0 for one, each in zip(everything, half, strict=True))
    assert 0 < sum(each > 0 for each in half) < len(half)


def test_a_row_without_a_target_teaches_nothing_and_is_held_by_its_own_weight(
    tiny_base: Path, sequences: list[TrainingSequence]
):
    model = moved_away(tiny_base)
    quiet = [silent(sequence) for sequence in sequences[:6]]
    assert sum(sequence.targets for sequence in quiet) == 0

    def moved(weight: float) -> list[float]:
        held = Retention(model, 1.0, 40, 0.0, "cpu", silent=weight)
        with torch.no_grad():
            told = [each for pack in held.losses([*quiet, sequences[6]]) for each in pack]
        assert [len(own) for own, _ in told[:-1]] == [0] * 6
        assert float(told[-1][1]) == 0
        return [float(one) for _, one in told[:-1]]

    assert moved(3.0) == pytest.approx([3 * one for one in moved(1.0)])
    assert sum(moved(1.0)) > 0


def test_rows_without_a_target_wait_for_the_second_pass(sequences: list[TrainingSequence]):
    mixed = [silent(each) if number % 3 == 0 else each for number, each in enumerate(sequences[:12])]
    found = passes(mixed, 4, 3, seed=1)
    assert [len(step) for step in found] == [4, 4, *[4] * 6]
    assert sorted(number for step in found[:2] for number in step) == [1, 2, 4, 5, 7, 8, 10, 11]
    assert sorted(number for step in found[2:5] for number in step) == list(range(12))
    assert passes(sequences[:12], 4, 3, seed=1) == shuffled_batches(12, 4, 3, seed=1)


def test_what_is_read_without_a_target_is_forgotten_less(
    tiny_base: Path, sequences: list[TrainingSequence], tmp_path: Path
):
    """Lines as the base knows them, beside somebody's who has other habits."""
    encode = serving_format(tiny_base)
    known = "".join(f"{letter}={colour}\n" for letter, colour in HABITS.items())
    general = [silent(encode(replace(one, prefix=known + one.prefix))) for one in written(HABITS, 12)]
    own = [encode(one) for one in written(OTHER_HABITS, 24)]

    def moved(beside: list[TrainingSequence]) -> tuple[float, float]:
        options = replace(FAST, retention=1.0, general=4)
        model, done = train(
            load_network(tiny_base), [*own, *beside], options=options, budget_seconds=600.0,
            run_folder=tmp_path / str(len(beside)),
        )  # fmt: skip
        held = Retention(model, 1.0, 40, 1.0, "cpu")
        with torch.no_grad():
            return sum(float(one) for pack in held.losses(general) for _, one in pack), done.losses[-1] - done.losses[0]

    free, _ = moved([])
    bound, learned = moved(general[:6])
    assert bound < free / 2
    assert learned < 0
