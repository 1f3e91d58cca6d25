"""What is ONNX Runtime's own: chunks, and weights as blocks of integers.

What every runtime has to compute is in `test_runtimes`.
"""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from index.lora import UnusableAdapterError
from model.positions import scheme_for
from model.prompt import Prompt
from model.runtimes.onnx_quantise import Precision, bits_of, dequantise, quantise
from model.runtimes.onnx_runtime import LONGEST_CHUNK, OnnxRuntime
from tests.unit.model.reference import MaskedReference, random_network

VOCABULARY, CLOSE = 120, {"atol": 1e-4, "rtol": 1e-4}
LENGTH = LONGEST_CHUNK + 44

ELEMENTS = st.floats(-100, 100, width=32, allow_subnormal=False)
MATRICES = st.tuples(st.integers(1, 3), st.integers(1, 80)).flatmap(
    lambda size: arrays(np.float32, size, elements=ELEMENTS)
)
FORMS = st.sampled_from([(8, 32), (4, 32), (8, 16), (4, 16)])


def onnx(folder: Path, precision: Precision = "float32") -> OnnxRuntime:
    return OnnxRuntime(folder, precision=precision, threads=1)


def some(seed: int, count: int) -> tuple[int, ...]:
    return tuple(np.random.default_rng(seed).integers(5, VOCABULARY, count).tolist())


@pytest.fixture(scope="module")
def qwen3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_network(tmp_path_factory.mktemp("qwen3"), "qwen3")


@pytest.fixture(scope="module")
def qwen2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_network(tmp_path_factory.mktemp("qwen2"), "qwen2", hidden_size=64)


def test_more_tokens_than_a_chunk_are_one_forward_pass(qwen3: Path):
    tokens, position = some(0, LENGTH), scheme_for("parallel", 1024).tail(0, [])
    expected = MaskedReference(qwen3).logits(Prompt((), (), tokens, b""))
    runtime = onnx(qwen3)
    buffer = runtime.buffer(LENGTH)
    np.testing.assert_allclose(runtime.forward(buffer, tokens, 0, position, "all"), expected, **CLOSE)
    np.testing.assert_allclose(runtime.forward(buffer, tokens, 0, position, "last"), expected[-1:], **CLOSE)
    assert runtime.forward(buffer, tokens, 0, position, "none").shape == (0, VOCABULARY)


def test_what_is_read_is_a_copy(qwen2: Path):
    runtime = onnx(qwen2)
    buffer = runtime.buffer(8)
    runtime.forward(buffer, some(0, 4), 0, 0)
    stored = buffer.read(0, 4)
    before = stored.keys.copy()
    runtime.forward(buffer, some(1, 4), 0, 0)
    np.testing.assert_array_equal(stored.keys, before)


def test_an_adapter_of_another_base_changes_nothing(qwen2: Path, make_adapter: Callable[[int], Path]):
    runtime = onnx(qwen2)
    before = runtime.forward(runtime.buffer(8), some(0, 5), 0, 0)
    with pytest.raises(UnusableAdapterError, match="another base"):
        runtime.load_adapters([make_adapter(1)])
    np.testing.assert_array_equal(runtime.forward(runtime.buffer(8), some(0, 5), 0, 0), before)


@given(weight=MATRICES, form=FORMS)
@settings(deadline=None)
def test_a_rounded_weight_is_at_most_half_a_step_away_and_zero_stays_zero(
    weight: NDArray[np.float32], form: tuple[int, int]
):
    blocks = quantise(weight, *form)
    found = dequantise(blocks)
    steps = np.repeat(blocks.scales, form[1], axis=1)[:, : weight.shape[1]]
    assert found.shape == weight.shape
    assert (np.abs(found - weight) <= 0.501 * steps).all()
    assert (found[weight == 0.0] == 0.0).all()


@given(weight=MATRICES, form=FORMS)
@settings(deadline=None)
def test_integers_are_packed_as_the_operator_reads_them(weight: NDArray[np.float32], form: tuple[int, int]):
    bits, block = form
    blocks = quantise(weight, bits, block)
    count = math.ceil(weight.shape[1] / block)
    assert blocks.packed.shape == (len(weight), count, block * bits // 8)
    assert blocks.scales.shape == (len(weight), count)
    assert blocks.zero_points.shape == (len(weight), math.ceil(count * bits / 8))
    assert (blocks.packed.dtype, blocks.scales.dtype, blocks.zero_points.dtype) == (np.uint8, np.float32, np.uint8)


def layer_of(name: str) -> str:
    """What the graph calls the layer that a tensor belongs to."""
    names = {"lm_head": "logits", "gate": "widened", "up": "widened", "o": "output", "down": "down"}
    return names.get(name.split(".")[-2].removesuffix("_proj"), "qkv")


@pytest.mark.parametrize("precision", ["int8", "int4"])
def test_the_session_computes_with_what_the_integers_stand_for(qwen2: Path, tmp_path: Path, precision: Precision):
    """Against float32 with the same rounded matrices: only the rounding of activations is left."""
    from safetensors.numpy import load_file, save_file

    tensors = load_file(qwen2 / "model.safetensors")
    for name, tensor in tensors.items():
        if tensor.ndim == 2 and "embed" not in name:  # the head is never rounded to four bits
            tensors[name] = dequantise(quantise(tensor, *bits_of(precision, layer_of(name))))
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    (tmp_path / "config.json").write_bytes((qwen2 / "config.json").read_bytes())
    rounded, same = onnx(qwen2, precision), onnx(tmp_path)
    one, two = (runtime.forward(runtime.buffer(64), some(3, 40), 0, 0, "all") for runtime in (rounded, same))
    assert np.abs(one - two).mean() < 0.06 * np.abs(two).mean()
