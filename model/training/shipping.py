"""From a base's name to the adapter that is shipped for it: fetch the corpus, train, measure, write the folder.

It puts the pieces together and knows no command line. What always holds: the record beside the adapter names every
package that it was made from, with version and licence; its figures are of packages that it was not trained on.
"""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from inkling.errors import UserError
from model.adapters import write_atomically
from model.download import Report
from model.evaluation.held_out import cases, mask_gap, read
from model.positions import SchemeName, scheme_for
from model.shape import read_shape
from model.shipped import METADATA_FILE, read_shipped
from model.threads import set_threads
from model.tokens import Tokens
from model.training.corpus import Corpus, listed, load_corpus
from model.training.edit_corpus import load_written
from model.training.edits import EditExercises, EditShape, Mixed
from model.training.exercises import END, MIDDLE, PREFIX, Drawn, Exercises, Shape
from model.training.network import load_network
from model.training.pretraining import Pace, PretrainOptions, pretrain
from model.training.workers import Workers
from model.weights import quiet, resolve

SCHEME: SchemeName = "sequential"  # where documents and tails stand, in training and from then on in serving


class NoEditsError(UserError):
    """A corpus without what was written between two versions."""


def make_adapter(
    base: str,
    out: Path,
    *,
    corpus: Corpus,
    options: PretrainOptions,
    onto: Path | None = None,
    resume: bool = True,
    progress: Callable[[Pace], None] = lambda pace: None,
) -> dict[str, Any]:
    """Train the adapter of `base` (a source of weights that is on this machine) into `out`; returns its record.

    `onto`: an adapter of the same base that the training goes on from. Raises NoEditsError where a share of the rows
    should stand at lines that were written and the corpus has none.
    On a GPU where there is one, there in packs, on several with `torchrun -m inkling pretrain ...`.
    """
    folder = resolve(base)
    scheme = scheme_for(SCHEME, read_shape(folder).positions)
    tokens = Tokens(folder)
    exercises: Drawn = Exercises(corpus.training, tokens, scheme)
    if options.edits == 0:
        corpus = replace(corpus, written={})
    elif not any(corpus.written.values()):
        raise NoEditsError(
            "The corpus holds nothing that was written between two versions: take --edits 0, or write it again with "
            "`inkling pretrain --save-corpus`."
        )
    else:
        exercises = Mixed(EditExercises(corpus.written, tokens, scheme), exercises, options.edits)
    set_threads()
    workers = Workers()
    model = load_network(folder, device=workers.device)
    record = {
        "base": base,
        "fills_middle": True,
        "scheme": scheme.name,
        "data_hash": corpus_hash(corpus),
        "corpus": [asdict(package) for package in corpus.packages],
        "left_out": dict(corpus.dropped),
        "device": device_name(workers.device),
        "processes": workers.count,
    }
    return pretrain(
        model,
        exercises,
        options=options,
        out=out,
        record=record,
        onto=onto,
        resume=resume,
        workers=workers,
        progress=progress,
    )


def device_name(device: str) -> str:
    """What a record calls a device: a GPU by its maker's name."""
    import torch

    return torch.cuda.get_device_name(device) if device.startswith("cuda") else device


# The windows of held-out cursors: always documents of the same package, and room for most of a file.
MEASURED = Shape(
    tails=(224,),
    suffixes=(96,),
    long_share=0.0,
    no_suffix_share=0.0,
    no_document_share=0.0,
    strange_share=0.0,
    no_name_share=0.0,
)


def measure_adapter(
    base: str,
    folder: Path,
    *,
    count: int,
    seed: int = 1,
    shape: Shape = MEASURED,
    report: Report = quiet,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Base and adapter on `count` cursors of the held-out packages; written to the record as well as returned.

    Each cursor is read in eight ways by each of the two: about a minute for ten cursors on one core.
    """
    weights = resolve(base)
    packages = tuple(package for package in listed() if package.held_out)
    tokens = Tokens(weights)
    scheme = scheme_for(read_shipped(folder).scheme, read_shape(weights).positions)
    exercises = Exercises(load_corpus(packages, report=report).held_out, tokens, scheme, shape)
    chosen = cases(exercises, count, seed)
    set_threads()
    figures: dict[str, Any] = {"cursors": count, "packages": [package.name for package in packages]}
    for number, (name, adapters) in enumerate((("base", []), ("adapter", [folder]))):
        before = number * count

        def tick(done: int, before: int = before) -> None:
            progress(before + done, 2 * count)

        readings = read(load_network(weights, adapters), exercises, tokens, chosen, tick=tick)
        figures[name] = {arm: asdict(reading) for arm, reading in readings.items()}
        figures[f"{name}_gap"] = {text: mask_gap(readings, text) for text in ("left to right", "middle")}
    path = folder / METADATA_FILE
    record = json.loads(path.read_text(encoding="utf-8"))
    write_atomically(path, (json.dumps({**record, "held_out": figures}, indent=2) + "\n").encode())
    return figures


def whole_corpus(
    base: str,
    *,
    edits: bool = True,
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> Corpus:
    """What is pinned, with `edits` also what was written between two versions: four minutes, and six more.

    `base` counts tokens and has to be here for that. `progress` is told what is read, and how much of it.
    """
    progress("the corpus", 0, 1)
    corpus = load_corpus()
    if not edits:
        return corpus
    held_out = [file for files in corpus.held_out.values() for file in files]
    workers = max(1, (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))  # processes of `torchrun`
    tell = partial(progress, "what was written between versions")
    written = load_written(corpus.packages, resolve(base), without=held_out, workers=workers, progress=tell)
    return replace(corpus, written=written)


def corpus_hash(corpus: Corpus) -> str:
    """sha256 over the texts that may be drawn and how they are drawn."""
    shapes: list[Any] = [asdict(Shape()), MIDDLE, PREFIX, END]
    if corpus.written:
        shapes.append(asdict(EditShape()))
    digest = hashlib.sha256(json.dumps(shapes).encode())
    for files in corpus.training.values():
        for file in files:
            digest.update(f"{file.package}\0{file.path}\0{file.text}\0".encode())
    for package, places in corpus.written.items():
        for place in places:
            digest.update(json.dumps([package, asdict(place)]).encode())
    return digest.hexdigest()
