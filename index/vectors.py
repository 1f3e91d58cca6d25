"""Nearest vectors of one workspace, by faiss: a file that is mapped into memory, and what came after it.

The file is written by the indexing process (`write_base`) and holds most vectors: flat up to `FLAT` of them, beyond
that an HNSW graph. What the store binds later is appended in memory on `refresh`. Ids are those of the store's
`embedded`; an id whose chunks are gone stays until the file is written again, and whoever asks drops it.

Always: everything here can be made again from the store and the vector cache, and a file that is missing or damaged
only means that all vectors are read from the cache.
"""

import contextlib
import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.database import IndexBrokenError
from index.late import Question
from index.records import Candidate
from index.store import Store
from index.vector_cache import VectorCache

FLAT = 100_000  # more vectors are searched by HNSW (Malkov and Yashunin 2016)
LINKS = 16
EXACT = 20_000  # of so few allowed vectors each is compared: a graph would not find its way
LEAST = 2_000  # fewer are not worth a file
STALE = 0.2  # of the file: so much new or gone, and it is written again
_BLOCK = 4096


@dataclass(frozen=True)
class _Piece:
    """A faiss index and the store's ids of its rows, ascending."""

    ids: NDArray[np.int64]
    index: Any


class Vectors:
    """All vectors of one workspace by one model. Not to be used by two threads at once."""

    def __init__(self, model: str, cache: VectorCache | None = None) -> None:
        self.model = model
        self._cache = cache or VectorCache()
        self._seen: tuple[Any, ...] = ()
        self._name = ""
        self._pieces: list[_Piece] = []

    @property
    def note(self) -> str:
        """That the cache was damaged, if it was."""
        return self._cache.note

    def __len__(self) -> int:
        return sum(len(piece.ids) for piece in self._pieces)

    def refresh(self, store: Store) -> None:
        """Catch up with the store; costs three look-ups if nothing changed."""
        seen = (store.fact("epoch"), store.fact("generation"), store.last_embedded())
        if seen == self._seen:
            return
        name = json.dumps([seen[0], store.fact("base")])
        if name != self._name:
            base = _opened(store, self.model)
            self._pieces, self._name = [base] if base else [], name
        last = int(self._pieces[-1].ids[-1]) if self._pieces else 0
        later = store.embedded_after(self.model, last)
        try:
            for start in range(0, len(later), _BLOCK):
                self._append(later[start : start + _BLOCK])
        except IndexBrokenError:
            return  # there are those of the file, and the others are asked for again
        self._seen = seen

    def nearest(
        self, query: NDArray[np.float32], limit: int, allowed: Iterable[int] | None = None
    ) -> list[tuple[int, float]]:
        """(id, cosine) of the `limit` nearest to `query`, shape (dimension,); only `allowed` ids if given."""
        wanted = None if allowed is None else np.unique(np.fromiter(allowed, dtype=np.int64))
        row = np.ascontiguousarray(query.reshape(1, -1), dtype=np.float32)
        found: list[tuple[int, float]] = []
        for piece in self._pieces:
            found += _nearest(piece, row, limit, wanted)
        return sorted(found, key=lambda pair: (-pair[1], pair[0]))[:limit]

    def closeness(self, question: Question, candidates: Mapping[int, Candidate]) -> dict[int, float]:
        """How close the chunks come to a question, part by part (`index.late`); those that have no parts, as they are
        not embedded yet, or as the cache cannot be read, are left out."""
        try:
            kept = self._cache.parts(self.model, [candidate.hash for candidate in candidates.values()])
        except IndexBrokenError:
            return {}
        parts = {chunk: kept[each.hash] for chunk, each in candidates.items() if each.hash in kept}
        shaped = [each.reshape(-1, question.tokens.shape[1]) for each in parts.values()]
        return dict(zip(parts, question.closeness(shaped), strict=True))

    def _append(self, bound: Sequence[tuple[int, bytes]]) -> None:
        vectors = self._cache.get(self.model, [digest for _, digest in bound])
        there = [(number, vectors[digest]) for number, digest in bound if digest in vectors]
        if not there:
            return
        ids = np.array([number for number, _ in there], dtype=np.int64)
        rows = np.stack([vector for _, vector in there]).astype(np.float32)
        if self._pieces and not _is_mapped(self._pieces[-1]):
            piece = self._pieces.pop()
            ids = np.concatenate([piece.ids, ids])
            index = piece.index
        else:
            index = _flat(rows.shape[1])
        index.add(rows)
        self._pieces.append(_Piece(ids, index))


