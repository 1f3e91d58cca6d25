"""A key names everything that keys and values depend on, and nothing else."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.cache.key import Lineage
from tests.unit.model.cache.documents import LINEAGE

token_ids = st.lists(st.integers(0, 2**31), max_size=8)
lineages = st.builds(
    Lineage,
    base=st.text(max_size=3),
    adapters=st.text(max_size=3),
    scheme=st.sampled_from(["parallel", "sequential"]),
    sink=st.lists(st.integers(0, 3), max_size=3).map(tuple),
    dtype=st.sampled_from(["float32", "bfloat16"]),
)


@pytest.mark.parametrize(
    "other",
    [
        replace(LINEAGE, base="other"),
        replace(LINEAGE, adapters="other"),
        replace(LINEAGE, scheme="sequential"),
        replace(LINEAGE, sink=(1, 2)),
        replace(LINEAGE, sink=(1, 2, 4)),
        replace(LINEAGE, dtype="bfloat16"),
    ],
    ids=["base", "adapters", "scheme", "shorter sink", "sink", "dtype"],
)
def test_whatever_differs_in_the_lineage_changes_the_key(other: Lineage) -> None:
    assert other.key([5, 6]).digest != LINEAGE.key([5, 6]).digest


@given(lineages, lineages)
def test_two_lineages_share_a_key_only_if_they_are_equal(one: Lineage, other: Lineage) -> None:
    assert (one.key([5]) == other.key([5])) == (one == other)


@given(token_ids, token_ids)
def test_two_documents_share_a_key_only_if_they_are_equal(one: list[int], other: list[int]) -> None:
    assert (LINEAGE.key(one) == LINEAGE.key(other)) == (one == other)


def test_text_cannot_move_from_one_field_to_the_next() -> None:
    assert replace(LINEAGE, base="ab", adapters="c").digest != replace(LINEAGE, base="a", adapters="bc").digest


def test_tokens_cannot_move_from_the_sink_into_the_document() -> None:
    assert replace(LINEAGE, sink=(1, 2)).key([3]).digest != replace(LINEAGE, sink=(1,)).key([2, 3]).digest


def test_a_key_is_the_same_in_every_process() -> None:
    """Files are found by it after a restart."""
    assert LINEAGE.key([5, 6]).digest == "716c4a20209e5311ee5ba8ff0dea61119f41b4404db74817e3d8d210a9b16995"


def test_the_digest_is_what_a_key_is_printed_as() -> None:
    key = LINEAGE.key([5, 6])
    assert str(key) == key.digest
    assert len(key.digest) == 64
