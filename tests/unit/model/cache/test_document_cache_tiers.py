"""Documents wander between the tiers: to disk when nobody waits, to the accelerator when they are needed."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from model.cache.document_cache import CacheBudgets, DocumentCache
from model.cache.quantised import quantised
from model.runtimes.runtime import KeysValues, OutOfMemoryError
from tests.unit.model.cache.caches import HOST_AND_DISK, ONE, PLENTY, Accelerator, OnAccelerator, put
from tests.unit.model.cache.documents import document, same


def everything_spilled(cache: DocumentCache) -> None:
    while cache.spill():
        pass


# Disk


def test_what_host_memory_is_about_to_lose_is_written_first(tmp_path: Path) -> None:
    cache = DocumentCache(CacheBudgets(0, 4 * ONE, PLENTY), tmp_path)
    put(cache, *(document(number) for number in range(4)))
    everything_spilled(cache)
    assert cache.status()["disk"]["entries"] == 1
    put(cache, document(4))
    assert same(cache.get(document(0).key), quantised(document(0).stored))


def test_while_there_is_room_nothing_is_written(tmp_path: Path) -> None:
    cache = DocumentCache(CacheBudgets(0, 4 * ONE, PLENTY), tmp_path)
    put(cache, *(document(number) for number in range(3)))
    assert not cache.spill()
    assert cache.status()["disk"]["entries"] == 0


def test_putting_and_evicting_never_writes(tmp_path: Path) -> None:
    """A completion must not wait for the disk: only `spill` and `close` write."""
    cache = DocumentCache(CacheBudgets(0, 2 * ONE, PLENTY), tmp_path / "documents")
    put(cache, *(document(number) for number in range(10)))
    assert not (tmp_path / "documents").exists()


def test_a_spill_does_one_document_and_says_whether_there_are_more(tmp_path: Path) -> None:
    cache = DocumentCache(CacheBudgets(0, 8 * ONE, PLENTY), tmp_path)
    put(cache, *(document(number) for number in range(8)))
    assert [cache.spill(), cache.spill(), cache.spill()] == [True, False, False]
    assert cache.status()["disk"]["entries"] == 2


def test_a_spill_that_is_cancelled_is_still_to_do(tmp_path: Path) -> None:
    cache = DocumentCache(CacheBudgets(0, ONE, PLENTY), tmp_path)
    put(cache, document(1))
    assert cache.spill(lambda: True)
    assert cache.status()["disk"]["entries"] == 0
    assert not cache.spill()
    assert cache.status()["disk"]["entries"] == 1


def test_a_restart_begins_warm(tmp_path: Path) -> None:
    cache = DocumentCache(HOST_AND_DISK, tmp_path)
    put(cache, *(document(number) for number in range(5)))
    assert cache.close(10.0) == 5
    assert cache.close(10.0) == 0
    again = DocumentCache(HOST_AND_DISK, tmp_path)
    for number in range(5):
        assert same(again.get(document(number).key), quantised(document(number).stored))
    assert again.status()["host"]["entries"] == 5


def test_without_time_to_close_nothing_is_written(tmp_path: Path) -> None:
    cache = DocumentCache(HOST_AND_DISK, tmp_path)
    put(cache, document(1))
    assert cache.close(0.0) == 0


def test_closing_writes_the_most_valuable_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = DocumentCache(HOST_AND_DISK, tmp_path)
    put(cache, document(1), document(2, seconds=50.0), document(3))
    ticks = iter([0.0, 0.5, 1.5])
    monkeypatch.setattr(time, "monotonic", lambda: next(ticks))
    assert cache.close(1.0) == 1
    assert DocumentCache(HOST_AND_DISK, tmp_path).contains(document(2).key)


def test_what_came_from_disk_is_in_host_memory_and_not_written_again(tmp_path: Path) -> None:
    cache = DocumentCache(HOST_AND_DISK, tmp_path)
    put(cache, document(1))
    cache.close(10.0)
    again = DocumentCache(HOST_AND_DISK, tmp_path)
    first = again.get(document(1).key)
    assert again.get(document(1).key) is first
    assert again.status()["host"]["bytes"] == ONE
    assert again.close(10.0) == 0


def test_what_is_on_disk_already_is_no_work(tmp_path: Path) -> None:
    cache = DocumentCache(HOST_AND_DISK, tmp_path)
    put(cache, document(1))
    cache.close(10.0)
    again = DocumentCache(CacheBudgets(0, ONE, PLENTY), tmp_path)
    put(again, document(1))
    assert same(again.get(document(1).key), document(1).stored)
    assert again.close(10.0) == 0


def test_a_document_on_disk_that_fits_in_no_memory_is_still_given(tmp_path: Path) -> None:
    cache = DocumentCache(HOST_AND_DISK, tmp_path)
    put(cache, document(1))
    cache.close(10.0)
    again = DocumentCache(CacheBudgets(0, 10, PLENTY), tmp_path)
    assert same(again.get(document(1).key), quantised(document(1).stored))
    assert again.status()["host"]["bytes"] == 0


def test_a_full_disk_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reports: list[str] = []
    cache = DocumentCache(CacheBudgets(0, 4 * ONE, PLENTY), tmp_path, report=reports.append)
    put(cache, *(document(number) for number in range(4)))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("model.cache.entry_file.EntryFile.write", full)
    everything_spilled(cache)
    assert cache.close(10.0) == 0
    assert all(same(cache.get(document(number).key), document(number).stored) for number in range(4))
    assert len(reports) == 1
    assert cache.status()["disk"]["writable"] is False


def test_damage_on_disk_is_counted_and_mended_by_putting_again(tmp_path: Path) -> None:
    cache = DocumentCache(HOST_AND_DISK, tmp_path)
    put(cache, document(1))
    cache.close(10.0)
    [path] = [path for path in tmp_path.rglob("*") if path.is_file()]
    path.write_bytes(path.read_bytes()[:-1])
    again = DocumentCache(HOST_AND_DISK, tmp_path)
    assert again.get(document(1).key) is None
    assert again.status()["damagedFiles"] == 1
    put(again, document(1))
    assert again.close(10.0) == 1
    assert DocumentCache(HOST_AND_DISK, tmp_path).get(document(1).key) is not None


def test_two_caches_share_a_folder(tmp_path: Path) -> None:
    one, other = DocumentCache(HOST_AND_DISK, tmp_path), DocumentCache(HOST_AND_DISK, tmp_path)
    put(one, document(1))
    put(other, document(2), document(1))
    assert (one.close(10.0), other.close(10.0)) == (1, 2)
    assert same(one.get(document(2).key), quantised(document(2).stored))
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 2


# Accelerator


def test_a_handle_is_uploaded_once() -> None:
    upload = Accelerator()
    cache = DocumentCache(CacheBudgets(PLENTY, PLENTY, 0), upload=upload)
    put(cache, document(1))
    first = cache.handle(document(1).key)
    assert isinstance(first, OnAccelerator)
    assert same(first.stored, document(1).stored)
    assert cache.handle(document(1).key) is first
    assert len(upload.uploads) == 1


@pytest.mark.parametrize("upload", [None, Accelerator()], ids=["no accelerator", "no budget"])
def test_without_an_accelerator_a_handle_is_what_host_memory_has(upload: Callable[[KeysValues], Any] | None) -> None:
    cache = DocumentCache(CacheBudgets(PLENTY if upload is None else 0, PLENTY, 0), upload=upload)
    put(cache, document(1))
    assert cache.handle(document(1).key) is cache.get(document(1).key)
    assert cache.status()["accelerator"]["budgetBytes"] == 0


def test_a_handle_outlives_the_copy_in_host_memory() -> None:
    cache = DocumentCache(CacheBudgets(PLENTY, ONE, 0), upload=Accelerator())
    put(cache, document(1))
    first = cache.handle(document(1).key)
    put(cache, document(2))
    assert cache.get(document(1).key) is None
    assert cache.handle(document(1).key) is first
    assert cache.contains(document(1).key)


def test_a_handle_comes_from_disk_where_nothing_nearer_has_it(tmp_path: Path) -> None:
    cache = DocumentCache(HOST_AND_DISK, tmp_path)
    put(cache, document(1))
    cache.close(10.0)
    again = DocumentCache(CacheBudgets(PLENTY, PLENTY, PLENTY), tmp_path, Accelerator())
    handle = again.handle(document(1).key)
    assert isinstance(handle, OnAccelerator)
    assert same(handle.stored, quantised(document(1).stored))


def test_a_document_too_large_for_host_memory_may_live_on_the_accelerator() -> None:
    cache = DocumentCache(CacheBudgets(PLENTY, 10, 0), upload=Accelerator())
    assert put(cache, document(1)) == ["stored"]
    assert isinstance(cache.handle(document(1).key), OnAccelerator)


def test_a_document_too_large_for_the_accelerator_is_handed_out_from_host_memory() -> None:
    cache = DocumentCache(CacheBudgets(10, PLENTY, 0), upload=Accelerator())
    put(cache, document(1))
    assert cache.handle(document(1).key) is cache.get(document(1).key)


def test_an_accelerator_with_less_room_than_its_budget_gives_up_other_documents() -> None:
    held: set[int] = set()

    class Handle:
        def __init__(self) -> None:
            if len(held) >= 2:
                raise OutOfMemoryError
            held.add(id(self))

        def __del__(self) -> None:
            held.discard(id(self))

    cache = DocumentCache(CacheBudgets(PLENTY, PLENTY, 0), upload=lambda stored: Handle())
    put(cache, *(document(number) for number in range(4)))
    for number in range(4):
        assert isinstance(cache.handle(document(number).key), Handle)
    assert cache.status()["accelerator"]["entries"] == 2


def test_an_accelerator_without_any_room_is_no_error() -> None:
    cache = DocumentCache(CacheBudgets(PLENTY, PLENTY, 0), upload=Accelerator(room=0))
    put(cache, document(1))
    assert cache.handle(document(1).key) is cache.get(document(1).key)
    assert cache.status()["accelerator"]["bytes"] == 0
