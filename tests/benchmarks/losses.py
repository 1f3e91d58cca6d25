"""Losses of lines, and how far they fell: what `learning` and `memory` both measure."""

from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.completion import CompletionRequest
from model.positions import PositionScheme
from model.prompt import Layout, training_prompt
from model.training.batches import in_packs
from model.training.dataset import TrainingSequence
from model.training.rows import row

_DRAWS = 4000


def line(id: str, layout: Layout, request: CompletionRequest, truth: str, scheme: PositionScheme) -> TrainingSequence:
    """A line as it is measured. What ends a middle is not asked for, as more lines may follow."""
    found = row(training_prompt(layout, request, truth, scheme))
    return TrainingSequence(id, replace(found, weights=(*found.weights[:-1], 0.0)))


def losses_of(model: Any, sequences: Sequence[TrainingSequence]) -> NDArray[np.float64]:
    """Nats and tokens of each line, float64 (2, lines)."""
    import torch

    model.eval()
    with torch.inference_mode():
        found = [
            torch.nn.functional.cross_entropy(logits, wanted, reduction="none")
            for told in in_packs(model, [sequence.row for sequence in sequences])
            for logits, wanted, _ in told
        ]
    return np.array([[float(losses.sum()), float(len(losses))] for losses in found]).T


def mean(losses: NDArray[np.float64]) -> float:
    """Nats per token."""
    return float(losses[0].sum() / losses[1].sum())


def fell(before: NDArray[np.float64], after: NDArray[np.float64], groups: Sequence[Hashable]) -> str:
    """By how many nats per token, with a 95% interval that draws groups: lines of one file are alike."""
    by_group: dict[Hashable, list[int]] = {}
    for line, group in enumerate(groups):
        by_group.setdefault(group, []).append(line)
    nats = np.array([(before[0, lines] - after[0, lines]).sum() for lines in by_group.values()])
    tokens = np.array([before[1, lines].sum() for lines in by_group.values()])
    draw = np.random.default_rng(0).integers(0, len(nats), (_DRAWS, len(nats)))
    low, high = np.percentile(nats[draw].sum(1) / tokens[draw].sum(1), [2.5, 97.5])
    return f"{nats.sum() / tokens.sum():.3f}, {low:.3f} to {high:.3f}"
