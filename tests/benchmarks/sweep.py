"""Rank, rate, layers and shape of the shipped adapter's training, each on the same number of tokens.

Every row is one training from nothing, measured on the same cursors of held-out packages; the first row is what
`inkling pretrain` does. INKLING_SWEEP_TOKENS sets how long each is, INKLING_SWEEP names some of the rows.
INKLING_ADAPTERS names folders (apart by `:`) that are measured in the same way instead, in minutes. On a GPU, where
there is one; INKLING_CORPUS names what `inkling pretrain --save-corpus` wrote, for one without a network.
"""

import os
import sys
import tempfile
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
from model.training.corpus import Corpus, listed, load_corpus
from model.training.corpus_file import read_corpus
from model.training.exercises import END, MIDDLE, PREFIX, Exercises, Shape
from model.training.network import autocast, load_network
from model.training.pretraining import PretrainOptions, pretrain
from model.training.rows import Row
from model.training.shipping import MEASURED, SCHEME, corpus_hash
from model.training.workers import Workers
from model.weights import resolve

_TOKENS = 150_000
_ROWS = 96  # of held-out packages, with up to three cursors each
_COLUMNS = ("middle", "text before", "end of a middle", "ends found")
_ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")

_USUAL = PretrainOptions(minutes=10_000.0, checkpoint_seconds=1e9)
VARIANTS: dict[str, tuple[PretrainOptions, Shape]] = {
    "usual": (_USUAL, Shape()),
    "rate 4e-3": (replace(_USUAL, learning_rate=4e-3), Shape()),
    "rate 2e-3": (replace(_USUAL, learning_rate=2e-3), Shape()),
    "rate 1e-3": (replace(_USUAL, learning_rate=1e-3), Shape()),
    "rate 3e-4": (replace(_USUAL, learning_rate=3e-4), Shape()),
    "rank 16": (replace(_USUAL, rank=16, alpha=32), Shape()),
    "rank 64": (replace(_USUAL, rank=64, alpha=128), Shape()),
    "attention alone": (replace(_USUAL, targets=_ATTENTION), Shape()),
    "4 rows a step": (replace(_USUAL, rows=4), Shape()),
    "6 tails a row": (replace(_USUAL, rows=1), Shape(tails_per_row=6)),
    "not distilled": (replace(_USUAL, distilled_share=0.0), Shape()),
}


def run() -> None:
    """Print a row per variant: losses of the middle, of the text before it and of its end, in nats per token, and the
    share of ends that greedy decoding finds.
    """
    budget = int(os.environ.get("INKLING_SWEEP_TOKENS", _TOKENS))
    named = [name.strip() for name in os.environ.get("INKLING_SWEEP", "").split(",") if name.strip()]
    adapters = [Path(name) for name in os.environ.get("INKLING_ADAPTERS", "").split(os.pathsep) if name]
    folder = resolve(BASE.name)
    tokens = Tokens(folder)
    if kept := os.environ.get("INKLING_CORPUS"):
        corpus = read_corpus(Path(kept))
    else:
        corpus = load_corpus(tuple(package for package in listed() if package.held_out) if adapters else None)
    scheme = scheme_for(SCHEME, read_shape(folder).positions)
    measured = Exercises(corpus.held_out, tokens, scheme, MEASURED)
    held_out = [measured.draw(np.random.default_rng([9, number])) for number in range(_ROWS)]
    set_threads()
    workers = Workers()
    print(f"{_ROWS} held-out rows; behind each figure the difference from the first row and its standard error\n")
    print(f"| variant | {' | '.join(_COLUMNS)} |\n{'| --- ' * (1 + len(_COLUMNS))}|")
    first = None

    def show(name: str, found: Any) -> None:
        nonlocal first
        first = found if first is None else first
        cells = [f"{np.nanmean(part):.3f} ({_against(part, base)})" for part, base in zip(found, first, strict=True)]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)

    for adapter in adapters:
        show(adapter.name, _measured(folder, adapter, held_out, workers.device))
    for name in [] if adapters else named or VARIANTS:
        options, shape = VARIANTS[name]
        exercises = Exercises(corpus.training, tokens, scheme, shape)
        options = replace(options, tokens=budget)
        show(f"{name}, {budget} tokens", _trained(folder, exercises, corpus, options, held_out, workers))


def _trained(
    folder: Path,
    exercises: Exercises,
    corpus: Corpus,
    options: PretrainOptions,
    held_out: Sequence[Row],
    workers: Workers,
) -> Any:
    """The figures of a training from nothing."""
    with tempfile.TemporaryDirectory() as place:
        record = {"base": BASE.name, "data_hash": corpus_hash(corpus)}
        base = load_network(folder, device=workers.device)
        done = pretrain(base, exercises, options=options, out=Path(place), record=record, workers=workers)
        print(f"{done['tokens'] / done['seconds']:.0f} tokens/s", file=sys.stderr, flush=True)
        return _measured(folder, Path(place), held_out, workers.device)


def _measured(folder: Path, adapter: Path, rows: Sequence[Row], device: str) -> Any:
    """The figures of `_COLUMNS` by row, float64 (columns, rows); NaN where a row has no such token."""
    import torch

    found = []
    model = load_network(folder, [adapter], device=device)
    model.eval()
    with torch.inference_mode(), autocast(device):
        for row in rows:
            logits, wanted, weights = (part.cpu() for part in target_logits(model, row, device))
            losses = torch.nn.functional.cross_entropy(logits, wanted, reduction="none")
            ends = weights == END
            right = (logits[ends].argmax(-1) == wanted[ends]).float()
            means = [
                part.mean() for part in (losses[weights == MIDDLE], losses[weights == PREFIX], losses[ends], right)
            ]
            found.append([float(mean) for mean in means])
    return np.array(found).T


def _against(found: Any, first: Any) -> str:
    change = found - first
    return f"{np.nanmean(change):+.3f} ± {np.nanstd(change) / np.isfinite(change).sum() ** 0.5:.3f}"
