"""What lowers the loss of what a user writes next: a night's training, and variants of it that were rejected.

The first half of the days of one package's history is learned from, the loss is that of lines of the other half, with
and without edits beside the cursor. INKLING_HISTORY names the package and its versions. About half an hour
on two cores that compute in bfloat16.
"""

import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from feedback.examples import Example
from feedback.records import OF_EDITS, ContextDocument
from model.catalog import BASE
from model.completion import CompletionRequest
from model.evaluation.document_choice import DocumentChoice
from model.evaluation.replay_history import Snapshot, days_of
from model.evaluation.replay_requests import Ask, User
from model.evaluation.replay_settings import SIZES
from model.evaluation.replay_sources import Source, of_package
from model.prompt import Format, Layout, training_prompt
from model.shipped import Shipped, shipped
from model.threads import set_threads
from model.tokens import Tokens
from model.training.dataset import TrainingSequence
from model.training.network import computes_bfloat16, load_for_training, load_network, to_bfloat16
from model.training.rows import row
from model.training.serving import night_layout, request_of, serving_format
from model.training.sft import SftOptions, train
from model.weights import resolve
from tests.benchmarks.losses import fell, line, losses_of, mean

_HISTORY = "wtforms==2.3.3,3.0.1,3.1.2,3.2.1"  # none of the adapter's training, none of the replay's packages
_PIECE = 16  # lines of what stood there before anything was written
_PIECES = 200
_TIMED = 24  # rows
_FEW = 60  # texts, about what one day leaves


@dataclass
class _Bench:
    """The base with its anchor, and the lines that are measured, apart and with edits beside them."""

    folder: Path
    anchor: Shipped
    asks: Sequence[Ask]

    def rows(self, *, recent: bool) -> list[TrainingSequence]:
        tokens = Tokens(self.folder)
        wider = replace(SIZES, documents=SIZES.documents + (len(OF_EDITS) if recent else 0))
        layout = Layout(tokens, wider.budget, Format.of(tokens, fills_middle=self.anchor.fills_middle))
        _, scheme = night_layout(self.folder, self.anchor)

        def asked(ask: Ask) -> CompletionRequest:
            beside = ask.request.documents
            return replace(ask.request, documents=(*ask.memory, *beside) if recent else beside)

        return [line(ask.id, layout, asked(ask), ask.truth, scheme) for ask in self.asks]

    @property
    def files(self) -> list[str]:
        """Of each line."""
        return [ask.request.path for ask in self.asks]

    def load(self) -> Any:
        return load_for_training(self.folder, [self.anchor.folder])


def run() -> None:
    """Print losses in nats per token, how far they fell with a 95% interval over files, and tokens per second."""
    set_threads()
    anchor = shipped(BASE.name)
    assert anchor is not None
    folder = resolve(BASE.name)
    source = of_package(os.environ.get("INKLING_HISTORY", _HISTORY))
    layout = Layout(Tokens(folder), SIZES.budget, Format.of(Tokens(folder), fills_middle=anchor.fills_middle))
    history = days_of(source.snapshots, hunks=60, days=4, seed=0)
    days = User(source.name, 0, layout, SIZES).days(history, source.snapshots[-1], 60)
    half = len(days) // 2
    written = [example for day in days[:half] for example in day.examples]
    bench = _Bench(folder, anchor, [ask for day in days[half:] for ask in day.asks])
    encode = serving_format(folder, anchor)
    own = [encode(example) for example in written]
    mixed = [*map(encode, _pieces(source, layout)), *own]
    _speed(bench, own[:_TIMED])
    print("\n| learned from | tokens/s | loss | fell by, 95% | with edits beside |\n| --- | --- | --- | --- | --- |")
    alone, together = bench.rows(recent=False), bench.rows(recent=True)
    base = bench.load()
    losses, recent = losses_of(base, alone), losses_of(base, together)
    print(f"| nothing | | {mean(losses):.4f} | | {mean(recent):.4f} |", flush=True)
    around = [_with_text_around(bench, example) for example in written]
    few, usual = own[:_FEW], SftOptions()
    for name, sequences, options in (
        ("what was written, once", own, replace(usual, epochs=1)),
        (f"what was written, {usual.epochs} times", own, usual),
        (f"the first {_FEW} texts, {usual.epochs} times", few, usual),
        ("the same at a rate of 5e-4", few, replace(usual, learning_rate=5e-4)),
        ("what was written once, and the text around it", around, replace(usual, epochs=1)),
        (f"that once, and {_PIECES} pieces of what stood there before", mixed, replace(usual, epochs=1)),
    ):
        with tempfile.TemporaryDirectory() as place:
            run_folder = Path(place)
            tuned, trained = train(bench.load(), sequences, options=options, budget_seconds=1e6, run_folder=run_folder)
        found, beside = losses_of(tuned, alone), losses_of(tuned, together)
        print(
            f"| {name} | {trained.tokens_per_second:.0f} | {mean(found):.4f} | {fell(losses, found, bench.files)} | "
            f"{mean(beside):.4f} |", flush=True,
        )  # fmt: skip


def _speed(bench: _Bench, sequences: Sequence[TrainingSequence]) -> None:
    """The same training in both types."""
    pace = {}
    for narrow in (False, True):
        model = load_network(bench.folder, [bench.anchor.folder])
        if narrow:
            to_bfloat16(model)
        with tempfile.TemporaryDirectory() as place:
            _, trained = train(
                model, sequences, options=SftOptions(epochs=1), budget_seconds=1e6, run_folder=Path(place)
            )  # fmt: skip
        pace[narrow] = trained.tokens_per_second
    print(
        f"\nTraining: float32 {pace[False]:.0f} tokens/s, bfloat16 {pace[True]:.0f}: {pace[True] / pace[False]:.1f} "
        f"times; nights use {'bfloat16' if computes_bfloat16() else 'float32'} here"
    )


def _pieces(source: Source, layout: Layout) -> Iterator[Example]:
    """Pieces of the first version, as if they had been written, evenly from all of it."""
    first: Snapshot = source.snapshots[0]
    choice = DocumentChoice(layout, SIZES.document, SIZES.whole)
    places = [
        (path, start)
        for path, text in sorted(first.files.items())
        for start in range(0, text.count("\n") + 1, _PIECE)
        if len("".join(text.split("\n")[start : start + _PIECE]).strip()) > _PIECE
    ]
    random = np.random.default_rng(0)
    for number in sorted(random.permutation(len(places))[:_PIECES].tolist()):
        path, start = places[number]
        lines = first.files[path].split("\n")
        draw = Random(number)
        documents = choice.choose(first.files, path, first.files[path], start + 1, draw)
        yield Example(
            id=f"before {number}", at=0.0, workspace=source.name, path=path, language="python",
            prefix="".join(f"{line}\n" for line in lines[:start]),
            suffix="\n" + "\n".join(lines[start + _PIECE :]), target="\n".join(lines[start : start + _PIECE]).rstrip(),
            offered="", outcome="ignored", reward=0.0,
            documents=tuple(ContextDocument(document.path, document.text) for document in documents),
        )  # fmt: skip


def _with_text_around(bench: _Bench, example: Example) -> TrainingSequence:
    """The row with loss on all of its tail, what stands around the cursor included."""
    layout, scheme = night_layout(bench.folder, bench.anchor)
    found = row(training_prompt(layout, request_of(example), example.target, scheme))
    blocks = found.blocks
    inside = [float(block < 0 and before == block) for before, block in zip((0, *blocks), blocks, strict=False)]
    return TrainingSequence(example.id, replace(found, weights=tuple(inside)))
