"""On a GPU: graphs compute what is computed without them, flash attends, and bfloat16 stays near float32.

Arithmetic is compared in float32, number by number. Single logits of correct bfloat16 are up to half a unit off where
their mean is 1.3 (emulated on a CPU on the same weights), so there the mean distance is what is bounded.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.runtimes.runtime import OutOfMemoryError

pytestmark = pytest.mark.gpu

EXACT = {"atol": 2e-3, "rtol": 2e-3}


def opened(folder: Path, device: str, dtype: Any = None) -> Any:
    from model.runtimes.torch_runtime import TorchRuntime

    return TorchRuntime(folder, device=device, dtype=dtype)


def some(seed: int, count: int) -> list[int]:
    found: list[int] = np.random.default_rng(seed).integers(5, 300, count).tolist()
    return found


def distance(one: np.ndarray, two: np.ndarray) -> float:
    return float(np.abs(one - two).mean())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_captured_graph_computes_what_is_computed_without_it(tiny_base: Path, dtype: Any):
    """Over the borders of the lengths 512, 1024 and the capacity, and back again to a graph that is there."""
    runtime = opened(tiny_base, "cuda", dtype)
    with_graphs, without = runtime.buffer(1100), runtime.buffer(1100)
    without.graphs = None
    for buffer in (with_graphs, without):
        runtime.forward(buffer, some(0, 1090), 0, 0, "none")
    for slot, count in ((505, 1), (506, 5), (511, 1), (512, 9), (521, 10), (1020, 5), (1091, 9), (40, 1), (41, 1)):
        new = some(slot, count)
        one = runtime.forward(with_graphs, new, slot, slot, "all")
        two = runtime.forward(without, new, slot, slot, "all")
        assert one.shape == two.shape
        if dtype == "float32":
            np.testing.assert_allclose(one, two, **EXACT)
        assert distance(one, two) < 0.05
    assert set(with_graphs.graphs._graphs) == {(1, 512), (5, 512), (9, 1024), (5, 1100), (9, 1100)}


def test_graphs_compute_with_the_adapter_that_came_after_them(tiny_base: Path, make_adapter: Callable[[int], Path]):
    there, here = opened(tiny_base, "cuda", "float32"), opened(tiny_base, "cpu")
    one, two = there.buffer(64), here.buffer(64)
    for folders in ([], [make_adapter(1)], []):
        for runtime, buffer in ((there, one), (here, two)):
            runtime.load_adapters(folders)
            runtime.forward(buffer, some(1, 20), 0, 0, "none")
        np.testing.assert_allclose(
            there.forward(one, some(2, 1), 20, 20), here.forward(two, some(2, 1), 20, 20), **EXACT
        )
    assert set(one.graphs._graphs) == {(1, 64)}


@pytest.mark.parametrize(("dtype", "bound"), [("float32", 1e-3), ("bfloat16", 0.1)])
def test_the_gpu_agrees_with_the_cpu(tiny_base: Path, dtype: Any, bound: float):
    """In one pass of several chunks, and behind keys that were encoded elsewhere and turned."""
    there, here = opened(tiny_base, "cuda", dtype), opened(tiny_base, "cpu")
    found = []
    for runtime in (there, here):
        apart, together = runtime.buffer(700), runtime.buffer(700)
        rows = [runtime.forward(apart, some(3, 600), 0, 0, "all")]
        together.write(0, runtime.upload(apart.read(0, 300)), 17)
        together.write(300, apart.read(100, 200), -50)
        rows.append(runtime.forward(together, some(4, 30), 400, 400, "all"))
        found.append(np.concatenate(rows))
    assert distance(*found) < bound


def test_bfloat16_is_what_a_gpu_serves_with_flash_attention_where_it_has_it(tiny_base: Path):
    import torch

    runtime = opened(tiny_base, "cuda")
    assert (runtime.name, runtime.dtype) == ("torch-cuda-bfloat16", "bfloat16")
    built = torch.version.hip is None and torch.backends.cuda.is_flash_attention_available()
    if built and torch.cuda.get_device_capability() >= (8, 0):
        assert runtime._network.attention.flash


def test_keys_and_values_leave_and_come_back_bit_by_bit(tiny_base: Path):
    runtime = opened(tiny_base, "cuda")
    one, two = runtime.buffer(64), runtime.buffer(64)
    runtime.forward(one, some(5, 50), 0, 0, "none")
    stored = one.read(0, 50)
    assert stored.keys.dtype == np.uint16
    two.write(3, runtime.upload(stored))
    np.testing.assert_array_equal(two.read(3, 53).keys, stored.keys)
    np.testing.assert_array_equal(two.read(3, 53).values, stored.values)


def test_a_full_gpu_is_an_error_that_can_be_answered(tiny_base: Path):
    runtime = opened(tiny_base, "cuda")
    buffer = runtime.buffer(64)
    before = runtime.forward(buffer, some(6, 20), 0, 0)
    with pytest.raises(OutOfMemoryError):
        runtime.buffer(1 << 34)
    assert distance(runtime.forward(buffer, some(6, 20)[19:], 19, 19), before) < 0.05


def test_onnx_runtime_on_the_gpu_agrees_with_the_cpu(tiny_base: Path):
    import onnxruntime

    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has no CUDA")
    from model.runtimes.onnx_cuda import OnnxCudaRuntime
    from model.runtimes.onnx_runtime import OnnxRuntime

    there, here = OnnxCudaRuntime(tiny_base, precision="float32"), OnnxRuntime(tiny_base, precision="float32")
    tokens = list(range(10, 60))
    one, two = there.buffer(64), here.buffer(64)
    np.testing.assert_allclose(
        there.forward(one, tokens, 0, 0, "all"), here.forward(two, tokens, 0, 0, "all"), atol=0.1, rtol=0.1
    )
    two.write(0, one.read(0, 20))
    np.testing.assert_allclose(two.read(0, 20).values, one.read(0, 20).values)
