"""Pages: their bounds hold, the best are chosen, and what is gathered is what was chosen."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.runtimes.runtime import KeysValues
from model.sparse import PAGE, SparseDocuments, page_bounds, page_scores

LAYERS, KV_HEADS, HEADS, SIZE = 2, 2, 4, 8


def document(seed: int, tokens: int) -> KeysValues:
    rng = np.random.default_rng(seed)
    size = (LAYERS, KV_HEADS, tokens, SIZE)
    return KeysValues(rng.standard_normal(size, dtype=np.float32), rng.standard_normal(size, dtype=np.float32))


def queries(seed: int, count: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((LAYERS, count, HEADS, SIZE), dtype=np.float32)


@given(seed=st.integers(0, 50), tokens=st.integers(PAGE, 5 * PAGE))
def test_no_key_of_a_page_scores_higher_than_the_bound_says(seed: int, tokens: int):
    keys = document(seed, tokens).keys
    bounds, asked = page_bounds(keys), queries(seed + 1)
    scores = page_scores(asked, bounds)
    for head in range(HEADS):
        kv_head = head // (HEADS // KV_HEADS)
        reached = np.einsum("lnd,ltd->lnt", asked[:, :, head], keys[:, kv_head, : bounds.pages * PAGE]).max(axis=1)
        highest = reached.reshape(LAYERS, bounds.pages, PAGE).max(axis=2)
        assert (highest <= scores[:, kv_head] + 1e-4).all()


def test_the_page_that_holds_what_is_asked_for_is_chosen():
    documents = [document(1, 4 * PAGE), document(2, 4 * PAGE)]
    asked = queries(3, 1)
    for head in range(KV_HEADS):
        wanted = asked[:, 0, head * (HEADS // KV_HEADS)]
        documents[1].keys[:, head, 2 * PAGE + 5] = 10 * wanted
    chosen = SparseDocuments(documents, 2 * PAGE).select(asked)
    assert (chosen == 6).any(axis=2).all()


def test_gathered_are_the_keys_and_values_of_the_chosen_pages_in_their_order():
    documents = [document(1, 3 * PAGE + 7), document(2, 2 * PAGE)]
    sparse = SparseDocuments(documents, 3 * PAGE)
    selection = np.broadcast_to(np.array([1, 2, 4]), (LAYERS, KV_HEADS, 3)).astype(np.int64)
    gathered = sparse.gather(selection)
    assert gathered.tokens == sparse.tokens == 3 * PAGE
    expected = np.concatenate([documents[0].values[:, :, PAGE : 3 * PAGE], documents[1].values[:, :, PAGE:]], axis=2)
    assert np.array_equal(gathered.values, expected)


def test_every_layer_and_head_chooses_for_itself():
    sparse = SparseDocuments([document(seed, 6 * PAGE) for seed in range(3)], 4 * PAGE)
    chosen = sparse.select(queries(9))
    assert chosen.shape == (LAYERS, KV_HEADS, 4)
    assert len({tuple(pages) for layer in chosen for pages in layer}) > 1
    gathered = sparse.gather(chosen)
    first = int(chosen[1, 0, 0])
    source = sparse._documents[first // 6].keys[1, 0, first % 6 * PAGE : (first % 6 + 1) * PAGE]
    assert np.array_equal(gathered.keys[1, 0, :PAGE], source)


def test_before_there_are_queries_every_document_is_begun():
    sparse = SparseDocuments([document(seed, 6 * PAGE) for seed in range(3)], 4 * PAGE)
    assert sparse.first_selection()[0, 0].tolist() == [0, 1, 6, 12]


@pytest.mark.parametrize("most", [PAGE, 100 * PAGE])
def test_never_more_pages_than_there_are(most: int):
    sparse = SparseDocuments([document(0, 3 * PAGE)], most)
    assert sparse.tokens == min(most, 3 * PAGE)
    assert sparse.select(queries(0)).shape[2] == sparse.tokens // PAGE
