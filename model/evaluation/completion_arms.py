"""The arms of the completion measurement, and the loss of a middle in each: nats per token by teacher forcing.

It computes losses and nothing else; texts are written in `completion_writing`. What always holds: all arms of a case
read the same text before the cursor, and the same tokens of the same middle are counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.evaluation.completion_cases import CompletionCase
from model.positions import PositionScheme
from model.prompt import Layout, row_of
from model.training.batches import token_losses
from model.training.network import autocast
from model.training.rows import Row, plain, row

Losses = NDArray[np.float64]


@dataclass(frozen=True)
class Arm:
    """`masked`: documents were encoded apart, as they are served; else one plain pass in which each token sees all.

    `suffix`: what follows the cursor is read. `written`: texts are made, too. `what` for people.
    """

    name: str
    adapter: bool
    documents: bool
    suffix: bool
    masked: bool
    written: bool
    what: str


ARMS = (
    Arm("base", False, False, False, False, True, "base, prefix alone"),
    Arm("base_documents", False, True, False, False, True, "base, documents and prefix, full attention"),
    Arm("base_documents_masked", False, True, False, True, False, "base, documents and prefix, document mask"),
    Arm("adapter_left_to_right", True, False, False, True, True, "adapter, prefix alone"),
    Arm("adapter_left_to_right_documents", True, True, False, True, True, "adapter, documents and prefix"),
    Arm("adapter", True, False, True, True, True, "adapter, suffix and prefix"),
    Arm("adapter_documents", True, True, True, True, True, "adapter, documents, suffix and prefix: as served"),
    Arm("adapter_documents_plain", True, True, True, False, False, "the same under full attention"),
)
BASE, ADAPTER = "base_documents", "adapter_documents"  # the arms that the summary compares


def losses(model: Any, layout: Layout, scheme: PositionScheme, case: CompletionCase, arm: Arm) -> Losses:
    """Nats of each token of the middle, float64 (tokens,). `model` is from `model.training.network`.

    Computed in bfloat16, where the CPU does that itself. Neither the token that ends a middle nor one that only spells
    what stands before the cursor is counted, so that arms are comparable.
    """
    import torch

    with torch.inference_mode(), autocast():
        found, _ = token_losses(model, laid_out(layout, scheme, case, arm))
    return np.asarray(found.double().numpy(), dtype=np.float64)


def laid_out(layout: Layout, scheme: PositionScheme, case: CompletionCase, arm: Arm) -> Row:
    """The row of a case. Loss lies on the tokens that spell a part of the middle."""
    tokens = layout.tokens
    prompt = layout.build(case.request(documents=arm.documents, suffix=arm.suffix))
    ahead = tokens.encode(prompt.piece.decode() + case.middle)
    found = row_of(prompt, ahead, scheme)
    marks = _spell(len(prompt.piece), [len(tokens.decode([token])) for token in ahead])
    weights = [0.0] * (len(found.tokens) - len(ahead)) + [float(mark) for mark in marks]
    made = row(found, weights)
    return made if arm.masked else plain(made)


def _spell(piece: int, lengths: Sequence[int]) -> list[bool]:
    """Whether each token, given by its bytes, reaches beyond the first `piece` bytes."""
    return [end > piece for end in accumulate(lengths)]
