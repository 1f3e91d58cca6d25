"""Eight bits move no number by more than half a step, and bfloat16 is rounded as hardware rounds it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from model.cache.quantised import BLOCK, dtype_of, from_bfloat16, quantise, quantised, to_bfloat16
from model.runtimes.runtime import CancelledError, KeysValues
from tests.unit.model.cache.documents import document, same

shapes = st.tuples(st.integers(1, 2), st.integers(1, 2), st.integers(0, 2 * BLOCK + 5), st.just(4))
numbers = st.floats(-1e4, 1e4, width=32)
tensors = shapes.flatmap(
    lambda shape: arrays.arrays(np.float32, shape, elements=numbers, fill=st.just(np.float32(0.5)))
)


@settings(max_examples=60, deadline=None)
@given(tensors)
def test_no_key_moves_by_more_than_half_the_scale_of_its_channel(keys: NDArray[np.float32]) -> None:
    small = quantise(KeysValues(keys, keys))
    steps = np.repeat(small.key_scales, BLOCK, axis=2)[:, :, : keys.shape[2]]
    assert (np.abs(small.restored().keys - keys) <= steps * 0.50001).all()


@settings(max_examples=60, deadline=None)
@given(tensors)
def test_no_value_moves_by_more_than_half_the_scale_of_its_token(values: NDArray[np.float32]) -> None:
    small = quantise(KeysValues(values, values))
    assert (np.abs(small.restored().values - values) <= small.value_scales[..., None] * 0.50001).all()


def test_a_channel_that_stands_out_does_not_blur_the_keys_of_others() -> None:
    keys = np.random.default_rng(0).standard_normal((1, 1, 200, 8)).astype(np.float32)
    keys[..., 3] *= 1000
    error = np.abs(quantised(KeysValues(keys, keys)).keys - keys)
    assert error[..., [0, 1, 2, 4, 5, 6, 7]].max() < 0.02


def test_a_token_that_stands_out_does_not_blur_the_values_of_others() -> None:
    values = np.random.default_rng(0).standard_normal((1, 1, 200, 8)).astype(np.float32)
    values[:, :, 7] *= 1000
    error = np.abs(quantised(KeysValues(values, values)).values - values)
    assert np.delete(error, 7, axis=2).max() < 0.02


def test_the_scales_of_keys_last_for_sixty_four_tokens() -> None:
    small = quantise(document(1, length=129).stored)
    assert small.key_scales.shape[2] == 3
    assert small.value_scales.shape[2] == 129


def test_a_second_round_changes_nothing_that_matters() -> None:
    once = quantised(document(1).stored)
    assert np.allclose(quantised(once).keys, once.keys, rtol=1e-5, atol=1e-6)


def test_nothing_but_zeros_stays_zeros() -> None:
    zeros = np.zeros((1, 1, 3, 4), dtype=np.float32)
    assert same(quantised(KeysValues(zeros, zeros)), KeysValues(zeros, zeros))


@pytest.mark.parametrize("strange", [np.inf, -np.inf, np.nan])
def test_what_is_not_finite_is_noticed(strange: float) -> None:
    keys = np.zeros((1, 1, 3, 4), dtype=np.float32)
    keys[0, 0, 1, 1] = strange
    with np.errstate(all="ignore"):
        assert not quantise(KeysValues(keys, np.zeros_like(keys))).finite
        assert not quantise(KeysValues(np.zeros_like(keys), keys)).finite
    assert quantise(document(1).stored).finite


def test_keys_that_lie_crosswise_in_memory_come_out_the_same() -> None:
    straight = document(1).stored
    crosswise = KeysValues(straight.keys.transpose(2, 0, 1, 3).copy().transpose(1, 2, 0, 3), straight.values)
    assert not crosswise.keys.flags.c_contiguous
    assert same(quantised(crosswise), quantised(straight))


def test_bfloat16_comes_back_as_bfloat16() -> None:
    stored = document(1, dtype="bfloat16").stored
    back = quantised(stored)
    assert dtype_of(back) == "bfloat16"
    assert np.allclose(from_bfloat16(back.keys), from_bfloat16(stored.keys), atol=0.03)


def test_other_types_are_refused() -> None:
    halves = np.zeros((1, 1, 2, 4), dtype=np.float16)
    with pytest.raises(ValueError, match="float16"):
        quantise(KeysValues(halves, halves))


def test_whoever_waits_need_not_wait_for_all_layers() -> None:
    with pytest.raises(CancelledError):
        quantise(document(1).stored, lambda: True)


@pytest.mark.parametrize(
    ("bits", "expected"),
    [
        (0x3F80_0000, 0x3F80),  # 1.0
        (0x3F80_8000, 0x3F80),  # half way: to the even one below
        (0x3F81_8000, 0x3F82),  # half way: to the even one above
        (0x3F80_8001, 0x3F81),
        (0x3F80_7FFF, 0x3F80),
        (0x8000_0000, 0x8000),  # minus zero
        (0x7F7F_FFFF, 0x7F80),  # the largest float32 is infinity
        (0x7F80_0000, 0x7F80),
        (0xFF80_0000, 0xFF80),
        (0x0000_0001, 0x0000),
    ],
)
def test_bfloat16_is_the_nearest_and_of_two_the_even_one(bits: int, expected: int) -> None:
    number = np.array([bits], dtype=np.uint32).view(np.float32)
    assert to_bfloat16(number)[0] == expected


@pytest.mark.parametrize("bits", [0x7F80_0001, 0x7FFF_FFFF, 0xFFC0_0000])
def test_what_is_no_number_stays_none(bits: int) -> None:
    number = np.array([bits], dtype=np.uint32).view(np.float32)
    assert np.isnan(from_bfloat16(to_bfloat16(number)))[0]


def test_every_bfloat16_survives_float32() -> None:
    bits = np.arange(1 << 16, dtype=np.uint16)
    numbers = from_bfloat16(bits)
    real = ~np.isnan(numbers)
    assert np.array_equal(to_bfloat16(numbers)[real], bits[real])
