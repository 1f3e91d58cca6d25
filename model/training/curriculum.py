"""Which examples a night reads, and how often: the newest, some older ones again, rare languages more than once; and
how near the model was that made an offer.

Pure. What always holds: the same examples, options and seed give the same choice; what is left out or repeated is
counted.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal, TypeVar

import numpy as np
from rapidfuzz.distance import Levenshtein

from feedback.examples import Example

_EXPONENT = 0.7  # of a language's share (Conneau et al. 2020, "Unsupervised Cross-lingual Representation Learning")
_MOST_TIMES = 3
_RIGHT = 0.98  # normalised similarity from which two texts are the same wish
_FAR = 0.1  # and below which the model was nowhere near, in texts of some length
_SOME_LENGTH = 12

Difficulty = Literal["right", "near", "far", "not offered"]
T = TypeVar("T")


def difficulty_of(example: Example) -> Difficulty:
    """How near the offer was to what the user wrote. One that was near but not right has the most to teach."""
    offered, written = example.offered.rstrip(), example.target.rstrip()
    if not offered:
        return "not offered"
    likeness = Levenshtein.normalized_similarity(offered, written)
    if likeness >= _RIGHT or written.startswith(offered):
        return "right"
    return "far" if likeness < _FAR and min(len(offered), len(written)) >= _SOME_LENGTH else "near"


def windowed(examples: Sequence[Example], window: int, replay_share: float, seed: int) -> list[Example]:
    """The newest, at most `window`, oldest first; where there are more, a share of it is drawn from the older ones, so
    that what was learned long ago is read again."""
    ordered = sorted(examples, key=lambda example: (example.at, example.id))
    if len(ordered) <= window:
        return ordered
    again = round(window * replay_share)
    cut = len(ordered) - (window - again)
    drawn = np.random.default_rng([seed, 1]).choice(cut, min(again, cut), replace=False)
    return [*(ordered[int(number)] for number in sorted(drawn)), *ordered[cut:]]


def balanced(items: Sequence[T], languages: Sequence[str]) -> tuple[list[T], Mapping[str, int]]:
    """The items, and those of rarer languages again: a language's share goes with its size to the power 0.7, none is
    read more than three times. The second value counts the repeats by language."""
    counts = Counter(languages)
    most = max(counts.values(), default=0)
    found, repeats = list(items), Counter[str]()
    for language, count in sorted(counts.items()):
        mine = [item for item, name in zip(items, languages, strict=True) if name == language]
        wanted = round(most * (count / most) ** _EXPONENT)
        extra = min(wanted, _MOST_TIMES * count) - count
        found += [mine[number % count] for number in range(extra)]
        if extra > 0:
            repeats[language] = extra
    return found, dict(repeats)
