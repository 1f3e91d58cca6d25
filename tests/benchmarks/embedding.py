"""How fast texts become vectors: our encoder against sentence-transformers, same texts, same run, same threads.

Quality beside speed: cosine to sentence-transformers' vectors, and the share of the ten nearest neighbours that agree.
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
_NEAREST = 10


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

    slow, expected = _timed("sentence-transformers", theirs, texts)
    shape = OnnxEncoder.fitting(folder)
    assert shape is not None
    for weights in ("float32", "dynamic", "blocks"):
        ours = OnnxEncoder(folder, shape, threads=threads, weights=weights)
        fast, vectors = _timed(f"ours, {weights}", ours.encode, texts)
        cosine = (vectors * expected).sum(axis=1)
        agree = np.mean([len(set(a) & set(b)) / _NEAREST for a, b in zip(_near(vectors), _near(expected), strict=True)])
        print(
            f"  {slow / fast:.1f}x; cosine mean {cosine.mean():.4f}, least {cosine.min():.4f}; ten nearest {agree:.3f}"
        )


def _chunks() -> list[str]:
    root = Path(__file__).resolve().parents[2]
    files = sorted((root / "server").rglob("*.py"))
    found = [chunk.text for file in files for chunk in outline(file.name, file.read_text()).chunks]
    return found[:_CHUNKS]


def _timed(name: str, encode: Callable[[list[str]], np.ndarray], texts: list[str]) -> tuple[float, np.ndarray]:
    encode(texts[:8])
    started = time.perf_counter()
    vectors = encode(texts)
    seconds = time.perf_counter() - started
    print(f"{name}: {len(texts) / seconds:.1f} chunks/s", flush=True)
    return seconds, vectors


def _near(vectors: np.ndarray) -> np.ndarray:
    similar = vectors @ vectors.T
    np.fill_diagonal(similar, -2.0)
    return np.argsort(-similar, axis=1)[:, :_NEAREST]
