"""How fast texts become vectors: our encoder against sentence-transformers, same texts, same run, same threads.

The encoders take turns every few texts, so that a busy neighbour slows all alike; seconds of the processor stand beside
seconds of the clock. Quality too: cosine to sentence-transformers' vectors, and the share of the ten nearest neighbours
that agree.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from index.chunks import outline
from index.onnx_encoder import OnnxEncoder
from model.weights import resolve

_CHUNKS = 240
_TURN = 24
_NEAREST = 10

Encode = Callable[[list[str]], np.ndarray]


def run() -> None:
    """Print chunks per second, their ratio, and agreement."""
    import torch
    from sentence_transformers import SentenceTransformer

    threads = os.cpu_count() or 1
    torch.set_num_threads(threads)
    folder, texts = resolve("all-minilm-l6-v2"), _chunks()
    reference = SentenceTransformer(str(folder), device="cpu", local_files_only=True)

    def theirs(texts: list[str]) -> np.ndarray:
        return reference.encode(texts, batch_size=8, normalize_embeddings=True, show_progress_bar=False)

    shape = OnnxEncoder.fitting(folder)
    assert shape is not None
    started = time.perf_counter()
    ours = OnnxEncoder(folder, shape, threads=threads)
    print(f"{len(texts)} chunks, {threads} threads; ours loads in {time.perf_counter() - started:.2f} s")
    exact = OnnxEncoder(folder, shape, threads=threads, weights="float32")
    encoders: dict[str, Encode] = {
        "sentence-transformers": theirs,
        "ours in float32": exact.encode,
        "ours": ours.encode,
    }
    measured = {name: _Measured() for name in encoders}
    for encode in encoders.values():
        encode(texts[:_TURN])
    for start in range(0, len(texts), _TURN):
        for name, encode in encoders.items():
            measured[name].turn(encode, texts[start : start + _TURN])
    slow = measured["sentence-transformers"]
    expected = np.concatenate(slow.vectors)
    for name, one in measured.items():
        vectors = np.concatenate(one.vectors)
        cosine = (vectors * expected).sum(axis=1)
        agree = np.mean([len(set(a) & set(b)) / _NEAREST for a, b in zip(_near(vectors), _near(expected), strict=True)])
        print(
            f"{name}: {len(texts) / one.clock:.1f} chunks/s, {1000 * one.processor / len(texts):.1f} ms of processor "
            f"each ({slow.clock / one.clock:.1f}x, {slow.processor / one.processor:.1f}x); "
            f"cosine mean {cosine.mean():.4f}, least {cosine.min():.4f}; ten nearest {agree:.3f}"
        )


class _Measured:
    """Seconds and vectors of one encoder so far."""

    def __init__(self) -> None:
        self.clock = 0.0
        self.processor = 0.0
        self.vectors: list[np.ndarray] = []

    def turn(self, encode: Encode, texts: list[str]) -> None:
        clock, processor = time.perf_counter(), time.process_time()
        self.vectors.append(encode(texts))
        self.clock += time.perf_counter() - clock
        self.processor += time.process_time() - processor


def _chunks() -> list[str]:
    root = Path(__file__).resolve().parents[2]
    files = sorted((root / "server").rglob("*.py"))
    found = [chunk.text for file in files for chunk in outline(file.name, file.read_text()).chunks]
    return found[:_CHUNKS]


def _near(vectors: np.ndarray) -> np.ndarray:
    similar = vectors @ vectors.T
    np.fill_diagonal(similar, -2.0)
    return np.argsort(-similar, axis=1)[:, :_NEAREST]
