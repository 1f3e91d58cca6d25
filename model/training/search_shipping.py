"""From a corpus to the adapter that is shipped for the search encoder: pairs, training, figures, the record.

It puts the pieces together and knows no command line. What always holds: the record names every package that was
trained on, with version and licence; its figures are of packages that were not.
"""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from index.embedding import Embedder
from index.shipped_encoder import METADATA_FILE
from model.adapters import write_atomically
from model.training.corpus import Corpus
from model.training.search_pairs import library
from model.training.search_training import SearchOptions, SearchPace, reciprocal_ranks, train_encoder
from model.weights import resolve

_LEAST_QUESTIONS = 20  # of a held-out package


def make_search_adapter(
    name: str,
    out: Path,
    corpus: Corpus,
    *,
    options: SearchOptions,
    measure: int = 60,
    threads: int = 0,
    resume: bool = True,
    progress: Callable[[SearchPace], None] = lambda pace: None,
) -> dict[str, Any]:
    """Train the adapter of the embedding weights `name` into `out`, and compare on `measure` questions per package."""
    folder = resolve(name)
    pairs = {package: library(files).pairs for package, files in corpus.training.items()}
    used = {package: several for package, several in pairs.items() if several}
    record: dict[str, Any] = {
        "name": name,
        "questions": sum(map(len, used.values())),
        "corpus": [asdict(one) for one in corpus.packages if one.held_out or one.name in used],
    }
    made = train_encoder(
        folder, used, options=options, out=out, record=record, threads=threads, resume=resume, progress=progress
    )
    if not measure:
        return made
    held = {package: library(files) for package, files in corpus.held_out.items()}
    held = {package: one for package, one in held.items() if len(one.pairs) >= _LEAST_QUESTIONS}
    arms = {
        arm: reciprocal_ranks(Embedder(folder, adapter=adapter, threads=threads or None).encode, held, measure)
        for arm, adapter in (("weights", None), ("adapter", out))
    }
    made = {**made, "held_out": arms}
    write_atomically(out / METADATA_FILE, (json.dumps(made, indent=2) + "\n").encode())
    return made
