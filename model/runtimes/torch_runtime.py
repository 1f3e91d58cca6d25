"""Our own torch runtime: for GPUs, and for CPUs without ONNX Runtime or with weights that it does not take.

bfloat16 on CUDA with graphs for decoding, float32 on a CPU and on Apple's GPUs. Keys and values cross to the host as
numpy arrays, bfloat16 as its bits. Whatever fails, weights and buffers are as they were before.
"""

import traceback
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
from model.runtimes.torch_network import Parameters, Slots, TorchNetwork, fused, random_parameters
from model.shape import ModelShape, UnsupportedModelError, read_shape
from model.threads import set_threads

CHUNK = 256  # tokens per pass: bounds the memory of scores, activations and logits
_DTYPES: dict[DType, torch.dtype] = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class TorchRuntime:
    """See `model.runtimes.runtime.Runtime`. `device` None: CUDA, else Apple's GPU, else the CPU.

    `dtype` None: bfloat16 on CUDA, float32 elsewhere.
    """

    def __init__(
        self,
        folder: Path,
        adapters: Sequence[Path] = (),
        *,
        threads: int = 0,
        device: str | None = None,
        dtype: DType | None = None,
    ) -> None:
        self._prepare(read_shape(folder), device, dtype, threads)
        self._folder: Path | None = folder
        with _memory():
            self._network = TorchNetwork(self.shape, self._merged(folder, adapters), self.device, _DTYPES[self.dtype])

    @classmethod
    def random(
        cls, shape: ModelShape, device: str | None = None, threads: int = 0, dtype: DType | None = None
    ) -> "TorchRuntime":
        """A network of this shape with weights of no meaning, for figures of speed."""
        made = cls.__new__(cls)
        made._prepare(shape, device, dtype, threads)
        made._folder = None
        with _memory():
            parameters = random_parameters(shape, made.device, _DTYPES[made.dtype])
            made._network = TorchNetwork(shape, parameters, made.device, _DTYPES[made.dtype])
        return made

    def _prepare(self, shape: ModelShape, device: str | None, dtype: DType | None, threads: int) -> None:
        set_threads(threads)
        self.shape = shape
        self.device = device or _device()
        self.dtype: DType = dtype or ("bfloat16" if self.device == "cuda" else "float32")
        self.name = f"torch-{self.device}-{self.dtype}"

    @property
    def slot_bytes(self) -> int:
        """Bytes that one slot of a buffer takes."""
        return self.shape.kv_bytes(1, _DTYPES[self.dtype].itemsize)

    def _merged(self, folder: Path, adapters: Sequence[Path]) -> Parameters:
        try:
            return fused(self.shape, load_tensors(folder, adapters))
        except KeyError as error:
            raise UnsupportedModelError(
                f"The weights in {folder} cannot be served: {error} is missing. Run `inkling models pull` again, or "
                "choose other weights (inkling.model.base)."
            ) from error

    def load_adapters(self, folders: Sequence[Path]) -> None:
        """Merge first, then copy into the weights that are there."""
        if self._folder is None:
            raise ValueError("weights of no meaning take no adapter")
        self._network.replace(self._merged(self._folder, folders))

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
        found = []
        with torch.inference_mode(), _memory():
            ids, positions = self._placed(buffer, tokens, slot, position)
            if buffer.graphs is not None and rows != "none":
                logits = buffer.graphs.run(ids, positions, slot)
                if logits is not None:
                    return self._to_host(logits if rows == "all" else logits[-1:])
            for start in range(0, len(tokens), CHUNK):
                part = slice(start, start + CHUNK)
                hidden = self._network.forward(ids[part], positions[part], buffer.slots, slot + start)
                if rows == "all":
                    found.append(self._to_host(self._network.logits(hidden)))
                elif rows == "last" and start + CHUNK >= len(tokens):
                    found.append(self._to_host(self._network.logits(hidden[-1:])))
        return np.concatenate(found) if found else np.empty((0, self.shape.vocabulary), dtype=np.float32)

    def queries(self, buffer: "TorchBuffer", tokens: Sequence[int], slot: int, position: int) -> NDArray[np.float32]:
        """See `Runtime.queries`."""
        shape = self.shape
        found = [np.empty((shape.layers, 0, shape.heads, shape.head_dim), dtype=np.float32)]
        with torch.inference_mode(), _memory():
            ids, positions = self._placed(buffer, tokens, slot, position)
            for start in range(0, len(tokens), CHUNK):
                part, noted = slice(start, start + CHUNK), list[torch.Tensor]()
                self._network.forward(ids[part], positions[part], buffer.slots, slot + start, noted)
                found.append(self._to_host(torch.stack(noted).transpose(1, 2)))
        return np.concatenate(found, axis=1)

    def _placed(
        self, buffer: "TorchBuffer", tokens: Sequence[int], slot: int, position: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Ids and positions on the device, (n,) int64 each."""
        if slot + len(tokens) > buffer.capacity:
            raise ValueError(f"{slot} + {len(tokens)} tokens do not fit into {buffer.capacity} slots")
        ids = torch.tensor(tokens, dtype=torch.int64, device=self.device)
        return ids, torch.arange(position, position + len(tokens), device=self.device)

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
        end = at + keys.shape[2]
        with torch.inference_mode(), _memory():
            if isinstance(keys, np.ndarray):
                keys, values = _to_torch(keys).to(self._network.device), _to_torch(values).to(self._network.device)
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
    except RuntimeError as error:  # torch.OutOfMemoryError is one; Apple's GPUs have no class of their own
        if "out of memory" not in str(error):
            raise
        traceback.clear_frames(error.__traceback__)  # they hold what had already been computed
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        raise OutOfMemoryError(str(error)) from error


def _to_torch(array: NDArray[Any]) -> torch.Tensor:
    if array.dtype == np.uint16:
        return torch.from_numpy(np.ascontiguousarray(array).view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(np.ascontiguousarray(array))


def _to_numpy(tensor: torch.Tensor) -> NDArray[Any]:
    held = tensor.detach().to("cpu", copy=True).contiguous()
    if held.dtype == torch.bfloat16:
        bits: NDArray[Any] = held.view(torch.int16).numpy().view(np.uint16)
        return bits
    return held.numpy()


def _device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
