"""What the shipped adapter is worth: a network on cursors of packages that it was not trained on, arm by arm.

It measures one network; whoever calls compares two. What always holds: every arm sees the same cursors with the same
text before them, and the same tokens are counted; arms differ in documents, mask and suffix alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from model.completion import CompletionRequest
from model.tokens import Tokens
from model.training.batches import target_logits
from model.training.cursors import Cursor
from model.training.exercises import MIDDLE, PREFIX, Exercises
from model.training.network import autocast
from model.training.rows import Row


@dataclass(frozen=True)
class Arm:
    """How a cursor is read. `masked`: documents were encoded apart; else one plain forward pass over everything."""

    name: str
    documents: bool
    masked: bool
    suffix: bool


ARMS = tuple(
    Arm(f"{text}, {documents}, {mask}", documents == "documents", mask == "masked", text == "middle")
    for text in ("left to right", "middle")
    for documents in ("alone", "documents")
    for mask in ("plain", "masked")
)


@dataclass(frozen=True)
class Reading:
    """Means of an arm, nats per token: of what was to be written (its end not counted), and of the text before it.

    `exact` is the share of cursors whose first line greedy decoding, held to the healed piece, would have written.
    """

    written: float
    before: float
    exact: float


def cases(exercises: Exercises, count: int, seed: int) -> list[tuple[CompletionRequest, Cursor]]:
    """Cursors with at least one document, each with a line to be written."""
    found: list[tuple[CompletionRequest, Cursor]] = []
    number = 0
    while len(found) < count:
        request, cursors = exercises.draw_cursors(np.random.default_rng([seed, number]))
        number += 1
        if request.documents and request.prefix[cursors[0].start : cursors[0].stop].strip():
            found.append((request, cursors[0]))
    return found


def read(
    model: Any,
    exercises: Exercises,
    tokens: Tokens,
    chosen: Sequence[tuple[CompletionRequest, Cursor]],
    arms: Sequence[Arm] = ARMS,
    tick: Callable[[int], None] = lambda done: None,
) -> dict[str, Reading]:
    """Every arm on all of the cursors. `model` is from `model.training.network`; computed as `autocast` there says."""
    import torch

    model.eval()
    figures: dict[str, list[tuple[float, float, bool]]] = {arm.name: [] for arm in arms}
    with torch.inference_mode(), autocast():
        for done, (request, cursor) in enumerate(chosen, start=1):
            for arm in arms:
                asked = request if arm.documents else replace(request, documents=())
                row = exercises.lay_out(asked, [replace(cursor, suffix=arm.suffix)], masked=arm.masked)
                figures[arm.name].append(_one(model, row, tokens, request, cursor))
            tick(done)
    return {name: _means(found) for name, found in figures.items()}


def mask_gap(readings: Mapping[str, Reading], text: str = "left to right") -> dict[str, float]:
    """What documents gain without and under the mask, and the share of it that the mask loses.

    Counted over all tokens of the tail that carry loss in the arms of this `text`.
    """

    def loss(documents: str, mask: str) -> float:
        reading = readings[f"{text}, {documents}, {mask}"]
        return reading.written if text == "middle" else reading.before

    full = loss("alone", "plain") - loss("documents", "plain")
    masked = loss("alone", "masked") - loss("documents", "masked")
    return {"gain_plain": full, "gain_masked": masked, "lost": 1 - masked / full if full > 0 else float("nan")}


def _one(model: Any, row: Row, tokens: Tokens, request: CompletionRequest, cursor: Cursor) -> tuple[float, float, bool]:
    """Loss of what is to be written, of the text before, and whether the first line would have been written."""
    import torch

    logits, wanted, weights = target_logits(model, row)
    losses = torch.nn.functional.cross_entropy(logits, wanted, reduction="none")
    texts = torch.tensor([token not in tokens.special for token in wanted.tolist()])
    ahead = (weights == MIDDLE) & texts
    before = (weights == PREFIX) & texts
    target = request.prefix[cursor.start : cursor.stop].encode()
    ids = wanted[ahead].tolist()
    piece = tokens.decode(ids).removesuffix(target)
    first = target.split(b"\n", 1)[0] or target
    exact = _would_write(logits[ahead], ids, tokens, piece, len(piece) + len(first))
    earlier = float(losses[before].mean()) if bool(before.any()) else float("nan")
    return float(losses[ahead].mean()), earlier, exact


def _would_write(logits: Any, ids: Sequence[int], tokens: Tokens, piece: bytes, length: int) -> bool:
    """Whether greedy decoding, held to `piece`, writes the tokens of the first `length` bytes."""
    written = 0
    for place, token in enumerate(ids):
        if written >= length:
            break
        rest = piece[written:]
        if rest:
            allowed = tokens.continuing(rest)
            best = int(allowed[int(logits[place][allowed].argmax())])
        else:
            best = int(logits[place].argmax())
        if best != token:
            return False
        written += len(tokens.decode([token]))
    return True


def _means(found: Sequence[tuple[float, float, bool]]) -> Reading:
    written, before, exact = np.array(found, dtype=np.float64).T
    return Reading(float(written.mean()), float(np.nanmean(before)), float(exact.mean()))
