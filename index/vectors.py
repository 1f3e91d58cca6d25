"""Nearest embeddings, exactly: a flat faiss index in memory, filled from the store.

It holds no truth and keeps no file: reading the vectors back from SQLite is as fast as reading a file of them. New
embeddings are appended on `refresh`; when some were removed (the store's epoch changed) it starts over.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.store import Store


class Vectors:
    """All embeddings by one model. Not to be used by two threads at once."""

    def __init__(self, model: str) -> None:
        self.model = model
        self._epoch: str | None = None
        self._generation = -1
        self._ids = np.zeros(0, dtype=np.int64)
        self._index: Any = None

    def __len__(self) -> int:
        return len(self._ids)

    def refresh(self, store: Store) -> None:
        """Catch up with the store; costs one look-up if nothing changed."""
        epoch, generation = store.fact("epoch"), store.fact("generation")
        if (epoch, generation) == (self._epoch, self._generation):
            return
        if epoch != self._epoch:
            self._ids, self._index = np.zeros(0, dtype=np.int64), None
        last = int(self._ids[-1]) if len(self._ids) else 0
        ids, vectors = store.embeddings_after(self.model, last)
        if ids:
            if self._index is None:
                self._index = _flat(vectors.shape[1])
            self._index.add(vectors)
            self._ids = np.concatenate([self._ids, np.asarray(ids, dtype=np.int64)])
        self._epoch, self._generation = epoch, generation

    def nearest(
        self, query: NDArray[np.float32], limit: int, allowed: Iterable[int] | None = None
    ) -> list[tuple[int, float]]:
        """(embedding id, cosine) of the `limit` nearest to `query`, shape (dimension,); only `allowed` ids if given."""
        if self._index is None:
            return []
        faiss = _faiss()
        parameters = None
        if allowed is not None:
            wanted = np.flatnonzero(np.isin(self._ids, np.fromiter(allowed, dtype=np.int64)))
            if not len(wanted):
                return []
            mask = np.zeros((len(self._ids) + 7) // 8 * 8, dtype=np.uint8)
            mask[wanted] = 1
            parameters = faiss.SearchParameters(sel=faiss.IDSelectorBitmap(np.packbits(mask, bitorder="little")))
        scores, positions = self._index.search(
            np.ascontiguousarray(query.reshape(1, -1)), min(limit, len(self._ids)), params=parameters
        )
        return [
            (int(self._ids[position]), float(score))
            for position, score in zip(positions[0], scores[0], strict=True)
            if position >= 0
        ]


def _flat(dimension: int) -> Any:
    """An inner-product index on one thread: for unit vectors the product is the cosine."""
    faiss = _faiss()
    faiss.omp_set_num_threads(1)
    return faiss.IndexFlatIP(dimension)


def _faiss() -> Any:
    """The module, untyped: its stubs describe the C++ signatures, not the Python ones it replaces them by."""
    import faiss

    return faiss
