"""Search on a repository that hurts: 100,000 chunks of Python's own library and of what is installed beside it.

Prints how long the words take, a query's p50 and p95 as served (encoding included), what a saved file takes until it is
found, and the memory of a process that searches. Vectors and parts of the chunks are noise, which costs as much to
search as real ones; the encoder of the queries is the real one. Everything lies in a folder that is removed afterwards.
"""

import os
import random
import shutil
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import psutil
from numpy.typing import NDArray

from index.builder import Builder
from index.embedding import Embedder
from index.evaluation.measure import percentile
from index.late import Question
from index.search import Search
from model.weights import resolve

CHUNKS = 100_000
_QUERIES = (
    "where is a temporary file made", "parse command line arguments", "TimeoutError", "open a socket to a host",
    "read_csv", "how is a thread pool shut down", "class HTTPServer", "compress bytes with zlib",
    "IndexError: list index out of range", "self.assertEqual(len(result), 2)", "convert a date to a string",
    "find the longest matching block of two sequences", "walk a directory tree", "decode base64", "lru_cache",
)  # fmt: skip


class _Noise:
    """Unit vectors that mean nothing, at no cost."""

    model = "noise"

    def __init__(self) -> None:
        self._random = np.random.default_rng(0)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        vectors = self._random.standard_normal((len(texts), 384)).astype(np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def encode_parts(self, texts: Sequence[str]) -> tuple[NDArray[np.float32], list[NDArray[np.int8]]]:
        parts = self._random.integers(-40, 40, (len(texts), 23, 64), dtype=np.int8)
        return self.encode(texts), list(parts)

    def encode_question(self, text: str) -> tuple[NDArray[np.float32], None]:
        return self.encode([text])[0], None


class _Asking:
    """The real encoder, under the name of the noise."""

    model = "noise"

    def __init__(self, folder: Path) -> None:
        self._embedder = Embedder(folder)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self._embedder.encode(texts)

    def encode_parts(self, texts: Sequence[str]) -> tuple[NDArray[np.float32], list[NDArray[np.int8]] | None]:
        return self._embedder.encode_parts(texts)

    def encode_question(self, text: str) -> tuple[NDArray[np.float32], Question | None]:
        return self._embedder.encode_question(text)


def run() -> None:
    """Print the figures."""
    weights = resolve("all-minilm-l6-v2")
    place = Path(tempfile.mkdtemp(prefix="inkling-scale-"))
    before, os.environ["INKLING_HOME"] = os.environ.get("INKLING_HOME"), str(place / "home")
    try:
        _measure(place / "workspace", weights)
    finally:
        os.environ.pop("INKLING_HOME")
        if before is not None:
            os.environ["INKLING_HOME"] = before
        shutil.rmtree(place, ignore_errors=True)


def _measure(root: Path, weights: Path) -> None:
    library = Path(sysconfig.get_path("stdlib"))
    _copy(library, root / "Lib", 100_000)
    noise = _Noise()
    builder = Builder(root, lambda: noise)
    clock, processor = time.perf_counter(), os.times()
    builder.build_words()
    used = os.times()
    print(
        f"Lib: {_chunks(root):,} chunks by words in {time.perf_counter() - clock:.1f} s "
        f"({used.user + used.system - processor.user - processor.system:.1f} s of one processor, and in the child that "
        f"cuts texts {used.children_user + used.children_system:.1f} s of another)"
    )
    for number, package in enumerate(sorted(Path(sysconfig.get_path("purelib")).glob("*/__init__.py"))):
        if _chunks(root) >= CHUNKS:
            break
        _copy(package.parent, root / f"p{number}", 3000)
        builder.update([f"p{number}"])
    builder.build_meaning()
    del builder
    memory = psutil.Process()
    start = memory.memory_info().rss
    search = Search(root, _Asking(weights))
    search.search("load everything")
    spent, worked, chosen = [], [], random.Random(0)
    for _ in range(150):
        began, busy = time.perf_counter(), time.process_time()
        search.search(chosen.choice(_QUERIES))
        spent.append(1000 * (time.perf_counter() - began))
        worked.append(1000 * (time.process_time() - busy))
    print(
        f"{search.stats()['chunks']:,} chunks, {search.stats()['bytes'] / 1e6:.0f} MB on disk: a query takes "
        f"{percentile(spent, 50):.1f} ms (p50), {percentile(spent, 95):.1f} ms (p95), of the processor "
        f"{percentile(worked, 50):.1f} and {percentile(worked, 95):.1f} ms; searching takes "
        f"{(memory.memory_info().rss - start) / 1e6:.0f} MB, the process {memory.memory_info().rss / 1e6:.0f} MB"
    )
    with Builder(root, None) as builder:
        times = list(_saved(root, builder, search))
    print(f"a saved file is found after {1000 * percentile(times, 50):.0f} ms (p50), {1000 * max(times):.0f} ms (most)")


def _saved(root: Path, builder: Builder, search: Search) -> Iterator[float]:
    for number in range(5):
        (root / "saved.py").write_text(f"def saved_just_now_{number}():\n    return {number}\n")
        began = time.perf_counter()
        builder.update(["saved.py"])
        assert search.search(f"saved_just_now_{number}", limit=1, by=frozenset({"symbol"}))[0].path == "saved.py"
        yield time.perf_counter() - began


def _chunks(root: Path) -> int:
    return int(Search(root, None).stats()["chunks"])


def _copy(source: Path, target: Path, most: int) -> None:
    for number, file in enumerate(sorted(source.rglob("*.py"))):
        if number < most and "site-packages" not in file.relative_to(source).parts:
            place = target / file.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(file.read_bytes())
