"""From a corpus to the adapter that is shipped for the search encoder, and the head for its parts: pairs, training,
figures, the record.

It puts the pieces together and knows no command line. What always holds: the record names every package that was
trained on, with version and licence; its figures are of packages that were not.
"""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from index.embedding import Embedder
from index.late import HEAD_FILE, serialized
from index.shipped_encoder import METADATA_FILE, version_of
from inkling.errors import UserError
from model.adapters import write_atomically
from model.training.corpus import Corpus
from model.training.late_training import HeadOptions, train_head
from model.training.search_pairs import library
from model.training.search_training import SearchOptions, SearchPace, reciprocal_ranks, train_encoder
from model.weights import resolve

_LEAST_QUESTIONS = 20  # of a held-out package


class NoAdapterError(UserError):
    """There is no adapter to make a head for."""


def make_search_adapter(
    name: str,
    out: Path,
    corpus: Corpus,
    *,
    options: SearchOptions,
    late: HeadOptions,
    late_only: bool = False,
    measure: int = 60,
    threads: int = 0,
    resume: bool = True,
    progress: Callable[[SearchPace], None] = lambda pace: None,
) -> dict[str, Any]:
    """Train the adapter of the embedding weights `name` into `out` and the head on top of it, and compare on `measure`
    questions per package. `late_only`: the adapter in `out` stays. Raises NoAdapterError where there is none then."""
    folder = resolve(name)
    libraries = {package: library(files) for package, files in corpus.training.items()}
    pairs = {package: one.pairs for package, one in libraries.items() if one.pairs}
    if late_only:
        made = _record(out)
    else:
        record: dict[str, Any] = {
            "name": name,
            "questions": sum(map(len, pairs.values())),
            "corpus": [asdict(one) for one in corpus.packages if one.held_out or one.name in pairs],
        }
        made = train_encoder(
            folder, pairs, options=options, out=out, record=record, threads=threads, resume=resume, progress=progress
        )
    head, told = train_head(Embedder(folder, adapter=out, threads=threads or None), libraries, late, progress=progress)
    write_atomically(out / HEAD_FILE, serialized(head, version_of(out)))
    made = {**made, "late": told}
    _write(out, made)
    if not measure:
        return made
    held = {package: library(files) for package, files in corpus.held_out.items()}
    held = {package: one for package, one in held.items() if len(one.pairs) >= _LEAST_QUESTIONS}
    arms = {
        arm: reciprocal_ranks(Embedder(folder, adapter=adapter, threads=threads or None).encode, held, measure)
        for arm, adapter in (("weights", None), ("adapter", out))
    }
    made = {**made, "held_out": arms}
    _write(out, made)
    return made


def _record(out: Path) -> dict[str, Any]:
    """Of the adapter that is there."""
    try:
        found: dict[str, Any] = json.loads((out / METADATA_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise NoAdapterError(
            f"Expected an adapter with its record ({METADATA_FILE}) in {out}, found none: leave --late-only out."
        ) from error
    return found


def _write(out: Path, record: dict[str, Any]) -> None:
    write_atomically(out / METADATA_FILE, (json.dumps(record, indent=2) + "\n").encode())
