"""A BERT-shaped sentence encoder on ONNX Runtime: texts to unit vectors, several times as fast as torch on a CPU.

It takes what all-MiniLM and its relatives are: BERT, mean pooling over the tokens, vectors of length 1. What is built
otherwise is not for it (`OnnxEncoder.fitting` gives None), and sentence-transformers takes over. Nothing is fetched.
"""

import json
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.encoder_graph import BertShape, Weights, build

KIND = "onnx-int8"  # vectors of this encoder do not mix with those of another
_BATCH_TOKENS = 1024  # padding included
_FIRST_TENSOR = "embeddings.word_embeddings.weight"  # a BERT below something else names its tensors otherwise
_DEFAULT_LENGTH = 256  # tokens that are read of a text where the folder does not say


class OnnxEncoder:
    """See `index.embedding.Encoder`. `threads` None: all cores, which sleep when there is nothing to do."""

    def __init__(
        self, folder: Path, shape: BertShape, *, threads: int | None = None, weights: Weights = "blocks"
    ) -> None:
        import onnxruntime
        from safetensors.numpy import load_file
        from tokenizers import Tokenizer

        onnxruntime.set_default_logger_severity(3)
        graph, arrays = build(shape, load_file(folder / "model.safetensors"), weights)
        self._held = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in arrays.values()]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_external_initializers(list(arrays), self._held)
        self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self._arrays = arrays  # the session reads them where they are
        self._width = shape.hidden
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(_longest(folder))

    @staticmethod
    def fitting(folder: Path) -> BertShape | None:
        """The shape of what is in `folder` if this encoder can run it here; None if another has to."""
        if find_spec("onnxruntime") is None or not (folder / "tokenizer.json").is_file():
            return None
        shape = BertShape.of(_json(folder / "config.json"))
        if shape is None or not _pools_the_mean(folder) or _FIRST_TENSOR not in _tensor_names(folder):
            return None
        return shape

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Float32 (texts, width), each row of length 1."""
        vectors = np.empty((len(texts), self._width), dtype=np.float32)
        rows = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        for group in _batches([len(row) for row in rows]):
            lengths = np.array([len(rows[number]) for number in group], dtype=np.int32)
            ids = np.zeros((len(group), int(lengths.max())), dtype=np.int64)
            for place, number in enumerate(group):
                ids[place, : lengths[place]] = rows[number]
            hidden = self._session.run(None, {"ids": ids, "lengths": lengths})[0]
            there = np.arange(ids.shape[1])[None] < lengths[:, None]
            pooled = (hidden * there[..., None]).sum(axis=1) / lengths[:, None]
            vectors[group] = pooled / np.maximum(np.linalg.norm(pooled, axis=1, keepdims=True), 1e-12)
        return vectors


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


def _longest(folder: Path) -> int:
    return int(_json(folder / "sentence_bert_config.json").get("max_seq_length") or _DEFAULT_LENGTH)


def _pools_the_mean(folder: Path) -> bool:
    pooling = _json(folder / "1_Pooling" / "config.json")
    modes = {name for name, on in pooling.items() if name.startswith("pooling_mode") and on is True}
    return modes == {"pooling_mode_mean_tokens"} or pooling.get("pooling_mode") == "mean"


def _json(path: Path) -> dict[str, Any]:
    """The object in a file; empty if there is none or it is no JSON."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _tensor_names(folder: Path) -> list[str]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(folder / "model.safetensors", "np") as opened:
            return list(opened.keys())
    except (OSError, SafetensorError):
        return []
