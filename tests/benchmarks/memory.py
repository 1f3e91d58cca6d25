"""What the user's edits beside the cursor are worth before any night: the newest, and those in places like this one.

The lines are those of a replayed user's second day, with the documents that the index finds there, in the replay's own
small windows (ten minutes on two cores) and in larger ones (more than half an hour). INKLING_HISTORIES names packages
and versions. INKLING_ADAPTERS names folders (apart by `:`) that are compared on the same lines instead, with those
edits and without, in the small windows.
"""

import os
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from feedback.records import OF_EDITS, RECENT_EDITS, SIMILAR_EDITS
from model.catalog import BASE
from model.evaluation.completion_cases import Sizes
from model.evaluation.replay_history import days_of
from model.evaluation.replay_requests import Ask, User
from model.evaluation.replay_settings import SIZES
from model.evaluation.replay_sources import of_package
from model.positions import PositionScheme
from model.prompt import Format, Layout
from model.shipped import shipped
from model.threads import set_threads
from model.tokens import Tokens
from model.training.dataset import TrainingSequence
from model.training.network import load_for_training
from model.training.serving import night_layout
from model.weights import resolve
from tests.benchmarks.losses import fell, line, losses_of, mean

_HISTORIES = (
    "wtforms==2.3.3,3.0.1,3.2.1 questionary==1.0.2,1.10.0,2.1.0 apscheduler==3.9.1,3.10.4,3.11.0 "
    "watchdog==2.1.9,3.0.0,6.0.0 humanize==3.14.0,4.4.0,4.9.0"
)  # none of the adapter's training, none of the replay's packages
_LARGER = Sizes(documents=6, document=384, tail=512, suffix=96)
_LINES = 24  # of each history
_BESIDE: tuple[tuple[str, Collection[str]], ...] = (
    ("nothing", ()), ("the newest", (RECENT_EDITS,)), ("similar ones", (SIMILAR_EDITS,)), ("both", OF_EDITS),
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
    if folders := os.environ.get("INKLING_ADAPTERS"):
        _compare(folder, [Path(each) for each in folders.split(os.pathsep)], tokens, form, scheme)
        return
    model = load_for_training(folder, [anchor.folder])
    print("| documents | edits beside the cursor | loss | fell by, 95% | of it |")
    print("| --- | --- | --- | --- | --- |")
    for name, sizes in (("2 of 160 tokens", SIZES), ("6 of 384", _LARGER)):
        asks = _asks(Layout(tokens, sizes.budget, form), sizes)
        layout = Layout(tokens, replace(sizes, documents=sizes.documents + len(OF_EDITS)).budget, form)
        files = [(ask.request.repository, ask.request.path) for ask in asks]
        before: NDArray[np.float64] | None = None
        for beside, names in _BESIDE:
            found = losses_of(model, [_row(layout, scheme, ask, names) for ask in asks])
            print(f"| {name} | {beside} | {mean(found):.3f} | ", end="")
            print(
                "| |" if before is None else f"{fell(before, found, files)} | {1 - mean(found) / mean(before):.0%} |",
                flush=True,
            )
            before = found if before is None else before


def _compare(base: Path, adapters: Sequence[Path], tokens: Tokens, form: Format, scheme: PositionScheme) -> None:
    """How far the loss falls from the first adapter to each other one."""
    asks = _asks(Layout(tokens, SIZES.budget, form), SIZES)
    files = [(ask.request.repository, ask.request.path) for ask in asks]
    layout = Layout(tokens, replace(SIZES, documents=SIZES.documents + len(OF_EDITS)).budget, form)
    print(f"| {len(asks)} lines | adapter | loss | fell by, 95% | loss of each history |\n" + "| --- " * 5 + "|")
    first: dict[str, NDArray[np.float64]] = {}
    for adapter in adapters:
        model = load_for_training(base, [adapter])
        for beside, names in (_BESIDE[0], _BESIDE[-1]):
            found = losses_of(model, [_row(layout, scheme, ask, names) for ask in asks])
            told = fell(first[beside], found, files) if beside in first else ""
            first.setdefault(beside, found)
            each = ", ".join(
                f"{name} {mean(found[:, [at for at, (mine, _) in enumerate(files) if mine == name]]):.3f}"
                for name in dict.fromkeys(name for name, _ in files)
            )
            print(f"| {beside} | {adapter.name} | {mean(found):.3f} | {told} | {each} |", flush=True)


def _asks(layout: Layout, sizes: Sizes) -> list[Ask]:
    """Lines of each history's second day."""
    found: list[Ask] = []
    for history in os.environ.get("INKLING_HISTORIES", _HISTORIES).split():
        source = of_package(history)
        days = days_of(source.snapshots, hunks=200, days=2, seed=0)
        found += User(source.name, 0, layout, sizes).days(days, source.snapshots[-1], _LINES)[1].asks
    return found


def _row(layout: Layout, scheme: PositionScheme, ask: Ask, names: Collection[str]) -> TrainingSequence:
    """The line with these of its documents of edits."""
    edits = (document for document in ask.memory if document.unit in names)
    request = replace(ask.request, documents=(*edits, *ask.request.documents))
    return line(ask.id, layout, request, ask.truth, scheme)
