"""Late interaction by hand: closeness, parts, and a head in a file."""

from pathlib import Path

import numpy as np
import pytest

from index.late import HEAD_FILE, PART, Head, Question, means, opened, serialized

WIDTH, DIMENSION = 12, 6


@pytest.fixture
def head() -> Head:
    draw = np.random.default_rng(0)
    return Head(
        draw.standard_normal(WIDTH).astype(np.float16).astype(np.float32),
        draw.standard_normal((WIDTH, DIMENSION)).astype(np.float16).astype(np.float32),
        draw.standard_normal(WIDTH).astype(np.float16).astype(np.float32),
        0.5,
    )


def states(tokens: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((tokens, WIDTH)).astype(np.float32)


def test_closeness_is_the_weighted_mean_of_the_closest_parts() -> None:
    axes = np.eye(DIMENSION, dtype=np.float32)
    question = Question(axes[:2], np.array([0.75, 0.25], dtype=np.float32))
    one = np.array([[127, 0, 0, 0, 0, 0], [0, 0, 127, 0, 0, 0]], dtype=np.int8)
    other = np.array([[0, 127, 0, 0, 0, 0], [-127, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 127]], dtype=np.int8)
    assert question.closeness([one, one[:0], other]) == pytest.approx([0.75, 0.0, 0.25])
    assert question.closeness([]) == []
    assert Question(axes[:0], np.zeros(0, dtype=np.float32)).closeness([one]) == [0.0]


@pytest.mark.parametrize("tokens", [0, 1, PART - 1, PART, PART + 1, 5 * PART])
def test_a_part_is_the_mean_of_some_tokens_in_a_row(head: Head, tokens: int) -> None:
    given = states(tokens)
    parts = head.parts(given)
    assert parts.shape == (-(-tokens // PART), DIMENSION)
    for place, part in enumerate(parts):
        row = (given[PART * place : PART * (place + 1)].mean(axis=0) - head.mean) @ head.projection
        np.testing.assert_allclose(part / 127, row / np.linalg.norm(row), atol=0.5 / 127 + 1e-5)
    assert len(means(given)) == len(parts)


def test_a_chunk_that_is_the_question_is_closest(head: Head) -> None:
    asked = states(PART)
    question = head.question(np.repeat(asked[:1], 3, axis=0))
    assert question.weights.sum() == pytest.approx(1)
    same, another = head.parts(np.repeat(asked[:1], PART, axis=0)), head.parts(states(20, seed=2))
    found = question.closeness([same, another])
    assert found[0] == pytest.approx(1, abs=0.01)
    assert found[1] < found[0]
    assert head.question(states(0)).closeness([same]) == [0.0]


def test_a_head_is_only_for_the_adapter_that_it_was_made_for(head: Head, tmp_path: Path) -> None:
    assert opened(tmp_path, "a") is None
    (tmp_path / HEAD_FILE).write_bytes(serialized(head, "a"))
    found = opened(tmp_path, "a")
    assert found is not None
    assert found.version
    np.testing.assert_array_equal(found.parts(states(30)), head.parts(states(30)))
    assert opened(tmp_path, "b") is None
    (tmp_path / HEAD_FILE).write_bytes(b"damage")
    assert opened(tmp_path, "a") is None
