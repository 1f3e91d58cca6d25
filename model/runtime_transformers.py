"""The reference runtime: transformers' own forward pass over one causal sequence (documents, then the tail).

What is resident is one list of token ids and their keys and values; whatever is asked for next, the longest common
beginning is kept and the rest is computed. float32 on a CPU, bfloat16 on a GPU. Not thread-safe: one thread owns it.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from inkling.errors import InklingError
from inkling.imports import heavy
from model.runtime import Cancelled, CancelledError, Prefill
from model.threads import set_threads

if TYPE_CHECKING:
    import torch

CHUNK = 128  # tokens between two looks at `cancelled`


class TransformersRuntime:
    """See `model.runtime.Runtime`. `threads` as in `model.threads`."""

    def __init__(self, folder: Path, threads: int = 0, *, device: str | None = None, chunk: int = CHUNK) -> None:
        os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
        os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
        with heavy:
            import torch
            from transformers import AutoModelForCausalLM
            from transformers.utils import logging

            from model.lora import Merger

        logging.disable_progress_bar()
        set_threads(threads)
        self.device = device or _device()
        dtype = torch.bfloat16 if self.device == "cuda" else torch.float32
        model: Any = AutoModelForCausalLM.from_pretrained(str(folder), dtype=dtype, local_files_only=True)
        self._model = model.to(self.device).eval().requires_grad_(False)
        self._merger = Merger(self._model)
        self.name = "transformers"
        self.vocabulary = int(model.config.vocab_size)
        self.maximum_positions = int(model.config.max_position_embeddings)
        self._chunk = chunk
        self._cache = _ResidentCache(int(model.config.num_hidden_layers), self.maximum_positions)
        self._ids: list[int] = []
        self._documents: list[int] = []
        self._computed = 0  # tokens computed since the last answer

    def encode(self, documents: Sequence[Sequence[int]], cancelled: Cancelled) -> None:
        """Lay the documents end to end, behind one another. The resident tail stays if they have not changed."""
        self._documents = [id for document in documents for id in document]
        self._computed = 0
        if self._ids[: len(self._documents)] != self._documents:
            self._compute(self._documents, len(self._documents), cancelled)

    def extend(self, tail: Sequence[int], cancelled: Cancelled) -> Prefill:
        """Prefill what differs. The last token is always computed, as its logits are the answer."""
        sequence = [*self._documents, *tail]
        if not tail:
            raise ValueError("the tail needs at least one token")
        logits = self._compute(sequence, len(sequence) - 1, cancelled)
        computed, self._computed = self._computed, 0
        return Prefill(logits, max(0, len(sequence) - computed), computed)

    def decode(self, token: int) -> np.ndarray:
        """One step."""
        return self._forward([token])

    def load_adapter(self, folder: Path | None) -> None:
        """Merge the LoRA into the weights; on failure the one before stays. Every key and value is dropped."""
        self._merger.merge(folder)
        self._ids = []
        self._cache.crop(0)

    def _compute(self, sequence: list[int], reusable: int, cancelled: Cancelled) -> np.ndarray:
        """Make `sequence` resident, reusing at most its first `reusable` tokens. Logits after its last token."""
        if len(sequence) > self.maximum_positions:
            raise InklingError(f"{len(sequence)} tokens do not fit into {self.maximum_positions} positions")
        same = 0
        for have, wanted in zip(self._ids, sequence[:reusable], strict=False):
            if have != wanted:
                break
            same += 1
        del self._ids[same:]
        self._cache.crop(same)
        logits = np.empty(0, np.float32)
        for start in range(same, len(sequence), self._chunk):
            if cancelled():
                self._computed = 0  # the next request finds these tokens resident
                raise CancelledError
            logits = self._forward(sequence[start : start + self._chunk])
        return logits

    def _forward(self, ids: list[int]) -> np.ndarray:
        import torch

        with torch.inference_mode():
            result = self._model(
                torch.tensor([ids], device=self.device), past_key_values=self._cache.cache, logits_to_keep=1
            )
            logits: np.ndarray = result.logits[0, -1].float().cpu().numpy()
        self._ids.extend(ids)
        self._computed += len(ids)
        return logits


class _ResidentCache:
    """Keys and values in buffers that grow by doubling: a step copies one token, and a rollback moves an end mark.

    (`DynamicCache` copies every layer whole on each step.)
    """

    def __init__(self, layers: int, positions: int) -> None:
        from transformers import Cache
        from transformers.cache_utils import DynamicLayer

        class Layer(DynamicLayer):
            """One layer. `keys` and `values` are views of the buffers."""

            def lazy_initialization(self, key_states: "torch.Tensor", value_states: "torch.Tensor") -> None:
                self.dtype, self.device = key_states.dtype, key_states.device
                self.length = 0
                self.buffers = (_buffer(key_states, 1024), _buffer(value_states, 1024))
                self.is_initialized = True

            def update(
                self, key_states: "torch.Tensor", value_states: "torch.Tensor", *_: Any, **__: Any
            ) -> tuple["torch.Tensor", "torch.Tensor"]:
                if not self.is_initialized:
                    self.lazy_initialization(key_states, value_states)
                end = self.length + key_states.shape[-2]
                capacity = self.buffers[0].shape[-2]
                if end > capacity:
                    grown = min(max(2 * capacity, end), max(positions, end))
                    self.buffers = (_grown(self.buffers[0], grown), _grown(self.buffers[1], grown))
                keys, values = self.buffers
                keys[:, :, self.length : end] = key_states
                values[:, :, self.length : end] = value_states
                self.length = end
                return keys[:, :, :end], values[:, :, :end]

            def get_seq_length(self) -> int:
                return self.length if self.is_initialized else 0

            def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
                return self.get_seq_length() + query_length, 0

        self._layers = [Layer() for _ in range(layers)]
        self.cache = Cache(layers=list(self._layers))

    def crop(self, length: int) -> None:
        """Forget everything from position `length` on."""
        for layer in self._layers:
            if layer.is_initialized:
                layer.length = min(layer.length, length)


def _buffer(like: "torch.Tensor", length: int) -> "torch.Tensor":
    batch, heads, have, size = like.shape
    return like.new_empty((batch, heads, max(length, have), size))


def _grown(buffer: "torch.Tensor", length: int) -> "torch.Tensor":
    larger = _buffer(buffer, length)
    larger[:, :, : buffer.shape[-2]] = buffer
    return larger


def _device() -> str:
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
