"""Loss lies on the target and nowhere else."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from model.evaluation.comparison import measure
from model.tokens import Tokens
from model.training.batches import token_losses
from model.training.dataset import TrainingSequence
from model.training.network import load_network
from model.training.rows import Row
from model.training.serving import serving_format
from tests.unit.training.reference import masked_logits, plain_model
from tests.unit.training.tiny_language import HABITS, written


@pytest.fixture(scope="module")
def model(tiny_base: Path) -> Any:
    return load_network(tiny_base).eval()


@pytest.fixture(scope="module")
def plain(tiny_base: Path) -> Any:
    return plain_model(tiny_base)


def tail(name: str, tokens: range, targets: set[int]) -> TrainingSequence:
    weights = tuple(float(number in targets) for number in range(len(tokens)))
    return TrainingSequence(name, Row(tuple(tokens), tuple(range(len(tokens))), (-1,) * len(tokens), weights))


def expected(plain: Any, row: Row) -> list[float]:
    """The losses of the target tokens as transformers computes them."""
    logprobs = masked_logits(plain, row).log_softmax(-1)
    return [-float(logprobs[at - 1, row.tokens[at]]) for at, weight in enumerate(row.weights) if weight]


def test_targets_are_what_was_written_and_the_end_of_its_line(tiny_base: Path) -> None:
    one = written(HABITS, 1)[0]
    row = serving_format(tiny_base)(one).row
    targets = [token for token, weight in zip(row.tokens, row.weights, strict=True) if weight]
    context = row.tokens[: len(row) - len(targets)]
    ahead = Tokens(tiny_base).decode(targets)
    assert Tokens(tiny_base).decode(context) + ahead == f"project\na.py\n{one.prefix}{one.target}\n".encode()
    assert ahead.endswith(b"red\n")
    assert one.prefix.encode().endswith(ahead.removesuffix(b"red\n"))


def test_the_losses_are_those_of_transformers(model: Any, plain: Any) -> None:
    for one in (tail("short", range(3, 7), {2, 3}), tail("long", range(7, 14), {1, 4, 6})):
        with torch.no_grad():
            losses, weights = token_losses(model, one.row)
        assert losses.tolist() == pytest.approx(expected(plain, one.row), abs=1e-4)
        assert weights.tolist() == [1.0] * one.targets


def test_the_loss_of_an_example_is_the_mean_over_its_own_targets(model: Any, plain: Any) -> None:
    sequences = [tail(f"e{length}", range(1, length + 1), set(range(1, length))) for length in (9, 3, 6, 4, 12)]
    means = [np.mean(expected(plain, sequence.row)) for sequence in sequences]
    assert measure(model, sequences).losses.tolist() == pytest.approx(means, abs=1e-4)


def test_an_exact_match_is_what_greedy_decoding_would_write(model: Any, plain: Any, tiny_base: Path) -> None:
    encode = serving_format(tiny_base)
    sequences = [encode(example) for example in written(HABITS, 6)]
    greedy = []
    for sequence in sequences:
        row = sequence.row
        made = row.tokens[: len(row) - row.targets]
        for length in range(len(made) + 1, len(row) + 1):
            so_far = Row((*made, 0), row.positions[:length], row.blocks[:length], (0.0,) * length)
            made = (*made, int(masked_logits(plain, so_far)[-2].argmax()))
        greedy.append(made == row.tokens)
    assert any(greedy)
    assert measure(model, sequences).exact.tolist() == greedy
