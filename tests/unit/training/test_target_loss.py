"""Loss lies on the target and nowhere else, whatever else is in the batch."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from model.evaluation.comparison import measure
from model.tokens import Tokens
from model.training.batches import batch_of, by_length, token_losses
from model.training.dataset import TrainingSequence
from model.training.serving import serving_format
from tests.unit.training.tiny_language import HABITS, written


@pytest.fixture(scope="module")
def model(tiny_base: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(tiny_base).eval()


def reference(model: Any, sequence: TrainingSequence) -> list[float]:
    """The losses of the target tokens from a plain forward pass over this sequence alone."""
    with torch.no_grad():
        logprobs = model(input_ids=torch.tensor([sequence.tokens])).logits[0].log_softmax(-1)
    return [-float(logprobs[at - 1, sequence.tokens[at]]) for at, wanted in enumerate(sequence.mask) if wanted]


def test_the_mask_is_true_on_the_target_and_the_end_of_its_line(tiny_base: Path) -> None:
    one = written(HABITS, 1)[0]
    sequence = serving_format(tiny_base)(one)
    targets = [token for token, wanted in zip(sequence.tokens, sequence.mask, strict=True) if wanted]
    context = sequence.tokens[: len(sequence.tokens) - len(targets)]
    ahead = Tokens(tiny_base).decode(targets)
    assert Tokens(tiny_base).decode(context) + ahead == (f"a.py\n{one.prefix}{one.target}\n").encode()
    assert ahead.endswith(b"red\n")
    assert one.prefix.encode().endswith(ahead.removesuffix(b"red\n"))


def test_padding_and_neighbours_change_no_loss(model: Any) -> None:
    short = TrainingSequence("short", (3, 4, 5, 6), (False, False, True, True))
    long = TrainingSequence("long", (7, 8, 9, 10, 11, 12, 13), (False, True, False, False, True, False, True))
    with torch.no_grad():
        losses, rows = token_losses(model, batch_of([short, long], "cpu"))
    assert losses[rows == 0].tolist() == pytest.approx(reference(model, short), abs=1e-4)
    assert losses[rows == 1].tolist() == pytest.approx(reference(model, long), abs=1e-4)


def test_the_loss_of_an_example_is_the_mean_over_its_own_targets(model: Any) -> None:
    sequences = [
        TrainingSequence(f"e{length}", tuple(range(1, length + 1)), (False, *[True] * (length - 1)))
        for length in (9, 3, 6, 4, 12)
    ]
    expected = [np.mean(reference(model, sequence)) for sequence in sequences]
    assert measure(model, sequences).losses.tolist() == pytest.approx(expected, abs=1e-4)


def test_an_exact_match_is_what_greedy_decoding_would_write(model: Any, tiny_base: Path) -> None:
    encode = serving_format(tiny_base)
    sequences = [encode(example) for example in written(HABITS, 6)]
    greedy = []
    for sequence in sequences:
        context = [token for token, wanted in zip(sequence.tokens, sequence.mask, strict=True) if not wanted]
        made = model.generate(
            torch.tensor([context]), max_new_tokens=sequence.targets, do_sample=False, eos_token_id=None, pad_token_id=0
        )
        greedy.append(tuple(made[0].tolist()) == sequence.tokens)
    assert measure(model, sequences).exact.tolist() == greedy


def test_groups_hold_every_sequence_once_within_their_limits() -> None:
    sequences = [TrainingSequence("e", (1,) * length, (False,) * length) for length in (5, 90, 7, 30, 6, 31)]
    groups = list(by_length(sequences, rows=3, tokens=80))
    assert sorted(index for group in groups for index in group) == list(range(6))
    assert all(len(group) <= 3 for group in groups)
    assert all(
        len(group) == 1 or len(group) * max(len(sequences[index].tokens) for index in group) <= 80 for group in groups
    )
