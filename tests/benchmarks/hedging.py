"""Does a night make what was right less likely? Training with and without what `model.training.retention` holds.

A night's training texts of the first day of a package's history are learned from; measured are the pieces that a night
would be judged by, and what a user of the next day would keep, with edits beside the cursor. INKLING_HISTORY
names the package and its versions, INKLING_SECONDS the time of each training. About 15 minutes on two cores.
"""

import os
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from model.catalog import BASE
from model.evaluation.comparison import improvement, measure
from model.evaluation.replay_arms import Served
from model.evaluation.replay_history import days_of
from model.evaluation.replay_requests import Ask, User
from model.evaluation.replay_settings import SIZES
from model.evaluation.replay_sources import of_package
from model.prompt import Format, Layout
from model.shipped import shipped
from model.threads import set_threads
from model.tokens import Tokens
from model.training.dataset import encoded, split_by_time
from model.training.network import load_for_training
from model.training.night_data import NightOptions
from model.training.serving import serving_format
from model.training.sft import SftOptions, train
from model.weights import resolve

_HISTORY = "marshmallow==3.13.0,3.22.0,4.0.0"
_WEIGHTS = (0.0, 1.0)


def run() -> None:
    """Print by weight of what is held: loss and certainty of later pieces, loss and kept characters of the next day."""
    set_threads()
    anchor = shipped(BASE.name)
    assert anchor is not None
    folder, night = resolve(BASE.name), NightOptions()
    source = of_package(os.environ.get("INKLING_HISTORY", _HISTORY))
    seconds = float(os.environ.get("INKLING_SECONDS", "260"))
    layout = Layout(Tokens(folder), SIZES.budget, Format.of(Tokens(folder), fills_middle=anchor.fills_middle))
    history = days_of(source.snapshots, hunks=200, days=2, seed=0)
    first, second = User(source.name, 0, layout, SIZES).days(history, source.snapshots[-1], 80)
    split = split_by_time(first.examples, later_share=night.later_share, least_later=night.least_later)
    encode = serving_format(folder, anchor)
    training, _ = encoded(split.training, encode, maximum_tokens=night.maximum_tokens)
    later, _ = encoded(split.later, encode, maximum_tokens=10**9)
    served = Served(folder, anchor, anchor.scheme, SIZES, os.cpu_count() or 1)
    before = measure(load_for_training(folder, [anchor.folder]), later)
    print(f"{source.name}: {len(training)} texts learned from, {len(later)} later pieces, {len(second.asks)} lines\n")
    print("| held | steps | later loss | fell by, 95% | certainty | next day's loss | kept per line |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    nothing = f"{before.losses.mean():.3f} | | {before.certainty.mean():.3f}"
    print(f"| nothing learned | | {nothing} | {_asked(served, second.asks, None)} |", flush=True)
    for weight in _WEIGHTS:
        with tempfile.TemporaryDirectory() as place:
            base = load_for_training(folder, [anchor.folder])
            options = replace(SftOptions(), retention=weight)
            tuned, trained = train(base, training, options=options, budget_seconds=seconds, run_folder=Path(place))
            after = measure(tuned, later)
            tuned.save_pretrained(Path(place) / "adapter")
            asked = _asked(served, second.asks, Path(place) / "adapter")
        gain = improvement(before.losses, after.losses)
        fell = f"{gain.mean:.3f}, {gain.lower:.3f} to {gain.upper:.3f}"
        found = f"{trained.steps} | {gain.after:.3f} | {fell} | {after.certainty.mean():.3f}"
        print(f"| {weight:g} | {found} | {asked} |", flush=True)


def _asked(served: Served, asks: Sequence[Ask], adapter: Path | None) -> str:
    answers = served.ask(asks, adapter, recent=True, tick=lambda done: None)
    loss = sum(answer.nats for answer in answers) / sum(answer.tokens for answer in answers)
    return f"{loss:.3f} | {np.mean([answer.kept * answer.shown for answer in answers]):.2f}"
