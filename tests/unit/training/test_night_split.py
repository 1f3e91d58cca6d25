"""What is trained on, what it is measured on, and what is in neither."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedback.examples import Example
from model.training.dataset import (
    TrainingSequence,
    cursor,
    data_hash,
    encoded,
    fingerprint,
    shuffled_targets,
    split_by_time,
)
from model.training.rows import Row


def example(number: int, *, at: float | None = None, prefix: str = "", target: str = "value") -> Example:
    return Example(
        id=f"e{number}",
        at=float(number) if at is None else at,
        workspace="/w",
        path="a.py",
        language="python",
        prefix=prefix or f"name_{number} = ",
        suffix="",
        target=target,
        offered="",
        outcome="accepted",
        reward=1.0,
    )


def row_of(length: int) -> Row:
    """A tail alone, with loss on all but its first token."""
    return Row(tuple(range(length)), tuple(range(length)), (-1,) * length, (0.0, *[1.0] * (length - 1)))


def test_the_last_share_is_measured_on() -> None:
    split = split_by_time([example(number) for number in range(10)], later_share=0.4)
    assert [one.id for one in split.later] == ["e6", "e7", "e8", "e9"]
    assert [one.id for one in split.training] == [f"e{number}" for number in range(6)]


def test_few_examples_still_leave_the_least_number_of_later_ones() -> None:
    split = split_by_time([example(number) for number in range(6)], later_share=0.1, least_later=3)
    assert (len(split.training), len(split.later)) == (3, 3)


def test_too_few_examples_leave_nothing_to_train_on() -> None:
    split = split_by_time([example(number) for number in range(3)], least_later=4)
    assert (len(split.training), len(split.later)) == (0, 3)


def test_examples_of_one_moment_are_not_torn_apart() -> None:
    split = split_by_time([example(number, at=float(number // 5)) for number in range(10)], later_share=0.3)
    assert {one.at for one in split.later} == {1.0}
    assert {one.at for one in split.training} == {0.0}


def test_what_was_trained_on_is_dropped_from_the_later_side() -> None:
    again = [example(number + 10, prefix=f"name_{number} = ") for number in range(4)]
    split = split_by_time([*(example(number) for number in range(10)), *again], later_share=0.4)
    assert split.dropped == {"leaked": 4}
    assert {one.id for one in split.later} == {"e8", "e9"}


def test_a_cursor_that_was_trained_on_is_not_measured_on_whatever_was_written_there() -> None:
    known = example(0, prefix="far above\n" * 40 + "total = ")
    again = replace(example(10, prefix="changed since\n" + "far above\n" * 40 + "total = "), target="another")
    elsewhere = replace(again, id="e11", at=11.0, path="b.py")
    split = split_by_time([known, *(example(number) for number in range(1, 8)), again, elsewhere], later_share=0.2)
    assert split.dropped == {"leaked": 1}
    assert again not in split.later
    assert elsewhere in split.later


def test_typing_on_through_a_suggestion_makes_one_example() -> None:
    first = example(0, prefix="total = pri", target="ce * count")
    second = example(1, prefix="total = price", target=" * count")
    split = split_by_time([first, second, *(example(number) for number in range(2, 12))])
    assert split.dropped == {"duplicate": 1}
    assert first in split.training
    assert second not in split.training


def test_an_empty_target_teaches_nothing() -> None:
    split = split_by_time([example(0, target=" \n"), *(example(number) for number in range(1, 10))])
    assert split.dropped == {"empty": 1}


def test_a_share_outside_of_zero_to_one_is_refused() -> None:
    with pytest.raises(ValueError, match="later_share"):
        split_by_time([], later_share=1.0)


@given(
    st.lists(st.tuples(st.integers(0, 20), st.sampled_from("abcdef"), st.sampled_from("uvw ")), max_size=40),
    st.floats(0.05, 0.95),
    st.integers(1, 8),
)
def test_no_split_ever_leaks(rows: list[tuple[int, str, str]], share: float, least: int) -> None:
    examples = [
        example(number, at=float(at), prefix=prefix, target=target) for number, (at, prefix, target) in enumerate(rows)
    ]
    split = split_by_time(examples, later_share=share, least_later=least)
    if split.training and split.later:
        assert max(one.at for one in split.training) < min(one.at for one in split.later)
        assert not {cursor(one) for one in split.training} & {cursor(one) for one in split.later}
    marks = [fingerprint(one) for one in (*split.training, *split.later)]
    assert len(set(marks)) == len(marks)
    assert len(marks) + sum(split.dropped.values()) == len(examples)


def test_no_cursor_of_a_placebo_keeps_its_target() -> None:
    examples = [example(number, target=f"target {number}") for number in range(7)]
    placebo = shuffled_targets(examples, seed=3)
    assert sorted(one.target for one in placebo) == sorted(one.target for one in examples)
    assert all(mine.target != other.target for mine, other in zip(examples, placebo, strict=True))


def test_sequences_that_do_not_fit_are_counted() -> None:
    lengths = {"e0": 4, "e1": 9}

    def encode(one: Example) -> TrainingSequence:
        return TrainingSequence(one.id, row_of(lengths[one.id]))

    sequences, dropped = encoded([example(0), example(1)], encode, maximum_tokens=8)
    assert [sequence.example for sequence in sequences] == ["e0"]
    assert dropped == {"too_long": 1}


def test_the_data_hash_sees_tokens_blocks_and_order() -> None:
    one, two = TrainingSequence("e0", row_of(3)), TrainingSequence("e1", row_of(3))
    other = replace(two, row=replace(two.row, blocks=(0, -1, -1), weights=(0.0, 0.0, 1.0)))
    assert len({data_hash([one, two]), data_hash([two, one]), data_hash([one, other])}) == 3
