"""The document cache gives back what was put, and never anything else, within its budgets."""

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from model.cache.document_cache import CacheBudgets, DocumentCache
from model.cache.quantised import quantised
from model.runtimes.runtime import KeysValues
from tests.growth import growth
from tests.unit.model.cache.caches import HOST, HOST_AND_DISK, ONE, PLENTY, Accelerator, OnAccelerator, put
from tests.unit.model.cache.documents import LINEAGE, Encoded, document, encoded, same


def test_host_memory_gives_back_the_very_same_numbers() -> None:
    cache = DocumentCache(HOST)
    for dtype in ("float32", "bfloat16"):
        entry = document(1, dtype=dtype)
        put(cache, entry)
        assert same(cache.get(entry.key), document(1, dtype=dtype).stored)


def test_what_was_never_put_is_a_miss() -> None:
    cache = DocumentCache(HOST)
    assert cache.get(document(1).key) is None
    assert cache.handle(document(1).key) is None
    assert not cache.contains(document(1).key)


def test_a_part_of_a_larger_array_does_not_keep_the_rest_in_memory() -> None:
    cache = DocumentCache(HOST)
    entry = document(1, length=10)
    put(cache, replace(entry, stored=document(1, length=100).stored.part(0, 10)))
    found = cache.get(entry.key)
    assert found is not None
    assert found.keys.base is None


def test_a_key_of_other_tokens_is_refused() -> None:
    cache = DocumentCache(HOST)
    with pytest.raises(ValueError, match="not that of the tokens"):
        cache.put(document(1).key, document(2).tokens, document(2).stored, 1.0)


def test_another_number_of_tokens_is_refused() -> None:
    cache = DocumentCache(HOST)
    with pytest.raises(ValueError, match="40 tokens"):
        cache.put(document(1).key, document(1).tokens, document(1, length=41).stored, 1.0)


def test_a_document_larger_than_the_budget_is_not_stored_and_no_error() -> None:
    cache = DocumentCache(CacheBudgets(ONE, ONE, ONE), upload=Accelerator())
    put(cache, document(1))
    assert put(cache, document(2, length=500)) == ["too large"]
    assert cache.get(document(2, length=500).key) is None
    assert cache.contains(document(1).key)
    assert cache.status()["rejected"] == 1


def test_no_budget_at_all_is_a_cache_that_forgets() -> None:
    cache = DocumentCache(CacheBudgets(0, 0, 0))
    assert put(cache, document(1)) == ["too large"]
    assert cache.get(document(1).key) is None
    assert not cache.spill()
    assert cache.close(1.0) == 0


def test_pinned_documents_stay_and_a_newcomer_without_room_is_told_so() -> None:
    cache = DocumentCache(CacheBudgets(0, 2 * ONE, 0))
    put(cache, document(1), document(2))
    cache.pin([document(1).key, document(2).key])
    assert put(cache, document(3)) == ["pins leave no room"]
    cache.pin([document(1).key])
    assert put(cache, document(3)) == ["stored"]
    assert [cache.contains(document(number).key) for number in (1, 2, 3)] == [True, False, True]


def test_the_same_text_of_another_lineage_is_another_document() -> None:
    cache = DocumentCache(HOST)
    others = [replace(LINEAGE, adapters="b"), replace(LINEAGE, base="b"), replace(LINEAGE, sink=(9,))]
    entries = [encoded(range(50), lineage) for lineage in (LINEAGE, *others)]
    put(cache, *entries)
    for entry in entries:
        assert same(cache.get(entry.key), entry.stored)


def test_a_prefix_is_never_taken_from_another_lineage(tmp_path: Path) -> None:
    cache = DocumentCache(HOST_AND_DISK, tmp_path)
    put(cache, encoded(range(50)))
    cache.close(10.0)
    assert cache.longest_prefix(replace(LINEAGE, adapters="new"), range(50)) is None


