"""ONNX Runtime: the fastest correct way to serve on a CPU, with weights as 8-bit blocks. Needs no torch there.

Keys and values are float32 arrays of ours that the session appends to in place; where weights are in 8 bits, a second
session runs few tokens over keys and values in 8 bits (`model.runtimes.onnx_narrow`). On CUDA see
`model.runtimes.onnx_cuda`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.onnx_session import SPIN_MICROSECONDS, Session, open_session
from inkling.errors import UserError
from inkling.imports import heavy
from model.checkpoint import load_tensors
from model.rotation import turned
from model.runtimes.onnx_graph import LOGITS, Graph, build, queries_name, serialised
from model.runtimes.onnx_narrow import LEAST_SLOTS, MOST_TOKENS, NarrowBuffer
from model.runtimes.onnx_quantise import Precision
from model.runtimes.runtime import DType, KeysValues, Rows
from model.shape import ModelShape, UnsupportedModelError, read_shape

HEAD_MULTIPLE = 16
LONGEST_CHUNK = 512  # tokens per run: bounds the memory of scores


class NoOnnxRuntimeError(UserError):
    """onnxruntime is not installed."""


class OnnxRuntime:
    """See `model.runtimes.runtime.Runtime`. `threads` and `spin` as in `index.onnx_session.open_session`.

    `narrow`: with weights in 8 bits, run few tokens over keys and values in 8 bits, where ONNX Runtime can.
    """

    device = "cpu"
    dtype: DType = "float32"
    half = False  # float16 activations, as the CUDA operators want them
    providers: Sequence[str] = ("CPUExecutionProvider",)

    def __init__(
        self,
        folder: Path,
        adapters: Sequence[Path] = (),
        *,
        precision: Precision = "int8",
        threads: int = 0,
        spin: int | None = SPIN_MICROSECONDS,
        narrow: bool = True,
    ) -> None:
        with heavy:
            try:
                import onnxruntime  # noqa: F401  (slow, and may be missing)
            except ImportError as error:
                raise NoOnnxRuntimeError(
                    "onnxruntime is not installed: `pip install onnxruntime`, or set inkling.model.runtime to torch."
                ) from error
            import onnx  # noqa: F401  (slow)
        self.shape: ModelShape = read_shape(folder)
        if self.shape.head_dim % HEAD_MULTIPLE:
            raise UnsupportedModelError(
                f"The weights in {folder} have heads of {self.shape.head_dim}, and ONNX Runtime's attention takes "
                f"multiples of {HEAD_MULTIPLE}: set inkling.model.runtime to torch."
            )
        self.name = f"onnx-{self.device}-{precision}"
        self.precision = precision
        self._folder = folder
        self._threads = threads
        self._spin = spin
        self._narrows = narrow and self.device == "cpu" and precision == "int8"
        self._session: Session
        self._narrow: Session | None
        self.load_adapters(adapters)

    def load_adapters(self, folders: Sequence[Path]) -> None:
        """Merge, quantise, and make a new session; the old one serves until that is done."""
        graph = build(self.shape, load_tensors(self._folder, folders), self.precision, half=self.half)
        session = self._opened(graph)
        self._narrow = self._opened_narrow(graph) if self._narrows else None
        self._session = session

    def _opened_narrow(self, graph: Graph) -> Session | None:
        """The session for few tokens; None where this ONNX Runtime reads keys and values in float32 alone."""
        from onnxruntime.capi import onnxruntime_pybind11_state as state

        try:
            return self._opened(graph, narrow=True)
        except (state.NotImplemented, state.InvalidGraph, state.InvalidArgument, state.Fail):
            return None

    def _opened(self, graph: Graph, *, narrow: bool = False) -> Session:
        nodes = serialised(graph, narrow=narrow)
        return open_session(nodes, graph.weights, threads=self._threads, providers=self.providers, spin=self._spin)

    @property
    def slot_bytes(self) -> int:
        """Bytes that one slot of a buffer takes, both sides of it."""
        return self.shape.kv_bytes(1, 4 if self._narrow is None else 4 + 1)

    def buffer(self, capacity: int) -> Any:
        """Zeroed arrays."""
        return OnnxBuffer(self.shape, capacity, narrow=self._narrow is not None)

    def upload(self, stored: KeysValues) -> KeysValues:
        """Host memory is all there is."""
        return stored

    def forward(
        self, buffer: "OnnxBuffer", tokens: Sequence[int], slot: int, position: int, rows: Rows = "last"
    ) -> NDArray[np.float32]:
        """One run per `LONGEST_CHUNK` tokens."""
        if slot + len(tokens) > buffer.capacity:
            raise ValueError(f"{slot} + {len(tokens)} tokens do not fit into {buffer.capacity} slots")
        found = []
        for start in range(0, len(tokens), LONGEST_CHUNK):
            chunk = tokens[start : start + LONGEST_CHUNK]
            last = start + len(chunk) == len(tokens)
            logits = self._logits(buffer, chunk, slot + start, position + start, every=rows == "all")
            if rows == "all" or (rows == "last" and last):
                found.append(logits)
        if len(found) == 1:
            return found[0]
        return np.concatenate(found) if found else np.empty((0, self.shape.vocabulary), dtype=np.float32)

    def queries(self, buffer: "OnnxBuffer", tokens: Sequence[int], slot: int, position: int) -> NDArray[np.float32]:
        """Run `tokens` and return their rotated queries, float32 (layers, n, heads, head_dim)."""
        names = [queries_name(self.shape, layer) for layer in range(self.shape.layers)]
        if buffer.narrow is not None:
            buffer.narrow.widen(slot)
            buffer.narrow.wrote_wide(slot, slot + len(tokens))
        binding = buffer.binding_for(self._session.inference)
        binding.clear_binding_outputs()
        try:
            for name in names:
                binding.bind_output(name)
            buffer.bind_outputs(binding)
            self._run(self._session, binding, tokens, slot, position, np.array([len(tokens) - 1]))
            raw = [value.numpy()[0] for value in binding.get_outputs()[: len(names)]]
        finally:
            binding.clear_binding_outputs()
            buffer.bind_outputs(binding)
        width = self.shape.heads * self.shape.head_dim
        stacked = np.stack([one[:, :width] for one in raw]).astype(np.float32)
        stacked = stacked.reshape(self.shape.layers, len(tokens), self.shape.heads, self.shape.head_dim)
        return np.concatenate(
            [turned(stacked[:, index : index + 1], position + index, self.shape) for index in range(len(tokens))],
            axis=1,
        )

    def _logits(
        self, buffer: "OnnxBuffer", tokens: Sequence[int], slot: int, position: int, *, every: bool
    ) -> NDArray[np.float32]:
        """(n or 1, vocabulary). Everything but the logits stays bound from run to run."""
        count = len(tokens)
        rows = np.arange(count, dtype=np.int64) if every else np.array([count - 1], dtype=np.int64)
        logits = np.empty((1, len(rows), self.shape.vocabulary), dtype=np.float32)
        session, binding = self._bound(buffer, slot, count)
        binding.bind_output(LOGITS[self.half], "cpu", 0, np.float32, logits.shape, logits.ctypes.data)
        self._run(session, binding, tokens, slot, position, rows)
        return logits[0]

    def _bound(self, buffer: Any, slot: int, count: int) -> tuple[Session, Any]:
        """The session for so many tokens at `slot`, and its binding to the buffer's side that it reads."""
        if self._narrow is None:
            return self._session, buffer.binding_for(self._session.inference)
        side = buffer.narrow
        if count <= MOST_TOKENS and slot >= LEAST_SLOTS:
            side.narrow(slot)
            side.wrote_narrow(slot, slot + count)
            return self._narrow, side.binding_for(self._narrow.inference)
        side.widen(slot)
        side.wrote_wide(slot, slot + count)
        return self._session, buffer.binding_for(self._session.inference)

    def _run(
        self,
        session: Session,
        binding: Any,
        tokens: Sequence[int],
        slot: int,
        position: int,
        rows: NDArray[np.int64],
    ) -> None:
        count, filled = len(tokens), slot + len(tokens)
        binding.bind_cpu_input("ids", np.array([tokens], dtype=np.int64))
        binding.bind_cpu_input("positions", np.arange(position, position + count, dtype=np.int64)[None])
        binding.bind_cpu_input("past_lengths", np.array([filled - 1], dtype=np.int32))
        binding.bind_cpu_input("total", np.array(filled, dtype=np.int32))
        binding.bind_cpu_input("rows", rows)
        session.inference.run_with_iobinding(binding)


