"""Which runtime computes on this machine. Asks the machine first, so that torch is only imported where it serves."""

import shutil
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from model.runtimes.onnx_quantise import Precision
from model.runtimes.onnx_runtime import HEAD_MULTIPLE, OnnxRuntime
from model.runtimes.runtime import Runtime
from model.shape import read_shape

RuntimeName = Literal["auto", "onnx", "torch"]


def open_runtime(
    folder: Path,
    adapters: Sequence[Path] = (),
    *,
    name: RuntimeName = "auto",
    precision: Precision = "int8",
    threads: int = 0,
    device: str | None = None,
) -> Runtime:
    """Load weights and adapters. `auto`: torch on an NVIDIA GPU, else ONNX Runtime on the CPU, else torch there.

    `precision` is that of ONNX Runtime's weights. Raises UserErrors that name what is missing or not supported.
    """
    if name == "auto":
        cpu = device == "cpu" or not _has_cuda()
        usable = find_spec("onnxruntime") is not None and read_shape(folder).head_dim % HEAD_MULTIPLE == 0
        name = "onnx" if cpu and usable else "torch"
    if name == "onnx" and device != "cpu" and _onnx_has_cuda():
        from model.runtimes.onnx_cuda import OnnxCudaRuntime

        return OnnxCudaRuntime(folder, adapters, precision=precision, threads=threads)
    if name == "onnx":
        return OnnxRuntime(folder, adapters, precision=precision, threads=threads)
    from model.runtimes.torch_runtime import TorchRuntime

    return TorchRuntime(folder, adapters, threads=threads, device=device)


def _onnx_has_cuda() -> bool:
    """Whether the ONNX Runtime that is installed computes on a GPU that torch finds, too."""
    if not (find_spec("onnxruntime") and _has_cuda()):
        return False
    import onnxruntime

    return "CUDAExecutionProvider" in onnxruntime.get_available_providers()


def _has_cuda() -> bool:
    """Whether torch finds an NVIDIA GPU. Where there is no driver, torch is not even imported."""
    if not (shutil.which("nvidia-smi") or Path("/dev/nvidia0").exists() or Path("/dev/dxg").exists()):
        return False
    if sys.platform == "darwin":
        return False
    import torch

    return bool(torch.cuda.is_available())