def write_base(store: Store, model: str, cache: VectorCache) -> bool:
    """Write the file again if it is worth it; whether that was done. Bindings that lead nowhere are removed first."""
    held = _facts(store)
    ids = store.live(model)
    base, gone = int(held.get("rows", 0)), store.count_embedded(model) - len(ids)
    new = sum(number > int(held.get("last", 0)) for number, _ in ids)
    if held.get("model", model) == model and new + gone < max(LEAST, STALE * base):
        return False
    kept: list[NDArray[np.int64]] = []
    index: Any = None
    for start in range(0, len(ids), _BLOCK):
        batch = ids[start : start + _BLOCK]
        vectors = cache.get(model, [digest for _, digest in batch])
        there = [(number, vectors[digest]) for number, digest in batch if digest in vectors]
        if there:
            rows = np.stack([vector for _, vector in there]).astype(np.float32)
            index = index if index is not None else (_flat if len(ids) <= FLAT else _graph)(rows.shape[1])
            index.add(rows)
            kept.append(np.array([number for number, _ in there], dtype=np.int64))
    if index is None:
        return False
    place = np.concatenate(kept)
    name = f"{store.path.stem}.{uuid.uuid4().hex[:8]}"
    files = [store.path.with_name(f"{name}.{ending}") for ending in ("faiss", "npy")]
    try:
        _faiss().write_index(index, str(files[0]))
        np.save(files[1], place)
    except (OSError, RuntimeError):  # no room: the old file and the cache still have all vectors
        for file in files:
            file.unlink(missing_ok=True)
        return False
    facts = {"name": name, "model": model, "rows": len(place), "last": int(place[-1])}
    store.put_base(json.dumps(facts), model, {int(number) for number in place})
    for old in store.path.parent.glob(f"{store.path.stem}.*"):
        if old.suffix in (".faiss", ".npy") and not old.name.startswith(name):
            with contextlib.suppress(OSError):  # where a reader has it mapped, Windows keeps it for the next time
                old.unlink()
    return True


def _facts(store: Store) -> dict[str, Any]:
    """What is known of the file: name, model, rows, last id."""
    return json.loads(store.fact("base") or "{}")


def _opened(store: Store, model: str) -> _Piece | None:
    facts = _facts(store)
    if facts.get("model") != model:
        return None
    file: Path = store.path.with_name(f"{facts['name']}.faiss")
    faiss = _faiss()
    try:
        ids = np.load(file.with_suffix(".npy"), mmap_mode="r")
        index = faiss.read_index(str(file), faiss.IO_FLAG_MMAP_IFC)
    except (OSError, EOFError, ValueError, RuntimeError):
        return None
    return _Piece(ids, index) if len(ids) == index.ntotal == facts["rows"] else None


def _is_mapped(piece: _Piece) -> bool:
    return isinstance(piece.ids, np.memmap)


def _nearest(
    piece: _Piece, row: NDArray[np.float32], limit: int, wanted: NDArray[np.int64] | None
) -> list[tuple[int, float]]:
    faiss = _faiss()
    graph = isinstance(piece.index, faiss.IndexHNSW)
    parameters = faiss.SearchParametersHNSW() if graph else faiss.SearchParameters()
    if graph:
        parameters.efSearch = max(2 * limit, 64)
    if wanted is not None:
        positions = np.searchsorted(piece.ids, wanted)
        positions = positions[positions < len(piece.ids)]
        positions = positions[np.isin(piece.ids[positions], wanted)]
        if not len(positions):
            return []
        if graph and len(positions) <= EXACT:
            scores = piece.index.reconstruct_batch(positions) @ row[0]
            best = np.argsort(-scores, kind="stable")[:limit]
            return [(int(piece.ids[positions[place]]), float(scores[place])) for place in best]
        mask = np.zeros((len(piece.ids) + 7) // 8 * 8, dtype=np.uint8)
        mask[positions] = 1
        bitmap = np.packbits(mask, bitorder="little")
        chosen = faiss.IDSelectorBitmap(bitmap)  # faiss keeps neither alive, so both have names until it has searched
        parameters.sel = chosen
    scores, places = piece.index.search(row, min(limit, len(piece.ids)), params=parameters)
    pairs = zip(places[0], scores[0], strict=True)
    return [(int(piece.ids[place]), float(score)) for place, score in pairs if place >= 0]


def _flat(dimension: int) -> Any:
    """Every vector is compared, as float16: for unit vectors the product is the cosine."""
    faiss = _faiss()
    return faiss.IndexScalarQuantizer(dimension, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)


def _graph(dimension: int) -> Any:
    faiss = _faiss()
    return faiss.IndexHNSWFlat(dimension, LINKS, faiss.METRIC_INNER_PRODUCT)


def _faiss() -> Any:
    """The module, untyped: its stubs describe the C++ signatures, not the Python ones it replaces them by."""
    import faiss

    faiss.omp_set_num_threads(1)
    return faiss
