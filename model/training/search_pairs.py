"""What the search encoder is taught with: a docstring, and the chunk that the index would make of its function.

Chunks are those of the index, cut from files without docstrings, so that a question never stands in its answer. Pure.
What always holds: the batches of a seed are the same; those in a batch are of one package, as what is not wanted in a
search is mostly code of the same repository.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from index.chunks import outline
from index.evaluation.questions import docstring_questions
from index.store import text_to_embed
from model.training.corpus_files import CodeFile

LEAST_OF_BATCH = 16  # fewer wrong answers are too easy to tell
MOST_OF_PACKAGE = 1500  # in one pass over all packages


@dataclass(frozen=True)
class Pair:
    """A question and what should be found. Two questions may have the same chunk."""

    question: str
    chunk: str


@dataclass(frozen=True)
class Library:
    """What can be asked about a package, and everything in it that could be found."""

    pairs: tuple[Pair, ...]
    chunks: tuple[str, ...]


def library(files: Sequence[CodeFile]) -> Library:
    """Of the Python files of one package."""
    bare, questions = docstring_questions({file.path: file.text for file in files if file.language == "python"})
    chunks = {path: outline(path, text).chunks for path, text in bare.items()}
    pairs = []
    for question in questions:
        (target,) = question.targets
        for chunk in chunks[target.path]:
            if chunk.start_line <= target.start <= chunk.end_line:
                pairs.append(Pair(question.text, text_to_embed(chunk.header, chunk.text)))
                break
    every = [text_to_embed(chunk.header, chunk.text) for several in chunks.values() for chunk in several]
    return Library(tuple(pairs), tuple(dict.fromkeys(every)))


def batches(pairs: Mapping[str, Sequence[Pair]], size: int, seed: int) -> Iterator[list[Pair]]:
    """Batches without end, each of one package: all packages once, in an order of their own, then again."""
    draw = random.Random(seed)
    while True:
        found: list[list[Pair]] = []
        for several in pairs.values():
            drawn = draw.sample(list(several), min(len(several), MOST_OF_PACKAGE))
            parts = [drawn[start : start + size] for start in range(0, len(drawn), size)]
            found += [part for part in parts if len(part) >= min(size, LEAST_OF_BATCH)]
        if not found:
            return
        draw.shuffle(found)
        yield from found
