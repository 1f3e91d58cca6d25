"""On a GPU: graphs compute what is computed without them, and bfloat16 stays near float32."""

from pathlib import Path

import numpy as np
import pytest

from model.runtimes.runtime import OutOfMemoryError

pytestmark = pytest.mark.gpu


def test_a_captured_graph_computes_what_is_computed_without_it(tiny_base: Path):
    from model.runtimes.torch_runtime import TorchRuntime

    runtime = TorchRuntime(tiny_base, device="cuda")
    with_graphs, without = runtime.buffer(1024), runtime.buffer(1024)
    without.graphs = None
    tokens = np.random.default_rng(0).integers(5, 100, 300).tolist()
    runtime.forward(with_graphs, tokens, 0, 0)
    runtime.forward(without, tokens, 0, 0)
    slot = 300
    for count in (1, 1, 5, 1, 9, 2):
        new = np.random.default_rng(count).integers(5, 100, count).tolist()
        one = runtime.forward(with_graphs, new, slot, slot, "all")
        two = runtime.forward(without, new, slot, slot, "all")
        np.testing.assert_allclose(one, two, atol=0.05, rtol=0.05)
        slot += count
    assert with_graphs.graphs is not None
    assert with_graphs.graphs._graphs


def test_the_gpu_agrees_with_the_cpu(tiny_base: Path):
    from model.runtimes.torch_runtime import TorchRuntime

    there, here = TorchRuntime(tiny_base, device="cuda"), TorchRuntime(tiny_base, device="cpu")
    tokens = list(range(10, 60))
    one = there.forward(there.buffer(64), tokens, 0, 0, "all")
    two = here.forward(here.buffer(64), tokens, 0, 0, "all")
    np.testing.assert_allclose(one, two, atol=0.15, rtol=0.15)
    assert (there.dtype, here.dtype) == ("bfloat16", "float32")


def test_a_full_gpu_is_an_error_that_can_be_answered(tiny_base: Path):
    from model.runtimes.torch_runtime import TorchRuntime

    with pytest.raises(OutOfMemoryError):
        TorchRuntime(tiny_base, device="cuda").buffer(1 << 34)


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
