"""ONNX Runtime on an NVIDIA GPU: the same graph with float16 activations, keys and values as tensors on the device.

torch only lends the memory: its tensors are bound to the session by address and never copied. On the host, keys and
values are float32, which holds every float16 exactly. Needs `onnxruntime-gpu` and a torch with CUDA.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from model.rotation import turned
from model.runtimes.onnx_runtime import OnnxRuntime
from model.runtimes.runtime import KeysValues, OutOfMemoryError
from model.shape import ModelShape


class OnnxCudaRuntime(OnnxRuntime):
    """See `model.runtimes.runtime.Runtime`."""

    device = "cuda"
    half = True
    providers = ("CUDAExecutionProvider", "CPUExecutionProvider")

    @property
    def slot_bytes(self) -> int:
        """Bytes that one slot of a buffer takes."""
        return self.shape.kv_bytes(1, 2)

    def buffer(self, capacity: int) -> Any:
        """Zeroed tensors on the device."""
        return OnnxCudaBuffer(self.shape, capacity)


class OnnxCudaBuffer:
    """Keys and values (layers, 1, kv_heads, capacity, head_dim) in float16 on the device."""

    def __init__(self, shape: ModelShape, capacity: int) -> None:
        import torch

        self.capacity = capacity
        self._shape = shape
        size = (shape.layers, 1, shape.kv_heads, capacity, shape.head_dim)
        with _memory():
            self.keys = torch.zeros(size, dtype=torch.float16, device="cuda")
            self.values = torch.zeros(size, dtype=torch.float16, device="cuda")
        self._binding: Any = None
        self._session: Any = None

    def write(self, at: int, stored: KeysValues, turn: int = 0) -> None:
        """See `Buffer.write`."""
        import torch

        end = at + stored.tokens
        keys = torch.from_numpy(np.ascontiguousarray(turned(stored.keys, turn, self._shape)))
        self.keys[:, 0, :, at:end] = keys.to("cuda", torch.float16)
        self.values[:, 0, :, at:end] = torch.from_numpy(np.ascontiguousarray(stored.values)).to("cuda", torch.float16)
        torch.cuda.synchronize()  # the session runs on a stream of its own

    def read(self, start: int, end: int) -> KeysValues:
        """See `Buffer.read`."""
        keys, values = self.keys[:, 0, :, start:end], self.values[:, 0, :, start:end]
        return KeysValues(keys.float().cpu().numpy(), values.float().cpu().numpy())

    def binding_for(self, session: Any) -> Any:
        """The IO binding with this buffer's tensors as inputs and outputs; made anew only for another session."""
        if session is not self._session:
            self._session, self._binding = session, session.io_binding()
            for kind, layer, size, address in self._places():
                self._binding.bind_input(f"{kind}.{layer}", "cuda", 0, np.float16, size, address)
            self.bind_outputs(self._binding)
        return self._binding

    def bind_outputs(self, binding: Any) -> None:
        """The same tensors as outputs: the session appends in place."""
        for kind, layer, size, address in self._places():
            binding.bind_output(f"new_{kind}.{layer}", "cuda", 0, np.float16, size, address)

    def _places(self) -> Iterator[tuple[str, int, tuple[int, ...], int]]:
        for kind, tensor in (("keys", self.keys), ("values", self.values)):
            for layer in range(self._shape.layers):
                yield kind, layer, tuple(tensor[layer].shape), tensor[layer].data_ptr()


@contextmanager
def _memory() -> Iterator[None]:
    import torch

    try:
        yield
    except torch.OutOfMemoryError as error:
        torch.cuda.empty_cache()
        raise OutOfMemoryError(str(error)) from error
