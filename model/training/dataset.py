"""From examples to what may be trained on and what it is measured on. Plain values: no tensors, no tokenizer.

What always holds: every later example settled strictly after every training example, neither the text nor the cursor
of a later example was trained on, and each example that was left out is counted under the reason why.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, replace

import numpy as np

from feedback.examples import Example
from model.training.rows import Row

_FINGERPRINT_CHARACTERS = 240
_CURSOR_CHARACTERS = 120


@dataclass(frozen=True)
class TrainingSequence:
    """One example as the model sees it."""

    example: str
    row: Row

    @property
    def targets(self) -> int:
        """How many tokens carry loss."""
        return self.row.targets


Encode = Callable[[Example], TrainingSequence]


@dataclass(frozen=True)
class Split:
    """Training examples and the later ones they are measured on, both oldest first.

    `dropped` counts the examples that are in neither, by reason: empty, duplicate, leaked.
    """

    training: tuple[Example, ...]
    later: tuple[Example, ...]
    dropped: Mapping[str, int]

    @property
    def usable(self) -> int:
        """How many examples are left in both sides."""
        return len(self.training) + len(self.later)


def split_by_time(examples: Iterable[Example], *, later_share: float = 0.3, least_later: int = 4) -> Split:
    """Sort by time, clean, and cut: the last `later_share` of the examples, at least `least_later`, are measured on.

    Two examples are the same if the text that they end in is the same: someone who typed on through a suggestion
    makes many cursors before one result. The earliest is kept, so a later one that is the same as a training
    example is dropped from the later side ("leaked"), and within one side it is a "duplicate". A later example at a
    cursor that was trained on is leaked as well, whatever was written there.
    Examples that settled at the moment of the cut go to the later side together.
    """
    if not 0 < later_share < 1:
        raise ValueError(f"later_share must lie between 0 and 1, found {later_share}")
    dropped: Counter[str] = Counter()
    ordered = sorted(examples, key=lambda example: (example.at, example.id))
    filled = [example for example in ordered if example.target.strip()]
    dropped["empty"] = len(ordered) - len(filled)
    cut = len(filled) - max(least_later, round(len(filled) * later_share))
    if cut <= 0:
        return Split((), tuple(_unique(filled, set(), dropped, "duplicate")), _counted(dropped))
    moment = filled[cut].at
    seen: set[str] = set()
    training = _unique([example for example in filled if example.at < moment], seen, dropped, "duplicate")
    after = [example for example in filled if example.at >= moment]
    cursors = {cursor(example) for example in training}
    fresh = [example for example in after if fingerprint(example) not in seen and cursor(example) not in cursors]
    dropped["leaked"] = len(after) - len(fresh)
    return Split(tuple(training), tuple(_unique(fresh, seen, dropped, "duplicate")), _counted(dropped))


def fingerprint(example: Example) -> str:
    """What makes two examples the same: the end of the text before the cursor together with the target."""
    return (example.prefix + example.target)[-max(_FINGERPRINT_CHARACTERS, len(example.target)) :].rstrip()


def cursor(example: Example) -> tuple[str, str, str]:
    """Where an example stands: its workspace, its file, and the end of the text before it."""
    return example.workspace, example.path, example.prefix[-_CURSOR_CHARACTERS:]


def encoded(
    examples: Iterable[Example], encode: Encode, *, maximum_tokens: int
) -> tuple[list[TrainingSequence], Mapping[str, int]]:
    """Token sequences, and how many examples gave none, by reason: too_long, no_target (all of it was cut)."""
    sequences: list[TrainingSequence] = []
    dropped: Counter[str] = Counter()
    for example in examples:
        sequence = encode(example)
        if len(sequence.row) > maximum_tokens:
            dropped["too_long"] += 1
        elif not sequence.targets:
            dropped["no_target"] += 1
        else:
            sequences.append(sequence)
    return sequences, _counted(dropped)


def silent(sequence: TrainingSequence) -> TrainingSequence:
    """The same without a target: nothing is learned from it, and what the base says of it can be held."""
    return replace(sequence, row=replace(sequence.row, weights=(0.0,) * len(sequence.row)))


def shuffled_targets(examples: Sequence[Example], seed: int) -> list[Example]:
    """The placebo: the same cursors and the same targets, but no cursor keeps its own target.

    Training on it must not help; a gate that promotes the result measures something else than learning.
    """
    order = np.random.default_rng(seed).permutation(len(examples))
    source = {int(mine): int(other) for mine, other in zip(order, np.roll(order, 1), strict=True)}
    given = [examples[source[number]] for number in range(len(examples))]
    return [
        replace(example, target=other.target, goes_on=other.goes_on)
        for example, other in zip(examples, given, strict=True)
    ]


def data_hash(sequences: Iterable[TrainingSequence]) -> str:
    """sha256 over ids and rows in order: the same hash means the same training data."""
    digest = hashlib.sha256()
    for sequence in sequences:
        digest.update(json.dumps([sequence.example, astuple(sequence.row)]).encode() + b"\n")
    return digest.hexdigest()


def shuffled_batches(count: int, size: int, epochs: int, seed: int) -> list[list[int]]:
    """The indexes of every step of every epoch, fixed by the seed."""
    steps: list[list[int]] = []
    for epoch in range(epochs):
        order = np.random.default_rng([seed, epoch]).permutation(count).tolist()
        steps += [order[start : start + size] for start in range(0, count, size)]
    return steps


def passes(sequences: Sequence[TrainingSequence], size: int, epochs: int, seed: int) -> list[list[int]]:
    """The indexes of every step. The first pass leaves out what has no target: a night with time for one pass only
    forgets next to nothing, and has no step to lose (docs/decisions.md)."""
    told = [number for number, sequence in enumerate(sequences) if sequence.targets]
    if len(told) == len(sequences):
        return shuffled_batches(len(sequences), size, epochs, seed)
    first = [[told[number] for number in step] for step in shuffled_batches(len(told), size, 1, seed)]
    return first + shuffled_batches(len(sequences), size, epochs, seed)[-(-len(sequences) // size) :]


def _unique(examples: Iterable[Example], seen: set[str], dropped: Counter[str], reason: str) -> list[Example]:
    kept = []
    for example in examples:
        mark = fingerprint(example)
        if mark in seen:
            dropped[reason] += 1
        else:
            seen.add(mark)
            kept.append(example)
    return kept


def _counted(dropped: Counter[str]) -> dict[str, int]:
    return {reason: count for reason, count in sorted(dropped.items()) if count}