def test_an_adapter_swap_frees_memory_and_keeps_the_disk(tmp_path: Path) -> None:
    cache = DocumentCache(CacheBudgets(PLENTY, PLENTY, PLENTY), tmp_path, Accelerator())
    new = replace(LINEAGE, adapters="new")
    old_entry, new_entry = encoded(range(50)), encoded(range(50), new)
    put(cache, old_entry, new_entry)
    for entry in (old_entry, new_entry):
        cache.handle(entry.key)
    cache.close(10.0)
    cache.keep_only([new])
    status = cache.status()
    assert (status["accelerator"]["entries"], status["host"]["entries"], status["disk"]["entries"]) == (1, 1, 2)
    assert status["host"]["bytes"] == new_entry.nbytes
    assert cache.longest_prefix(new, range(50)) == (new_entry.key, 50)
    assert same(cache.get(old_entry.key), quantised(old_entry.stored))


def test_an_edited_file_finds_its_older_self_in_host_memory() -> None:
    cache = DocumentCache(HOST)
    put(cache, encoded(range(100)))
    assert cache.longest_prefix(LINEAGE, [*range(70), 999, *range(70, 100)]) == (LINEAGE.key(range(100)), 70)


def test_an_edited_file_finds_its_older_self_on_disk_after_a_restart(tmp_path: Path) -> None:
    cache = DocumentCache(HOST_AND_DISK, tmp_path)
    put(cache, encoded(range(100)))
    cache.close(10.0)
    again = DocumentCache(HOST_AND_DISK, tmp_path)
    assert again.longest_prefix(LINEAGE, [*range(70), 999]) == (LINEAGE.key(range(100)), 70)


@pytest.mark.parametrize(("in_host", "on_disk"), [(60, 90), (90, 60), (80, 80)])
def test_the_longer_prefix_wins_and_of_equal_ones_that_in_host_memory(
    tmp_path: Path, in_host: int, on_disk: int
) -> None:
    host, disk = encoded([*range(in_host), 998]), encoded([*range(on_disk), 999])
    cache = DocumentCache(HOST_AND_DISK, tmp_path)
    put(cache, disk)
    cache.close(10.0)
    again = DocumentCache(HOST_AND_DISK, tmp_path)
    put(again, host)
    best = (host.key, in_host) if in_host >= on_disk else (disk.key, on_disk)
    assert again.longest_prefix(LINEAGE, range(100)) == best


def test_what_was_evicted_everywhere_is_no_prefix_any_more() -> None:
    cache = DocumentCache(CacheBudgets(0, ONE, 0))
    put(cache, document(1), document(2))
    assert cache.longest_prefix(LINEAGE, document(1).tokens) is None
    assert cache.longest_prefix(LINEAGE, document(2).tokens) == (document(2).key, 40)


def test_smaller_budgets_hold_at_once(tmp_path: Path) -> None:
    cache = DocumentCache(CacheBudgets(4 * ONE, 4 * ONE, PLENTY), tmp_path, Accelerator())
    put(cache, *(document(number) for number in range(4)))
    for number in range(4):
        cache.handle(document(number).key)
    cache.pin([document(0).key])
    cache.resize(CacheBudgets(ONE, 2 * ONE, PLENTY))
    status = cache.status()
    assert (status["accelerator"]["bytes"], status["host"]["bytes"]) == (ONE, 2 * ONE)
    assert isinstance(cache.handle(document(0).key), OnAccelerator)
    assert cache.get(document(0).key) is not None


def test_the_status_counts() -> None:
    cache = DocumentCache(CacheBudgets(PLENTY, 2 * ONE, 0), upload=Accelerator())
    put(cache, document(1), document(2), document(3))
    for number in (3, 3, 2, 1):
        cache.handle(document(number).key)
    cache.note_encoded(120)
    cache.note_reencoded(7)
    status = cache.status()
    host = {"budgetBytes": 2 * ONE, "bytes": 2 * ONE, "entries": 2, "hits": 2, "misses": 1, "evictions": 1}
    assert status["host"] == host
    assert (status["accelerator"]["hits"], status["accelerator"]["misses"]) == (1, 3)
    assert (status["encodedTokens"], status["reencodedTokens"]) == (120, 7)


