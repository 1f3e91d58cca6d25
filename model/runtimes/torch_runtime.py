"""Our own torch runtime: for GPUs, and for CPUs without ONNX Runtime or with weights that it does not take.

bfloat16 on CUDA with graphs for decoding, float32 on a CPU and on Apple's GPUs. Keys and values cross to the host as
numpy arrays, bfloat16 as its bits.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from model.checkpoint import load_tensors
from model.runtimes.runtime import DType, KeysValues, OutOfMemoryError, Rows
from model.runtimes.torch_graphs import DecodeGraphs
from model.runtimes.torch_network import Slots, TorchNetwork, fused, random_parameters
from model.shape import ModelShape, read_shape
from model.threads import set_threads

CHUNK = 256  # tokens per pass: bounds the memory of scores


class TorchRuntime:
    """See `model.runtimes.runtime.Runtime`. `device` None: CUDA, else Apple's GPU, else the CPU."""

    def __init__(
        self, folder: Path, adapters: Sequence[Path] = (), *, threads: int = 0, device: str | None = None
    ) -> None:
        shape = read_shape(folder)
        self._prepare(shape, device, threads)
        self._folder: Path | None = folder
        with _memory():
            self._network = TorchNetwork(shape, fused(shape, load_tensors(folder, adapters)), self.device, self._dtype)

    @classmethod
    def random(cls, shape: ModelShape, device: str | None = None, threads: int = 0) -> "TorchRuntime":
        """A network of this shape with weights of no meaning, for figures of speed."""
        made = cls.__new__(cls)
        made._prepare(shape, device, threads)
        made._folder = None
        with _memory():
            parameters = random_parameters(shape, made.device, made._dtype)
            made._network = TorchNetwork(shape, parameters, made.device, made._dtype)
        return made

    def _prepare(self, shape: ModelShape, device: str | None, threads: int) -> None:
        set_threads(threads)
        self.shape = shape
        self.device = device or _device()
        self._dtype = torch.bfloat16 if self.device == "cuda" else torch.float32
        self.dtype: DType = "bfloat16" if self.device == "cuda" else "float32"
        self.name = f"torch-{self.device}-{self.dtype}"

    def load_adapters(self, folders: Sequence[Path]) -> None:
        """Merge first, then copy into the weights that are there."""
        if self._folder is None:
            raise ValueError("weights of no meaning take no adapter")
        self._network.replace(fused(self.shape, load_tensors(self._folder, folders)))

    def buffer(self, capacity: int) -> "TorchBuffer":
        """Zeroed tensors on the device."""
        with _memory():
            return TorchBuffer(self._network, capacity)

    def upload(self, stored: KeysValues) -> Slots:
        """The same keys and values as tensors on the device."""
        with _memory():
            return self._uploaded(stored)

    def _uploaded(self, stored: KeysValues) -> Slots:
        return Slots(_to_torch(stored.keys).to(self.device), _to_torch(stored.values).to(self.device))

    def forward(
        self, buffer: "TorchBuffer", tokens: Sequence[int], slot: int, position: int, rows: Rows = "last"
    ) -> NDArray[np.float32]:
        """One pass per `CHUNK` tokens; a CUDA graph where a few tokens are decoded."""
        if slot + len(tokens) > buffer.capacity:
            raise ValueError(f"{slot} + {len(tokens)} tokens do not fit into {buffer.capacity} slots")
        found = []
        with torch.inference_mode(), _memory():
            ids = torch.tensor(tokens, dtype=torch.int64, device=self.device)
            positions = torch.arange(position, position + len(tokens), device=self.device)
            if buffer.graphs is not None and rows != "none":
                logits = buffer.graphs.run(ids, positions, slot)
                if logits is not None:
                    return self._to_host(logits if rows == "all" else logits[-1:])
            for start in range(0, len(tokens), CHUNK):
                part = slice(start, start + CHUNK)
                hidden = self._network.forward(ids[part], positions[part], buffer.slots, slot + start)
                if rows == "all":
                    found.append(self._network.logits(hidden))
                elif rows == "last" and start + CHUNK >= len(tokens):
                    found.append(self._network.logits(hidden[-1:]))
            if not found:
                return np.empty((0, self.shape.vocabulary), dtype=np.float32)
            return self._to_host(torch.cat(found))

    def queries(self, buffer: "TorchBuffer", tokens: Sequence[int], slot: int, position: int) -> NDArray[np.float32]:
        """See `Runtime.queries`."""
        with torch.inference_mode(), _memory():
            ids = torch.tensor(tokens, dtype=torch.int64, device=self.device)
            positions = torch.arange(position, position + len(tokens), device=self.device)
            return self._to_host(self._network.queries(ids, positions, buffer.slots, slot))

    @staticmethod
    def _to_host(values: torch.Tensor) -> NDArray[np.float32]:
        array: NDArray[np.float32] = values.float().cpu().numpy()
        return array


class TorchBuffer:
    """Preallocated keys and values (layers, kv_heads, capacity, head_dim) on the device."""

    def __init__(self, network: TorchNetwork, capacity: int) -> None:
        shape = network.shape
        size = (shape.layers, shape.kv_heads, capacity, shape.head_dim)
        self.capacity = capacity
        self._network = network
        self.slots = Slots(
            torch.zeros(size, dtype=network.dtype, device=network.device),
            torch.zeros(size, dtype=network.dtype, device=network.device),
        )
        self.graphs = DecodeGraphs(network, self.slots, capacity) if network.device == "cuda" else None

    def write(self, at: int, stored: Any, turn: int = 0) -> None:
        """See `Buffer.write`; `stored` is KeysValues or what `upload` made of them."""
        keys, values = stored.keys, stored.values
        if isinstance(keys, np.ndarray):
            keys, values = _to_torch(keys).to(self._network.device), _to_torch(values).to(self._network.device)
        end = at + keys.shape[2]
        with torch.inference_mode():
            self.slots.keys[:, :, at:end] = self._network.turned(keys, turn) if turn else keys
            self.slots.values[:, :, at:end] = values

    def read(self, start: int, end: int) -> KeysValues:
        """See `Buffer.read`."""
        return KeysValues(_to_numpy(self.slots.keys[:, :, start:end]), _to_numpy(self.slots.values[:, :, start:end]))


@contextmanager
def _memory() -> Iterator[None]:
    """What torch says when an accelerator is full, in our words."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        raise OutOfMemoryError(str(error)) from error


def _to_torch(array: NDArray[Any]) -> torch.Tensor:
    if array.dtype == np.uint16:
        return torch.from_numpy(np.ascontiguousarray(array).view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(np.ascontiguousarray(array))


def _to_numpy(tensor: torch.Tensor) -> NDArray[Any]:
    held = tensor.detach().contiguous().cpu().clone()
    if held.dtype == torch.bfloat16:
        bits: NDArray[Any] = held.view(torch.int16).numpy().view(np.uint16)
        return bits
    return held.numpy()


def _device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
