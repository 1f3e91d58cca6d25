"""Padded batches, and the loss of a causal model on their targets. The one place where training and measuring meet.

What always holds: logits are computed only where a target token is predicted, so memory goes with the length of the
targets and not with the length of the context. `model` is any transformers causal LM, with or without a PEFT adapter.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from model.training.dataset import TrainingSequence

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Batch:
    """Sequences padded on the right. `tokens`, `attention`: int64, (rows, length); `mask`: bool, same shape."""

    tokens: "torch.Tensor"
    attention: "torch.Tensor"
    mask: "torch.Tensor"
    sequences: tuple[TrainingSequence, ...]

    @property
    def size(self) -> int:
        """Tokens that are computed, padding included."""
        return int(self.tokens.numel())


def batch_of(sequences: Sequence[TrainingSequence], device: str) -> Batch:
    """Pad to the longest. Padding follows the tokens, so with a causal mask nothing ever sees it."""
    import torch

    length = max(len(sequence.tokens) for sequence in sequences)
    tokens = torch.zeros((len(sequences), length), dtype=torch.int64)
    attention = torch.zeros_like(tokens)
    mask = torch.zeros((len(sequences), length), dtype=torch.bool)
    for row, sequence in enumerate(sequences):
        filled = len(sequence.tokens)
        tokens[row, :filled] = torch.tensor(sequence.tokens)
        attention[row, :filled] = 1
        mask[row, :filled] = torch.tensor(sequence.mask)
    return Batch(tokens.to(device), attention.to(device), mask.to(device), tuple(sequences))


def by_length(sequences: Sequence[TrainingSequence], rows: int, tokens: int) -> Iterator[list[int]]:
    """Indexes grouped by similar length: at most `rows` per group and about `tokens` tokens, padding included."""
    group: list[int] = []
    for index in sorted(range(len(sequences)), key=lambda number: len(sequences[number].tokens)):
        if group and (len(group) == rows or (len(group) + 1) * len(sequences[index].tokens) > tokens):
            yield group
            group = []
        group.append(index)
    if group:
        yield group


def target_logits(model: Any, batch: Batch) -> tuple["torch.Tensor", "torch.Tensor", "torch.Tensor"]:
    """Logits (targets, vocabulary) in float32, the target ids (targets,) and the row each belongs to (targets,)."""
    causal = model.get_base_model() if _adapted(model) else model
    hidden = causal.get_decoder()(input_ids=batch.tokens, attention_mask=batch.attention, use_cache=False)[0]
    wanted = batch.mask[:, 1:]
    logits = causal.get_output_embeddings()(hidden[:, :-1][wanted]).float()
    return logits, batch.tokens[:, 1:][wanted], wanted.nonzero()[:, 0]


def token_losses(model: Any, batch: Batch) -> tuple["torch.Tensor", "torch.Tensor"]:
    """Negative log-likelihood of each target token in nats, float32 (targets,), and its row (targets,)."""
    import torch

    logits, wanted, rows = target_logits(model, batch)
    return torch.nn.functional.cross_entropy(logits, wanted, reduction="none"), rows


def _adapted(model: Any) -> bool:
    from peft import PeftModel

    return isinstance(model, PeftModel)
