"""What a night learns where it has time for less than a pass over its texts, as on a slow laptop: ways of using it.

A night's training texts of the first day of a package's history are learned from, for as long as a night of five
minutes trains; measured are the lines of the next day with edits beside the cursor, and pieces of what the night leaves
for later. Every way has the same seconds and starts from the same model. INKLING_HISTORY names the package and its
versions, INKLING_SECONDS the time of each training. Forty minutes on two slow cores; nothing else may run beside it.
"""

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from feedback.records import OF_EDITS
from model.catalog import BASE
from model.evaluation.comparison import Measured, measure
from model.evaluation.replay_history import days_of
from model.evaluation.replay_requests import User
from model.evaluation.replay_settings import SIZES
from model.evaluation.replay_sources import of_package
from model.prompt import Budget, Format, Layout
from model.shipped import shipped
from model.threads import set_threads
from model.tokens import Tokens
from model.training.dataset import encoded, split_by_time
from model.training.network import load_for_training
from model.training.night_data import NightOptions, general_rows
from model.training.old_tasks import old_examples
from model.training.serving import NIGHT_BUDGET, night_layout, serving_format
from model.training.sft import SftOptions, train
from model.weights import resolve
from tests.benchmarks.losses import line

_HISTORY = "marshmallow==3.13.0,3.22.0,4.0.0"
_LINES, _OLD = 80, 12
_LATER = 3  # every so manieth later piece


@dataclass(frozen=True)
class _Way:
    name: str
    budget: Budget = NIGHT_BUDGET
    up_ratio: float = 1.0


_WAYS = (
    _Way("as before"),
    _Way("B at up to twice the rate", up_ratio=2.0),
    _Way("B at up to four times the rate", up_ratio=4.0),
    _Way("no document in a row", replace(NIGHT_BUDGET, documents=0)),
    _Way("both documents of edits", replace(NIGHT_BUDGET, documents=320)),
)


def run() -> None:
    """Print by way: steps, how far the loss that nights train on fell, how much likelier right tokens became."""
    set_threads()
    anchor = shipped(BASE.name)
    assert anchor is not None
    folder, night = resolve(BASE.name), NightOptions()
    seconds = float(os.environ.get("INKLING_SECONDS", "200"))
    source = of_package(os.environ.get("INKLING_HISTORY", _HISTORY))
    form = Format.of(Tokens(folder), fills_middle=anchor.fills_middle)
    history = days_of(source.snapshots, hunks=200, days=2, seed=0)
    narrow = Layout(Tokens(folder), SIZES.budget, form)
    first, second = User(source.name, 0, narrow, SIZES).days(history, source.snapshots[-1], _LINES)
    split = split_by_time(first.examples, later_share=night.later_share, least_later=night.least_later)
    wide = Layout(Tokens(folder), replace(SIZES, documents=SIZES.documents + len(OF_EDITS)).budget, form)
    _, scheme = night_layout(folder, anchor)
    asked = [
        line(ask.id, wide, replace(ask.request, documents=(*ask.memory, *ask.request.documents)), ask.truth, scheme)
        for ask in second.asks
    ]
    encode = serving_format(folder, anchor)
    later = encoded(split.later[::_LATER], encode, maximum_tokens=10**9)[0]
    old = encoded(old_examples(), encode, maximum_tokens=night.maximum_tokens)[0][:_OLD]
    base = load_for_training(folder, [anchor.folder])
    before = [measure(base, each) for each in (asked, later, old)]
    print(
        f"{source.name}: {len(split.training)} texts, {len(asked)} lines of the next day, {len(later)} later pieces\n"
    )
    print("| way | steps | next day's loss | robust, fell by | right likelier by | later, robust fell by | old |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    print(f"| nothing learned | | {before[0].losses.mean():.3f} | | | | |", flush=True)
    for way in _WAYS:
        rows = encoded(split.training, serving_format(folder, anchor, way.budget), maximum_tokens=night.maximum_tokens)[
            0
        ]
        general = general_rows(len(rows), encode, night)
        options = replace(SftOptions(), up_ratio=way.up_ratio)
        with tempfile.TemporaryDirectory() as place:
            model = load_for_training(folder, [anchor.folder])
            tuned, done = train(
                model, [*rows, *general], options=options, budget_seconds=seconds, run_folder=Path(place)
            )
        after = [measure(tuned, each) for each in (asked, later, old)]
        print(f"| {way.name} | {done.steps} | {_told(before, after)} |", flush=True)


def _told(before: Sequence[Measured], after: Sequence[Measured]) -> str:
    fell = [_differing(one.robust, other.robust) for one, other in zip(before, after, strict=True)]
    likelier = _differing(after[0].certainty, before[0].certainty)
    old = after[2].losses.mean() / before[2].losses.mean() - 1
    return f"{after[0].losses.mean():.3f} | {fell[0]} | {likelier} | {fell[1]} | {old:+.1%}"


def _differing(one: NDArray[np.float64], other: NDArray[np.float64]) -> str:
    """The mean difference and its standard error."""
    apart = one - other
    return f"{apart.mean():.4f} ({apart.std() / len(apart) ** 0.5:.4f})"
