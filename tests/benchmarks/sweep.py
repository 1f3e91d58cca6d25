"""Rank, rate, layers and shape of the shipped adapter's training, each on the same number of tokens.

Every row is one training from nothing, measured on the same cursors of held-out packages; the first row is what
`inkling pretrain` does. INKLING_SWEEP_TOKENS sets how long each is, INKLING_SWEEP names some of the rows.
"""

import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from model.catalog import BASE
from model.positions import scheme_for
from model.shape import read_shape
from model.threads import set_threads
from model.tokens import Tokens
from model.training.batches import target_logits
from model.training.corpus import Corpus, load_corpus
from model.training.exercises import MIDDLE, PREFIX, Exercises, Shape
from model.training.network import load_network
from model.training.pretraining import PretrainOptions, pretrain
from model.training.rows import Row
from model.training.shipping import MEASURED, SCHEME, corpus_hash
from model.weights import resolve

_TOKENS = 150_000
_ROWS = 96  # of held-out packages, with up to three cursors each
_ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")

_USUAL = PretrainOptions(minutes=10_000.0, checkpoint_seconds=1e9)
VARIANTS: dict[str, tuple[PretrainOptions, Shape]] = {
    "usual": (_USUAL, Shape()),
    "rate 2e-3": (replace(_USUAL, learning_rate=2e-3), Shape()),
    "rate 3e-4": (replace(_USUAL, learning_rate=3e-4), Shape()),
    "rank 16": (replace(_USUAL, rank=16, alpha=32), Shape()),
    "rank 64": (replace(_USUAL, rank=64, alpha=128), Shape()),
    "attention alone": (replace(_USUAL, targets=_ATTENTION), Shape()),
    "4 rows a step": (replace(_USUAL, rows=4), Shape()),
    "6 tails a row": (replace(_USUAL, rows=1), Shape(tails_per_row=6)),
    "not distilled": (replace(_USUAL, distilled_share=0.0), Shape()),
}


def run() -> None:
    """Print a row per variant: losses of the middle and of the text before it, in nats per token."""
    budget = int(os.environ.get("INKLING_SWEEP_TOKENS", _TOKENS))
    named = [name.strip() for name in os.environ.get("INKLING_SWEEP", "").split(",") if name.strip()]
    folder = resolve(BASE.name)
    tokens, corpus = Tokens(folder), load_corpus()
    scheme = scheme_for(SCHEME, read_shape(folder).positions)
    measured = Exercises(corpus.held_out, tokens, scheme, MEASURED)
    held_out = [measured.draw(np.random.default_rng([9, number])) for number in range(_ROWS)]
    set_threads()
    print(f"{budget} tokens each; {_ROWS} held-out rows; nats per token with the standard error of the difference\n")
    print(
        "| variant | middle | against the first | text before | against the first | tokens/s |\n" + "| --- " * 6 + "|"
    )
    first = None
    for name in named or VARIANTS:
        options, shape = VARIANTS[name]
        exercises = Exercises(corpus.training, tokens, scheme, shape)
        found, speed = _trained(folder, exercises, corpus, replace(options, tokens=budget), held_out)
        first = found if first is None else first
        cells = [f"{part.mean():.3f} | {_against(part, base)}" for part, base in zip(found, first, strict=True)]
        print(f"| {name} | {' | '.join(cells)} | {speed:.0f} |", flush=True)


def _trained(
    folder: Path, exercises: Exercises, corpus: Corpus, options: PretrainOptions, held_out: Sequence[Row]
) -> tuple[Any, float]:
    """Losses (2, rows) of middles and of the text before them, and the tokens per second of the training."""
    with tempfile.TemporaryDirectory() as place:
        record = {"base": BASE.name, "data_hash": corpus_hash(corpus, exercises)}
        began = time.monotonic()
        figures = pretrain(load_network(folder), exercises, options=options, out=Path(place), record=record)
        seconds = time.monotonic() - began
        return _losses(load_network(folder, [Path(place)]), held_out), figures["tokens"] / seconds


def _losses(model: Any, rows: Sequence[Row]) -> Any:
    import torch

    found = []
    model.eval()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        for row in rows:
            logits, wanted, weights = target_logits(model, row)
            losses = torch.nn.functional.cross_entropy(logits, wanted, reduction="none")
            found.append(tuple(float(losses[weights == weight].mean()) for weight in (MIDDLE, PREFIX)))
    return np.array(found).T


def _against(found: Any, first: Any) -> str:
    change = found - first
    return f"{change.mean():+.3f} ± {change.std() / len(change) ** 0.5:.3f}"