class OnnxBuffer:
    """Keys and values as two arrays (layers, 1, kv_heads, capacity, head_dim), each layer bound to the session."""

    def __init__(self, shape: ModelShape, capacity: int, *, narrow: bool = False) -> None:
        import onnxruntime

        self.capacity = capacity
        self._shape = shape
        size = (shape.layers, 1, shape.kv_heads, capacity, shape.head_dim)
        self.keys = np.zeros(size, dtype=np.float32)
        self.values = np.zeros(size, dtype=np.float32)
        self.narrow = NarrowBuffer(shape, self.keys, self.values) if narrow else None
        self._bound: list[tuple[str, str, Any]] = []
        for kind, array in (("keys", self.keys), ("values", self.values)):
            for layer in range(shape.layers):
                value = onnxruntime.OrtValue.ortvalue_from_numpy(array[layer])
                self._bound.append((f"{kind}.{layer}", f"new_{kind}.{layer}", value))
        self._binding: Any = None
        self._session: Any = None

    def write(self, at: int, stored: KeysValues, turn: int = 0) -> None:
        """See `Buffer.write`."""
        end = at + stored.tokens
        self.keys[:, 0, :, at:end] = turned(stored.keys, turn, self._shape)
        self.values[:, 0, :, at:end] = stored.values
        if self.narrow is not None:
            self.narrow.wrote_wide(at, end)

    def read(self, start: int, end: int) -> KeysValues:
        """See `Buffer.read`."""
        if self.narrow is not None:
            self.narrow.widen(end)
        return KeysValues(self.keys[:, 0, :, start:end].copy(), self.values[:, 0, :, start:end].copy())

    def binding_for(self, session: Any) -> Any:
        """The IO binding with this buffer's arrays as inputs and outputs; made anew only for another session."""
        if session is not self._session:
            self._session, self._binding = session, session.io_binding()
            for name, _, value in self._bound:
                self._binding.bind_ortvalue_input(name, value)
            self.bind_outputs(self._binding)
        return self._binding

    def bind_outputs(self, binding: Any) -> None:
        """The same arrays as outputs: the session appends in place."""
        for _, name, value in self._bound:
            binding.bind_ortvalue_output(name, value)
