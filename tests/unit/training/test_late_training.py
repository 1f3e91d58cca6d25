"""A head learns which part of a chunk a question is about, and the same twice."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from model.training.late_training import HeadOptions, train_head
from model.training.search_pairs import Library, Pair

WIDTH = 24
OPTIONS = HeadOptions(questions=60, chunks=60, passes=12, batch=40, dimension=12, learning_rate=0.01)


@dataclass
class Hashing:
    """Every word has a state of its own, half of which, and the larger, is noise that says nothing."""

    def encode_states(self, texts: Sequence[str]) -> tuple[NDArray[np.float32], list[NDArray[np.float32]]]:
        states = [np.stack([self._state(word) for word in text.split()]) for text in texts]
        return np.stack([one.mean(axis=0) / np.linalg.norm(one.mean(axis=0)) for one in states]), states

    def _state(self, word: str) -> NDArray[np.float32]:
        kind, _, noise = word.partition("-")
        telling = np.random.default_rng(int(kind)).standard_normal(WIDTH // 2)
        return np.concatenate([telling, 2 * np.random.default_rng(int(noise)).standard_normal(WIDTH // 2)]).astype("f4")


def taught(seed: int) -> Library:
    """Questions of one word, and chunks of which one part repeats its meaning in other noise."""
    draw = random.Random(seed)
    pairs = []
    for kind in range(40):
        words = [f"{draw.randrange(1000, 9999)}-{draw.randrange(9999)}" for _ in range(32)]
        at = 8 * draw.randrange(4)
        words[at : at + 8] = [f"{kind}-{draw.randrange(9999)}" for _ in range(8)]
        pairs.append(Pair(f"{kind}-{draw.randrange(9999)} {kind}-{draw.randrange(9999)}", " ".join(words)))
    return Library(tuple(pairs), tuple(pair.chunk for pair in pairs))


def test_it_learns_what_tells() -> None:
    libraries = {str(seed): taught(seed) for seed in range(8)} | {"none": Library((), ("1-1",))}
    head, record = train_head(Hashing(), libraries, OPTIONS)
    assert record["losses"][-1] < 0.7 * record["losses"][0]
    assert (record["packages"], record["questions"]) == (8, 320)
    held = taught(8)
    _, questions = Hashing().encode_states([pair.question for pair in held.pairs])
    parts = [head.parts(states) for states in Hashing().encode_states(held.chunks)[1]]
    right = [int(np.argmax(head.question(one).closeness(parts))) == place for place, one in enumerate(questions)]
    assert np.mean(right) > 0.8


def test_the_same_twice() -> None:
    several = [train_head(Hashing(), {"one": taught(1)}, HeadOptions(passes=2, dimension=4))[0] for _ in range(2)]
    np.testing.assert_array_equal(several[0].projection, several[1].projection)


def test_nothing_to_learn_from() -> None:
    with pytest.raises(ValueError, match="found none"):
        train_head(Hashing(), {}, OPTIONS)
