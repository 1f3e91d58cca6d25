"""Keys and values in 8 bits beside float32: whichever side a run reads holds what was written last on either."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from model.runtimes import onnx_runtime
from model.runtimes.onnx_narrow import LEAST_SLOTS, MOST_TOKENS, NarrowBuffer
from model.runtimes.onnx_runtime import OnnxBuffer, OnnxRuntime
from model.runtimes.runtime import KeysValues
from model.shape import read_shape

VOCABULARY, FILLED = 120, LEAST_SLOTS + 20


def some(seed: int, count: int) -> tuple[int, ...]:
    return tuple(np.random.default_rng(seed).integers(5, VOCABULARY, count).tolist())


def far(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """The largest difference, in parts of the largest logit."""
    return float(np.abs(found - expected).max() / np.abs(expected).max())


@pytest.fixture(scope="module")
def runtime(tiny_base: Path) -> OnnxRuntime:
    return OnnxRuntime(tiny_base, precision="int8", threads=1)


@pytest.fixture
def narrow(tiny_base: Path) -> tuple[NarrowBuffer, NDArray[np.float32], NDArray[np.float32]]:
    shape = read_shape(tiny_base)
    size = (shape.layers, 1, shape.kv_heads, 40, shape.head_dim)
    rng = np.random.default_rng(0)
    keys, values = (rng.standard_normal(size).astype(np.float32) for _ in range(2))
    return NarrowBuffer(shape, keys, values), keys, values


def test_few_tokens_over_8_bits_compute_what_float32_does(runtime: OnnxRuntime, monkeypatch: pytest.MonkeyPatch):
    assert runtime.buffer(8).narrow is not None, "this ONNX Runtime does not read keys and values in 8 bits"
    context, ahead = some(0, FILLED), some(1, 30)
    found: dict[int, list[NDArray[np.float32]]] = {}
    for most in (0, MOST_TOKENS):
        monkeypatch.setattr(onnx_runtime, "MOST_TOKENS", most)
        buffer = runtime.buffer(FILLED + 64)
        runtime.forward(buffer, context, 0, 0)
        steps = [ahead[:1], ahead[1:3], ahead[3:9], ahead[9:10], ahead[10:11], ahead[11:30]]
        slot, found[most] = FILLED, []
        for step in steps:
            found[most].append(runtime.forward(buffer, step, slot, slot, "all"))
            slot += len(step)
    for wide, near in zip(found[0], found[MOST_TOKENS], strict=True):
        assert far(near, wide) < 0.06


def test_a_document_written_over_another_is_seen(runtime: OnnxRuntime):
    """As when documents are exchanged below a tail that stays: the next single token reads the new ones."""
    first, second, tail = some(2, FILLED), some(3, FILLED), some(4, 1)
    other = runtime.buffer(FILLED + 8)
    runtime.forward(other, second, 0, 0)
    expected = runtime.forward(other, tail, FILLED, FILLED)
    buffer = runtime.buffer(FILLED + 8)
    runtime.forward(buffer, first, 0, 0)
    before = runtime.forward(buffer, tail, FILLED, FILLED)
    buffer.write(0, other.read(0, FILLED))
    after = runtime.forward(buffer, tail, FILLED, FILLED)
    assert far(after, expected) < 0.06
    assert far(before, expected) > 0.2


def test_what_single_tokens_wrote_is_read_back(runtime: OnnxRuntime):
    buffer = runtime.buffer(FILLED + 8)
    runtime.forward(buffer, some(5, FILLED), 0, 0)
    runtime.forward(buffer, some(6, 1), FILLED, FILLED)
    one = buffer.read(FILLED, FILLED + 1)
    exact = runtime.buffer(FILLED + 8)
    runtime.forward(exact, (*some(5, FILLED), *some(6, 1)), 0, 0)
    expected = exact.read(FILLED, FILLED + 1)
    assert np.abs(one.keys).max() > 0
    assert far(one.keys, expected.keys) < 0.1
    assert far(one.values, expected.values) < 0.1


def test_both_sides_agree_after_converting_there_and_back(
    narrow: tuple[NarrowBuffer, NDArray[np.float32], NDArray[np.float32]],
):
    buffer, keys, values = narrow
    before = keys.copy(), values.copy()
    buffer.wrote_wide(0, 40)
    buffer.narrow(40)
    buffer.wrote_narrow(0, 40)
    buffer.widen(40)
    for found, expected in zip((keys, values), before, strict=True):
        step = np.abs(expected).max(axis=3, keepdims=True) * 1.25 / 127
        assert (np.abs(found - expected) <= 0.5 * step + 1e-6).all()
        assert not np.array_equal(found, expected)


def test_what_lay_in_a_buffer_before_changes_nothing(runtime: OnnxRuntime):
    def answers(buffer: OnnxBuffer) -> NDArray[np.float32]:
        runtime.forward(buffer, some(7, FILLED), 0, 0)
        return np.concatenate([runtime.forward(buffer, some(8, 1), FILLED + at, FILLED + at, "all") for at in range(4)])

    used = runtime.buffer(FILLED + 8)
    runtime.forward(used, some(9, FILLED), 0, 0)
    runtime.forward(used, some(9, 1), FILLED, FILLED)
    used.write(0, KeysValues(used.keys[:, 0] * 9, used.values[:, 0] * 9))
    runtime.forward(used, some(9, 1), FILLED, FILLED)
    np.testing.assert_array_equal(answers(used), answers(runtime.buffer(FILLED + 8)))


def test_scales_that_grow_leave_what_single_tokens_wrote_as_it_was(
    narrow: tuple[NarrowBuffer, NDArray[np.float32], NDArray[np.float32]],
):
    buffer, keys, _ = narrow
    buffer.narrow(30)
    buffer.wrote_narrow(30, 31)  # of it the float32 side knows nothing
    buffer._narrow[0][..., 30:31, :] = 64
    expected = 64 * buffer._scales[0]
    keys[..., 31:, :] *= 50.0
    buffer.wrote_wide(31, 40)
    buffer.narrow(40)
    np.testing.assert_allclose(keys[..., 30:31, :], expected)


def test_what_is_written_from_the_first_slot_on_is_not_overwritten_by_what_was_there(runtime: OnnxRuntime):
    buffer, other = runtime.buffer(FILLED + 8), runtime.buffer(FILLED + 8)
    runtime.forward(buffer, some(5, FILLED), 0, 0)
    runtime.forward(buffer, some(6, 1), FILLED, FILLED)
    runtime.forward(other, some(7, FILLED + 4), 0, 0)
    stored = other.read(0, FILLED + 4)
    buffer.write(0, stored)
    np.testing.assert_array_equal(buffer.read(0, FILLED + 4).keys, stored.keys)


def test_larger_numbers_than_before_are_not_cut_off(
    narrow: tuple[NarrowBuffer, NDArray[np.float32], NDArray[np.float32]],
):
    buffer, keys, _ = narrow
    buffer.wrote_wide(0, 20)
    buffer.narrow(20)
    keys[..., 20:, :] *= 50.0
    before = keys.copy()
    buffer.wrote_wide(20, 40)
    buffer.narrow(40)
    buffer.wrote_narrow(0, 40)
    buffer.widen(40)
    step = np.abs(before).max(axis=3, keepdims=True) * 1.25 / 127
    assert (np.abs(keys - before) <= 0.5 * step + 1e-5).all()
