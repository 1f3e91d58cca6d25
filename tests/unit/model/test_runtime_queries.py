"""Rotated queries, by which pages of documents are chosen: those of transformers, from every runtime and family."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from model.runtimes.onnx_runtime import OnnxRuntime
from model.runtimes.runtime import Runtime
from model.runtimes.torch_runtime import CHUNK, TorchRuntime
from tests.unit.model.reference import MaskedReference, random_network

CLOSE = {"atol": 1e-4, "rtol": 1e-4}
OPENED: dict[str, Callable[[Path], Runtime]] = {
    "onnx": lambda folder: OnnxRuntime(folder, precision="float32", threads=1),
    "torch": lambda folder: TorchRuntime(folder, threads=1, device="cpu"),
}


@pytest.fixture(scope="module", params=["llama", "qwen2", "qwen3"])
def network(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_network(tmp_path_factory.mktemp(request.param), request.param)


@pytest.mark.parametrize("name", OPENED)
def test_queries_are_those_of_transformers(network: Path, name: str):
    runtime, length, position = OPENED[name](network), CHUNK + 20, 7
    tokens = np.random.default_rng(0).integers(5, 120, length).tolist()
    expected = MaskedReference(network).queries(tokens, position)
    buffer = runtime.buffer(length)
    np.testing.assert_allclose(runtime.queries(buffer, tokens, 0, position), expected, **CLOSE)
    last = runtime.queries(buffer, tokens[-3:], length - 3, position + length - 3)
    np.testing.assert_allclose(last, expected[:, -3:], **CLOSE)


@pytest.mark.parametrize("name", OPENED)
def test_asking_for_queries_leaves_keys_and_values_as_a_forward_pass_does(network: Path, name: str):
    runtime, tokens = OPENED[name](network), [7, 8, 9, 10]
    one, two = runtime.buffer(4), runtime.buffer(4)
    runtime.forward(one, tokens, 0, 0, "none")
    runtime.queries(two, tokens, 0, 0)
    np.testing.assert_allclose(two.read(0, 4).keys, one.read(0, 4).keys, **CLOSE)
    np.testing.assert_allclose(two.read(0, 4).values, one.read(0, 4).values, **CLOSE)
