"""Rows side by side through our own network (`model.training.lean`) against transformers' layers, row by row.

The rows are a night's, of the first day of a package's history; INKLING_HISTORY names the package and its versions.
Each way is timed in turn, several times, and the least counts. About two minutes on two cores.
"""

import os
import time
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from model.catalog import BASE
from model.evaluation.comparison import measure_beside
from model.evaluation.replay_history import days_of
from model.evaluation.replay_requests import User
from model.evaluation.replay_settings import SIZES
from model.evaluation.replay_sources import of_package
from model.prompt import Format, Layout
from model.shipped import shipped
from model.threads import set_threads
from model.tokens import Tokens
from model.training.batches import in_packs, target_logits
from model.training.dataset import encoded, shuffled_targets
from model.training.network import load_for_training
from model.training.serving import serving_format
from model.training.sft import SftOptions, with_fresh_adapter
from model.weights import resolve

_HISTORY = "marshmallow==3.13.0,3.22.0,4.0.0"
_TIMES = 4
_STEP, _MEASURED = 4, 12  # rows


def run() -> None:
    """Print tokens per second of training and of measuring, both ways."""
    set_threads(os.cpu_count() or 1)
    anchor = shipped(BASE.name)
    assert anchor is not None
    folder = resolve(BASE.name)
    source = of_package(os.environ.get("INKLING_HISTORY", _HISTORY))
    layout = Layout(Tokens(folder), SIZES.budget, Format.of(Tokens(folder), fills_middle=anchor.fills_middle))
    days = days_of(source.snapshots, hunks=60, days=2, seed=0)
    examples = User(source.name, 0, layout, SIZES).days(days, source.snapshots[-1], 4)[0].examples[::_STEP]
    encode = serving_format(folder, anchor)
    rows = encoded(examples, encode, maximum_tokens=1024)[0][:_MEASURED]
    wrong = encoded(shuffled_targets(examples[: len(rows)], 0), encode, maximum_tokens=10**9)[0][: len(rows)]
    model = with_fresh_adapter(load_for_training(folder, [anchor.folder]), SftOptions())
    step = [each.row for each in rows[:_STEP]]

    def alone() -> None:
        for row in step:
            _learn([target_logits(model, row)])

    def together() -> None:
        for pack in in_packs(model, step):
            _learn(pack)

    def measured_alone() -> None:
        with torch.inference_mode():
            for each in [*rows, *wrong]:
                target_logits(model, each.row)

    whole = sum(len(row) for row in step)
    slow, fast = _least(alone, together)
    print(
        f"training, {_STEP} rows of {whole / _STEP:.0f} tokens, {torch.get_num_threads()} threads: row by row "
        f"{whole / slow:.0f} tokens/s, side by side {whole / fast:.0f}: {slow / fast:.1f} times as fast"
    )
    slow, fast = _least(measured_alone, lambda: measure_beside(model, rows, wrong))
    print(
        f"measuring {len(rows)} examples with their own target and a wrong one: row by row {slow:.1f} s, side by side "
        f"{fast:.1f} s: {slow / fast:.1f} times as fast"
    )


def _learn(told: list[Any]) -> None:
    torch.stack([functional.cross_entropy(logits, wanted) for logits, wanted, _ in told]).sum().backward()


def _least(*ways: Callable[[], object]) -> list[float]:
    """Seconds, of each way the least of several turns."""
    found = [float("inf")] * len(ways)
    for _ in range(_TIMES):
        for number, way in enumerate(ways):
            began = time.perf_counter()
            way()
            found[number] = min(found[number], time.perf_counter() - began)
    return found
