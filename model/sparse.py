"""Attention to the pages that matter: documents that are too many to attend to whole.

Documents are cut into pages of 32 tokens. Of each page the least and greatest key per channel are kept; with them no
query can score higher on a page than `page_scores` says (Quest, Tang et al. 2024). Per layer and key/value head, the
pages with the highest such bounds for the tail's newest queries are attended to. The sink and the tail are always
attended to whole. The last tokens of a document that do not fill a page are left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.runtimes.runtime import KeysValues

PAGE = 32  # tokens


@dataclass(frozen=True)
class PageBounds:
    """Least and greatest key of each page, each float32 (layers, kv_heads, pages, head_dim)."""

    low: NDArray[np.float32]
    high: NDArray[np.float32]

    @property
    def pages(self) -> int:
        """How many pages."""
        return int(self.low.shape[2])


def page_bounds(keys: NDArray[np.float32]) -> PageBounds:
    """Bounds of keys (layers, kv_heads, tokens, head_dim), whole pages only."""
    layers, heads, tokens, size = keys.shape
    pages = tokens // PAGE
    apart = keys[:, :, : pages * PAGE].reshape(layers, heads, pages, PAGE, size)
    return PageBounds(apart.min(axis=3), apart.max(axis=3))


def page_scores(queries: NDArray[np.float32], bounds: PageBounds) -> NDArray[np.float32]:
    """(layers, kv_heads, pages): the highest score that any of `queries` can reach on a key of the page.

    queries: rotated, float32 (layers, n, heads, head_dim). max(q * low, q * high), summed over channels, is
    relu(q) @ high - relu(-q) @ low; the greatest over tokens and over the query heads of a key/value head counts.
    """
    layers, count, heads, size = queries.shape
    kv_heads = bounds.low.shape[1]
    grouped = queries.reshape(layers, count, kv_heads, heads // kv_heads, size).transpose(0, 2, 1, 3, 4)
    grouped = grouped.reshape(layers, kv_heads, -1, size)
    over, under = np.maximum(grouped, 0.0), np.maximum(-grouped, 0.0)
    scores = over @ bounds.high.swapaxes(-1, -2) - under @ bounds.low.swapaxes(-1, -2)
    best: NDArray[np.float32] = scores.max(axis=2)
    return best


class SparseDocuments:
    """Several documents of which `most` tokens are attended to. Keys are float32, turned to where they are seen."""

    def __init__(self, documents: Sequence[KeysValues], most: int) -> None:
        self._documents = documents
        self._bounds = [page_bounds(document.keys) for document in documents]
        self._first = np.cumsum([0, *(bounds.pages for bounds in self._bounds)])
        self.pages = int(self._first[-1])
        self.chosen = min(most // PAGE, self.pages)

    @property
    def tokens(self) -> int:
        """How many slots a selection takes."""
        return self.chosen * PAGE

    def first_selection(self) -> NDArray[np.int64]:
        """Before there is any query: the beginnings of all documents, in turn. (layers, kv_heads, chosen)."""
        depth = [(page, number) for number, bounds in enumerate(self._bounds) for page in range(bounds.pages)]
        order = [int(self._first[number]) + page for page, number in sorted(depth)][: self.chosen]
        layers, heads = self._documents[0].keys.shape[:2]
        return np.broadcast_to(np.sort(np.array(order, dtype=np.int64)), (layers, heads, self.chosen))

    def select(self, queries: NDArray[np.float32]) -> NDArray[np.int64]:
        """Numbers of the pages with the highest bounds, ascending: (layers, kv_heads, chosen)."""
        scores = np.concatenate([page_scores(queries, bounds) for bounds in self._bounds], axis=2)
        best = np.argpartition(-scores, self.chosen - 1, axis=2)[:, :, : self.chosen]
        return np.sort(best, axis=2).astype(np.int64)

    def gather(self, selection: NDArray[np.int64]) -> KeysValues:
        """Keys and values of the selected pages, (layers, kv_heads, tokens, head_dim)."""
        layers, heads, size = (*self._documents[0].keys.shape[:2], self._documents[0].keys.shape[3])
        kind: Any = self._documents[0].keys.dtype
        keys = np.empty((layers, heads, self.chosen, PAGE, size), dtype=kind)
        values = np.empty_like(keys)
        for layer in range(layers):
            for head in range(heads):
                wanted = selection[layer, head]
                edges = np.searchsorted(wanted, self._first)
                for number, document in enumerate(self._documents):
                    here = slice(int(edges[number]), int(edges[number + 1]))
                    pages = wanted[here] - self._first[number]
                    count = self._bounds[number].pages
                    keys[layer, head, here] = document.keys[layer, head, : count * PAGE].reshape(count, PAGE, size)[
                        pages
                    ]
                    values[layer, head, here] = document.values[layer, head, : count * PAGE].reshape(count, PAGE, size)[
                        pages
                    ]
        shape = (layers, heads, self.tokens, size)
        return KeysValues(keys.reshape(shape), values.reshape(shape))
