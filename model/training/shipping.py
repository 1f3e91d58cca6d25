"""From a base's name to the adapter that is shipped for it: fetch the corpus, load the base, train, write the folder.

It puts the pieces together and knows no command line. What always holds: the record beside the adapter names every
package that it was made from, with version and licence.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from model.download import Report
from model.positions import scheme_for
from model.shape import read_shape
from model.threads import set_threads
from model.tokens import Tokens
from model.training.corpus import Corpus, load_corpus
from model.training.exercises import Exercises
from model.training.network import load_network
from model.training.pretraining import Pace, PretrainOptions, pretrain
from model.weights import quiet, resolve


def make_adapter(
    base: str,
    out: Path,
    *,
    options: PretrainOptions,
    resume: bool = True,
    report: Report = quiet,
    progress: Callable[[Pace], None] = lambda pace: None,
) -> dict[str, Any]:
    """Train the adapter of `base` (a source of weights that is on this machine) into `out`; returns its record."""
    folder = resolve(base)
    corpus = load_corpus(report=report)
    scheme = scheme_for("parallel", read_shape(folder).positions)
    exercises = Exercises(corpus.training, Tokens(folder), scheme)
    set_threads()
    model = load_network(folder)
    record = {
        "base": base,
        "fills_middle": True,
        "scheme": scheme.name,
        "data_hash": corpus_hash(corpus, exercises),
        "corpus": [asdict(package) for package in corpus.packages],
        "left_out": dict(corpus.dropped),
        "device": "cpu",
    }
    return pretrain(model, exercises, options=options, out=out, record=record, resume=resume, progress=progress)


def corpus_hash(corpus: Corpus, exercises: Exercises) -> str:
    """sha256 over the texts that may be drawn and how they are drawn."""
    digest = hashlib.sha256(json.dumps(asdict(exercises.shape)).encode())
    for files in corpus.training.values():
        for file in files:
            digest.update(f"{file.package}\0{file.path}\0{file.text}\0".encode())
    return digest.hexdigest()
