"""The index finds the entry that begins most like a document, and nothing of another lineage."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.cache.key import Key, as_tokens
from model.cache.prefixes import STRIDE, PrefixIndex
from tests.growth import growth
from tests.unit.model.cache.documents import LINEAGE

OTHER = replace(LINEAGE, adapters="another")
TEXT = list(range(200))


def index_of(*documents: Sequence[int]) -> PrefixIndex:
    index = PrefixIndex()
    for tokens in documents:
        index.add(LINEAGE.key(tokens), as_tokens(tokens))
    return index


def longest(index: PrefixIndex, tokens: Sequence[int]) -> tuple[Key, int] | None:
    return index.longest(LINEAGE.digest, as_tokens(tokens))


@pytest.mark.parametrize(
    ("edited", "common"),
    [
        (TEXT, 200),
        ([*TEXT[:100], 999, *TEXT[101:]], 100),
        ([*TEXT[:77], 999, *TEXT[77:]], 77),
        ([*TEXT[:150], *TEXT[160:]], 150),
        (TEXT[:64], 64),
        (TEXT[:40], 40),
        ([*TEXT, 1, 2, 3], 200),
        ([*TEXT[:32], 999], 32),
    ],
    ids=["same", "changed", "inserted", "deleted", "cut", "cut between", "appended", "after the first stride"],
)
def test_what_comes_before_an_edit_is_found(edited: list[int], common: int) -> None:
    assert longest(index_of(TEXT), edited) == (LINEAGE.key(TEXT), common)


def test_a_beginning_shorter_than_a_stride_is_not_worth_finding() -> None:
    assert longest(index_of(TEXT), [*TEXT[:31], 999, *TEXT[32:]]) is None


def test_an_edit_at_the_very_beginning_leaves_nothing() -> None:
    assert longest(index_of(TEXT), [999, *TEXT]) is None


def test_of_several_the_one_with_most_in_common_is_found() -> None:
    near, far = [*TEXT[:130], *range(900, 950)], [*TEXT[:140], *range(900, 950)]
    assert longest(index_of(near, far, TEXT[:100]), TEXT) == (LINEAGE.key(far), 140)


def test_another_lineage_is_never_found() -> None:
    assert index_of(TEXT).longest(OTHER.digest, as_tokens(TEXT)) is None


def test_what_was_removed_is_not_found() -> None:
    index = index_of(TEXT, TEXT[:100])
    index.remove(LINEAGE.key(TEXT))
    assert longest(index, TEXT) == (LINEAGE.key(TEXT[:100]), 100)
    index.remove(LINEAGE.key(TEXT[:100]))
    assert longest(index, TEXT) is None
    assert not index._keys


def test_hashes_that_collide_cost_nothing_but_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def one_for_all(lineage: str, tokens: Sequence[int]) -> list[bytes]:
        return [b"same"] * (len(tokens) // STRIDE)

    monkeypatch.setattr("model.cache.prefixes._hashes", one_for_all)
    index = index_of(range(500, 600), TEXT)
    assert longest(index, TEXT[:64]) == (LINEAGE.key(TEXT), 64)
    assert longest(index, range(300, 400)) is None


lines = st.lists(st.sampled_from([tuple(range(n, n + 16)) for n in (0, 100, 200)]), max_size=6)
documents = lines.map(lambda parts: [token for part in parts for token in part])


@settings(max_examples=100, deadline=None)
@given(st.lists(documents, max_size=6), documents)
def test_it_finds_what_comparing_with_everything_finds(known: list[list[int]], asked: list[int]) -> None:
    def common(tokens: list[int]) -> int:
        return next(
            (n for n, (a, b) in enumerate(zip(tokens, asked, strict=False)) if a != b), min(len(tokens), len(asked))
        )

    best = max(map(common, known), default=0)
    found = longest(index_of(*known), asked)
    assert (found[1] if found else 0) == (best if best >= STRIDE else 0)


def test_ten_thousand_files_with_the_same_licence_are_no_burden() -> None:
    licence = list(range(64))
    indices = {count: index_of(*([*licence, number] for number in range(count))) for count in (100, 10_000)}

    def hundred(count: int) -> None:
        for _ in range(100):
            assert longest(indices[count], [*licence, 20_000]) is not None

    assert growth(hundred, 100, 10_000) < 10