def test_the_status_can_be_asked_from_another_thread() -> None:
    cache = DocumentCache(CacheBudgets(PLENTY, 3 * ONE, 0), upload=Accelerator())
    done, wrong = threading.Event(), list[Any]()

    def watch() -> None:
        while not done.is_set():
            status = cache.status()
            if not 0 <= status["host"]["bytes"] <= 3 * ONE:
                wrong.append(status)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for number in range(50):
            put(cache, document(number))
            cache.handle(document(number).key)
    finally:
        done.set()
        watcher.join()
    assert wrong == []


def test_ten_thousand_small_documents_are_no_burden() -> None:
    numbers = np.zeros((1, 1, 4, 4), dtype=np.float32)
    stored = KeysValues(numbers, numbers)

    def filled(count: int) -> None:
        cache = DocumentCache(CacheBudgets(PLENTY, count // 2 * stored.nbytes, 0), upload=Accelerator())
        for number in range(count):
            tokens = [number, 1, 2, 3]
            cache.put(LINEAGE.key(tokens), tokens, stored, 1.0)
            cache.handle(LINEAGE.key(tokens))
        assert cache.status()["host"]["entries"] == count // 2

    assert growth(filled, 1_000, 8_000) < 24  # not 64


DOCUMENTS = [
    document(number, length, seconds=cost)
    for number, length, cost in [
        (0, 5, 1.0),
        (1, 10, 5.0),
        (2, 20, 0.5),
        (3, 40, 2.0),
        (4, 40, 0.1),
        (5, 70, 3.0),
        (6, 90, 1.0),
    ]
]


class UnderRandomUse(RuleBasedStateMachine):
    """Whatever is done in whatever order: budgets hold, uploads included, and nothing wrong is ever given."""

    chosen = st.sampled_from(range(len(DOCUMENTS))).map(DOCUMENTS.__getitem__)

    def __init__(self) -> None:
        super().__init__()
        self.budgets = CacheBudgets(2 * ONE, 3 * ONE, 0)
        self.cache = DocumentCache(self.budgets, upload=self.upload)
        self.put_ever: set[str] = set()

    def upload(self, stored: KeysValues) -> OnAccelerator:
        held = self.cache.status()["accelerator"]["bytes"]
        assert held <= self.budgets.accelerator_bytes  # what is being uploaded is counted already
        return OnAccelerator(stored)

    @rule(entry=chosen)
    def put(self, entry: Encoded) -> None:
        put(self.cache, entry)
        self.put_ever.add(entry.key.digest)

    @rule(entry=chosen)
    def get(self, entry: Encoded) -> None:
        found = self.cache.get(entry.key)
        assert found is None or (entry.key.digest in self.put_ever and same(found, entry.stored))

    @rule(entry=chosen)
    def handle(self, entry: Encoded) -> None:
        known = self.cache.contains(entry.key)
        found = self.cache.handle(entry.key)
        assert (found is not None) == known
        if found is not None:
            assert same(found.stored if isinstance(found, OnAccelerator) else found, entry.stored)

    @rule(entry=chosen)
    def prefix(self, entry: Encoded) -> None:
        found = self.cache.longest_prefix(LINEAGE, entry.tokens)
        assert found is None or found == (entry.key, len(entry.tokens))

    @rule(entries=st.lists(chosen, max_size=3))
    def pin(self, entries: list[Encoded]) -> None:
        self.cache.pin(entry.key for entry in entries)

    @rule(accelerator=st.integers(0, 3), host=st.integers(0, 4))
    def resize(self, accelerator: int, host: int) -> None:
        self.budgets = CacheBudgets(accelerator * ONE, host * ONE, 0)
        self.cache.resize(self.budgets)

    @invariant()
    def within_the_budgets(self) -> None:
        status = self.cache.status()
        assert status["accelerator"]["bytes"] <= self.budgets.accelerator_bytes
        assert status["host"]["bytes"] <= self.budgets.host_bytes


TestUnderRandomUse = UnderRandomUse.TestCase
TestUnderRandomUse.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
