"""A BERT-shaped sentence encoder on ONNX Runtime: texts to unit vectors, several times as fast as torch on a CPU.

It takes what all-MiniLM and its relatives are: BERT, mean pooling over the tokens, vectors of length 1. What is built
otherwise is not for it (`OnnxEncoder.fitting` gives None), and sentence-transformers takes over. Nothing is fetched.
"""

import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.encoder_graph import BertShape, Weights, build, extremes
from index.lora import deltas
from index.onnx_session import open_session

KIND = "onnx-int8-pairs"  # how it rounds: vectors of this encoder do not mix with those of another
_BATCH_TOKENS = 256  # padding included; more leaves the processor's caches and is slower
_MODULES = (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"])
_TYPES = ("F32", "F16", "BF16")


class OnnxEncoder:
    """See `index.embedding.Encoder`. `threads` None: as many as there are cores. A single text is one thread's work."""

    def __init__(
        self,
        folder: Path,
        shape: BertShape,
        *,
        adapter: Path | None = None,
        threads: int | None = None,
        weights: Weights = "int8",
    ) -> None:
        """`adapter`: a PEFT folder that is merged first.

        Raises OSError, ValueError or SafetensorError for a folder that changed since it was found to be fitting,
        UnusableAdapterError for an adapter of something else.
        """
        tensors = _tensors(folder, shape)
        if adapter is not None:
            for name, delta in deltas(adapter, {name: tensor.shape for name, tensor in tensors.items()}).items():
                tensors[name] = tensors[name] + delta
        graph, arrays = build(shape, tensors, weights, signed=not _saturates())
        self._session = open_session(graph, arrays, threads=1)
        self._threads = threads or os.cpu_count() or 1
        self._width = shape.hidden
        self._tokenizer = _tokenizer(folder, shape)

    @staticmethod
    def fitting(folder: Path) -> BertShape | None:
        """The shape of what is in `folder` if this encoder can run it here; None if another has to."""
        if find_spec("onnxruntime") is None or not _object(folder / "tokenizer.json").get("model"):
            return None
        shape = BertShape.of(_object(folder / "config.json"))
        if shape is None or not _pools_the_mean(folder) or not _holds(folder, shape.tensors()):
            return None
        return shape

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Float32 (texts, width), each row of length 1."""
        return self.encode_states(texts)[0]

    def encode_states(self, texts: Sequence[str]) -> tuple[NDArray[np.float32], list[NDArray[np.float32]]]:
        """The same, and the states of each text's tokens, float32 (tokens, width), without those at both ends that are
        no part of the text."""
        rows = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        vectors = np.empty((len(texts), self._width), dtype=np.float32)
        states = [vectors[:0]] * len(texts)
        groups = list(_batches([len(row) for row in rows]))
        # Each group on one thread: threads that share a group wait for each other at every operator.
        with ThreadPoolExecutor(self._threads) as pool:
            several = self._threads > 1 and len(groups) > 1
            found = (pool.map if several else map)(self._encoded, ([rows[n] for n in group] for group in groups))
            for group, (those, hidden) in zip(groups, found, strict=True):
                vectors[group] = those
                for place, number in enumerate(group):
                    states[number] = hidden[place, 1 : len(rows[number]) - 1]
        return vectors, states

    def _encoded(self, rows: Sequence[Sequence[int]]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The vectors of rows of tokens, side by side, and their states (rows, longest, width)."""
        lengths = np.array([len(row) for row in rows], dtype=np.int32)
        ids = np.zeros((len(rows), int(lengths.max())), dtype=np.int64)
        for place, row in enumerate(rows):
            ids[place, : len(row)] = row
        hidden = self._session.inference.run(None, {"ids": ids, "lengths": lengths})[0].reshape(*ids.shape, self._width)
        there = np.arange(ids.shape[1])[None] < lengths[:, None]
        pooled = (hidden * there[..., None]).sum(axis=1) / lengths[:, None]
        return pooled / np.maximum(np.linalg.norm(pooled, axis=1, keepdims=True), 1e-12), hidden


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Numbers of texts, those of similar length together, at most `_BATCH_TOKENS` tokens with their padding."""
    group: list[int] = []
    for number in sorted(range(len(lengths)), key=lambda number: lengths[number]):
        if group and (len(group) + 1) * lengths[number] > _BATCH_TOKENS:
            yield group
            group = []
        group.append(number)
    if group:
        yield group


def _saturates() -> bool:
    """Whether sums of products of bytes overflow on this processor where one side is signed."""
    import onnxruntime

    graph, expected = extremes()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    # folding constants would compute it elsewhere
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return bool((session.run(None, {})[0] != expected).any())


def _tokenizer(folder: Path, shape: BertShape) -> Any:
    """It cuts texts where sentence-transformers does, and at the last position that the model knows."""
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    except Exception as error:  # this library raises nothing narrower
        raise ValueError(f"tokenizer.json is none: {error}") from error
    longest = _object(folder / "sentence_bert_config.json").get("max_seq_length")
    if not isinstance(longest, int):
        longest = _object(folder / "tokenizer_config.json").get("model_max_length")
    tokenizer.no_padding()
    tokenizer.enable_truncation(min(longest, shape.positions) if isinstance(longest, int) else shape.positions)
    return tokenizer


def _pools_the_mean(folder: Path) -> bool:
    """Whether the folder asks for BERT's tokens, their mean, and nothing else."""
    modules = _json(folder / "modules.json")
    if not isinstance(modules, list) or not all(isinstance(one, dict) for one in modules):
        return False
    if [str(one.get("type")).rpartition(".")[-1] for one in modules] not in _MODULES:
        return False
    if _object(folder / "sentence_bert_config.json").get("do_lower_case"):
        return False
    pooling = _object(folder / "1_Pooling" / "config.json")
    modes = {name for name, on in pooling.items() if name.startswith("pooling_mode") and on is True}
    return modes == {"pooling_mode_mean_tokens"} or pooling.get("pooling_mode") == "mean"


def _object(path: Path) -> dict[str, Any]:
    """The object in a file; empty if there is none."""
    found = _json(path)
    return found if isinstance(found, dict) else {}


def _json(path: Path) -> Any:
    """What a file holds; None if it is not there or no JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _holds(folder: Path, names: Sequence[str]) -> bool:
    """Whether the weights are whole and have these tensors. A BERT below something else names them otherwise."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(folder / "model.safetensors", "np") as opened:
            there = set(opened.keys())
            return all(name in there and opened.get_slice(name).get_dtype() in _TYPES for name in names)
    except (OSError, SafetensorError):
        return False


def _tensors(folder: Path, shape: BertShape) -> dict[str, NDArray[np.float32]]:
    import ml_dtypes  # noqa: F401  (registers bfloat16 with numpy)
    from safetensors import safe_open

    with safe_open(folder / "model.safetensors", "np") as opened:
        return {name: np.asarray(opened.get_tensor(name), dtype=np.float32) for name in shape.tensors()}
