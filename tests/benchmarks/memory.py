"""What the user's edits beside the cursor are worth before any night: the newest, and those in places like this one.

The lines are those of a replayed user's second day, with the documents that the index finds there, in the replay's own
small windows and in larger ones. INKLING_HISTORIES names packages and versions. About half an hour on two cores.
"""

import os
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.catalog import BASE
from model.evaluation.completion_cases import Sizes
from model.evaluation.replay_history import days_of
from model.evaluation.replay_requests import Ask, User
from model.evaluation.replay_settings import SIZES
from model.evaluation.replay_sources import of_package
from model.prompt import Format, Layout, training_prompt
from model.recent_edits import RECENT, SIMILAR
from model.shipped import shipped
from model.threads import set_threads
from model.tokens import Tokens
from model.training.batches import token_losses
from model.training.network import load_for_training
from model.training.rows import row
from model.training.serving import night_layout
from model.weights import resolve

_HISTORIES = (
    "wtforms==2.3.3,3.0.1,3.2.1 questionary==1.0.2,1.10.0,2.1.0 apscheduler==3.9.1,3.10.4,3.11.0 "
    "loguru==0.5.3,0.6.0,0.7.2 invoke==1.5.0,1.7.3,2.2.0"
)  # none of the adapter's training, none of the replay's packages
_LARGER = Sizes(documents=6, document=384, tail=512, suffix=96)
_LINES = 24  # of each history
_DRAWS = 4000
_BESIDE: tuple[tuple[str, Collection[str]], ...] = (
    ("nothing", ()), ("the newest", (RECENT,)), ("similar ones", (SIMILAR,)), ("both", (RECENT, SIMILAR)),
)  # fmt: skip


def run() -> None:
    """Print losses in nats per token, and how far they fell with a 95% interval over files."""
    set_threads()
    anchor = shipped(BASE.name)
    assert anchor is not None
    folder = resolve(BASE.name)
    tokens = Tokens(folder)
    form = Format.of(tokens, fills_middle=anchor.fills_middle)
    _, scheme = night_layout(folder, anchor)
    model = load_for_training(folder, [anchor.folder])
    model.eval()
    print("| documents | edits beside the cursor | loss | fell by, 95% | of it |")
    print("| --- | --- | --- | --- | --- |")
    for name, sizes in (("2 of 160 tokens", SIZES), ("6 of 384", _LARGER)):
        asks = _asks(Layout(tokens, sizes.budget, form), sizes)
        layout = Layout(tokens, replace(sizes, documents=sizes.documents + 2).budget, form)
        before: NDArray[np.float64] | None = None
        for beside, names in _BESIDE:
            memory = [tuple(one for one in ask.memory if one.unit in names) for ask in asks]
            found = np.array(
                [
                    _loss(model, layout, scheme, replace(ask.request, documents=(*edits, *ask.request.documents)), ask)
                    for ask, edits in zip(asks, memory, strict=True)
                ]
            )
            before = found if before is None else before
            print(f"| {name} | {beside} | {_mean(found):.3f} | {_fell(asks, before, found)} |", flush=True)


def _asks(layout: Layout, sizes: Sizes) -> list[Ask]:
    """Lines of each history's second day."""
    found: list[Ask] = []
    for history in os.environ.get("INKLING_HISTORIES", _HISTORIES).split():
        source = of_package(history)
        days = days_of(source.snapshots, hunks=200, days=2, seed=0)
        found += User(source.name, 0, layout, sizes).days(days, source.snapshots[-1], _LINES)[1].asks
    return found


def _loss(model: Any, layout: Layout, scheme: Any, request: Any, ask: Ask) -> tuple[float, float]:
    """Nats and tokens of one line."""
    import torch

    with torch.inference_mode():
        losses = token_losses(model, row(training_prompt(layout, request, ask.truth, scheme)))[0]
    return float(losses.sum()), float(len(losses))


def _mean(found: NDArray[np.float64]) -> float:
    return float(found[:, 0].sum() / found[:, 1].sum())


def _fell(asks: Sequence[Ask], before: NDArray[np.float64], after: NDArray[np.float64]) -> str:
    if before is after:
        return "|"
    files: dict[tuple[str, str], list[int]] = {}
    for number, ask in enumerate(asks):
        files.setdefault((ask.id.split(" ")[0], ask.request.path), []).append(number)
    nats = np.array([(before[lines, 0] - after[lines, 0]).sum() for lines in files.values()])
    tokens = np.array([before[lines, 1].sum() for lines in files.values()])
    draw = np.random.default_rng(0).integers(0, len(nats), (_DRAWS, len(nats)))
    low, high = np.percentile(nats[draw].sum(1) / tokens[draw].sum(1), [2.5, 97.5])
    gain = nats.sum() / tokens.sum()
    return f"{gain:.3f}, {low:.3f} to {high:.3f} | {gain / _mean(before):.0%}"
