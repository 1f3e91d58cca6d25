"""The disk tier survives restarts, other processes and a full disk, and keeps to its budget."""

import errno
import os
import stat
import time
from pathlib import Path

import pytest

from model.cache import entry_file
from model.cache.disk import Disk
from model.cache.key import as_tokens
from model.cache.quantised import dtype_of, quantised
from model.runtimes.runtime import CancelledError
from tests.unit.model.cache.documents import LINEAGE, document, encoded, same
from tests.unit.model.cache.folder import PLENTY, Reports, disk_with, file_of, files, write


def test_what_was_written_comes_back_rounded_to_eight_bits(folder: Path, reports: Reports) -> None:
    entry = document(1, length=130)
    found = disk_with(folder, reports, entry).read(entry.key)
    assert found is not None
    assert same(found.quantised.restored(), quantised(entry.stored))
    assert found.tokens.tolist() == entry.tokens
    assert found.seconds == entry.seconds
    assert found.nbytes == entry.nbytes


def test_bfloat16_stays_bfloat16(folder: Path, reports: Reports) -> None:
    entry = document(1, dtype="bfloat16")
    found = disk_with(folder, reports, entry).read(entry.key)
    assert found is not None
    assert found.nbytes == entry.nbytes
    assert dtype_of(found.quantised.restored()) == "bfloat16"
    assert same(found.quantised.restored(), quantised(entry.stored))


def test_a_document_without_tokens_is_a_document(folder: Path, reports: Reports) -> None:
    entry = encoded([])
    found = disk_with(folder, reports, entry).read(entry.key)
    assert found is not None
    assert found.quantised.restored().tokens == 0


def test_arrays_lie_where_a_map_can_use_them(folder: Path, reports: Reports) -> None:
    entry = document(1, length=67)
    found = disk_with(folder, reports, entry).read(entry.key)
    assert found is not None
    arrays = (found.quantised.keys, found.quantised.key_scales, found.quantised.values, found.quantised.value_scales)
    assert all(array.__array_interface__["data"][0] % entry_file.ALIGNMENT == 0 for array in arrays)
    assert all(not array.flags.writeable for array in arrays)


def test_a_restart_finds_everything(folder: Path, reports: Reports) -> None:
    entries = [document(number) for number in range(5)]
    disk_with(folder, reports, *entries)
    again = Disk(folder, PLENTY, reports)
    assert again.status()["entries"] == 5
    assert again.status()["bytes"] == sum(path.stat().st_size for path in files(folder))
    assert all(again.read(entry.key) for entry in entries)
    assert again.longest_prefix(LINEAGE.digest, as_tokens(range(60))) == (entries[0].key, 40)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_only_this_user_can_read_the_files(folder: Path, reports: Reports) -> None:
    """The tokens of a document are its text."""
    entry = document(1)
    disk_with(folder, reports, entry)
    assert stat.S_IMODE(file_of(folder, entry).stat().st_mode) == 0o600


def test_writing_leaves_nothing_but_the_file(folder: Path, reports: Reports) -> None:
    disk_with(folder, reports, document(1))
    assert files(folder) == [file_of(folder, document(1))]


def test_what_is_there_is_not_written_again(folder: Path, reports: Reports) -> None:
    disk = disk_with(folder, reports, document(1))
    before = file_of(folder, document(1)).stat().st_ino
    assert write(disk, document(1))
    assert file_of(folder, document(1)).stat().st_ino == before


def test_cancelled_writing_has_done_nothing(folder: Path, reports: Reports) -> None:
    disk = disk_with(folder, reports)
    entry = document(1)
    with pytest.raises(CancelledError):
        disk.write(entry.key, as_tokens(entry.tokens), entry.stored, 1.0, lambda: True)
    assert files(folder) == []
    assert disk.status()["bytes"] == 0


def test_numbers_that_are_not_finite_stay_off_the_disk(folder: Path, reports: Reports) -> None:
    entry = document(1)
    entry.stored.keys[0, 0, 0, 0] = float("inf")
    assert not write(disk_with(folder, reports), entry)
    assert files(folder) == []


# Trouble with the disk itself


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EDQUOT, errno.EROFS])
def test_a_disk_that_takes_no_more_is_not_asked_again(
    folder: Path, reports: Reports, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    disk = disk_with(folder, reports, document(1))
    asked = []

    def full(descriptor: int, mode: str) -> None:
        os.close(descriptor)
        asked.append(mode)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fdopen", full)
    assert not write(disk, document(2))
    assert not write(disk, document(3))
    assert not disk.writable
    assert (len(asked), len(reports)) == (1, 1)
    assert files(folder) == [file_of(folder, document(1))]
    assert disk.status()["bytes"] == file_of(folder, document(1)).stat().st_size
    assert disk.read(document(1).key) is not None


def test_a_folder_that_is_a_file_turns_writing_off(tmp_path: Path, reports: Reports) -> None:
    path = tmp_path / "documents"
    path.write_text("no folder", encoding="utf-8")
    disk = Disk(path, PLENTY, reports)
    assert disk.read(document(1).key) is None
    assert not disk.has(document(1).key)
    assert not write(disk, document(1))
    assert not disk.writable


def test_a_file_that_cannot_be_read_is_a_miss_and_one_report(
    folder: Path, reports: Reports, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = disk_with(folder, reports, document(1), document(2))

    def forbidden(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("model.cache.disk.read", forbidden)
    assert disk.read(document(1).key) is None
    assert disk.read(document(2).key) is None
    assert len(reports) == 1
    assert len(files(folder)) == 2


# Budget, and two processes in one folder


def size_of_one(tmp_path: Path) -> int:
    disk = disk_with(tmp_path / "measured", Reports(), document(1))
    return int(disk.status()["bytes"])


def test_the_folder_never_outgrows_the_budget(folder: Path, tmp_path: Path, reports: Reports) -> None:
    budget = 3 * size_of_one(tmp_path) + 200
    disk = Disk(folder, budget, reports)
    for number in range(10):
        assert write(disk, document(number))
        assert sum(path.stat().st_size for path in files(folder)) <= budget
    assert disk.evictions == 7
    assert disk.status()["bytes"] == sum(path.stat().st_size for path in files(folder))


def test_what_took_long_to_encode_stays_on_disk(folder: Path, tmp_path: Path, reports: Reports) -> None:
    disk = Disk(folder, 2 * size_of_one(tmp_path) + 200, reports)
    for entry in (document(1, seconds=9.0), document(2), document(3)):
        assert write(disk, entry)
    assert disk.has(document(1).key)
    assert not disk.has(document(2).key)


def test_of_what_is_found_at_the_start_the_oldest_goes_first(folder: Path, tmp_path: Path, reports: Reports) -> None:
    entries = [document(number) for number in range(4)]
    disk_with(folder, reports, *entries)
    for age, number in enumerate([2, 0, 3, 1]):
        os.utime(file_of(folder, entries[number]), (time.time() - 1000 * age,) * 2)
    disk = Disk(folder, 2 * size_of_one(tmp_path) + 200, reports)
    assert [disk.has(entry.key) for entry in entries] == [True, False, True, False]
    assert len(files(folder)) == 2


def test_what_was_read_is_young_again(folder: Path, tmp_path: Path, reports: Reports) -> None:
    disk = disk_with(folder, reports, document(1), document(2))
    for number, age in ((1, 2000), (2, 1000)):
        os.utime(file_of(folder, document(number)), (time.time() - age,) * 2)
    disk.read(document(1).key)
    again = Disk(folder, size_of_one(tmp_path) + 200, reports)
    assert again.has(document(1).key)


def test_a_document_larger_than_the_budget_is_left_out(folder: Path, reports: Reports) -> None:
    disk = Disk(folder, 1000, reports)
    assert not write(disk, document(1, length=500))
    assert files(folder) == []
    assert reports == []
    assert disk.writable


def test_no_budget_is_no_disk(folder: Path, reports: Reports) -> None:
    disk_with(folder, reports, document(1))
    disk = Disk(folder, 0, reports)
    assert not disk.on
    assert disk.read(document(1).key) is None
    assert not write(disk, document(2))
    assert len(files(folder)) == 1


def test_a_tier_turned_off_keeps_its_files_for_when_it_is_on(folder: Path, reports: Reports) -> None:
    disk = disk_with(folder, reports, document(1))
    disk.resize(0)
    assert not disk.has(document(1).key)
    disk.resize(PLENTY)
    assert disk.read(document(1).key) is not None


def test_one_process_finds_what_the_other_has_just_written(folder: Path, reports: Reports) -> None:
    one, other = Disk(folder, PLENTY, reports), Disk(folder, PLENTY, reports)
    write(one, document(1))
    assert other.has(document(1).key)
    assert other.read(document(1).key) is not None
    assert other.status()["bytes"] == one.status()["bytes"]


def test_now_and_then_the_list_is_brought_up_to_date(folder: Path, reports: Reports) -> None:
    one, other = Disk(folder, PLENTY, reports), Disk(folder, PLENTY, reports)
    write(one, document(1))
    for number in range(2, 40):
        write(other, document(number))
    assert other.longest_prefix(LINEAGE.digest, as_tokens(document(1).tokens)) == (document(1).key, 40)


def test_a_file_that_vanishes_is_a_miss_and_no_trouble(folder: Path, reports: Reports) -> None:
    one, other = Disk(folder, PLENTY, reports), Disk(folder, PLENTY, reports)
    write(one, document(1))
    other.scan()
    one.resize(1)
    assert other.read(document(1).key) is None
    assert other.status()["bytes"] == 0
    assert (other.damaged, reports) == (0, [])


def test_a_document_that_is_being_read_may_be_evicted_by_the_other(folder: Path, reports: Reports) -> None:
    one, other = Disk(folder, PLENTY, reports), Disk(folder, PLENTY, reports)
    write(one, document(1))
    found = other.read(document(1).key)
    one.resize(1)
    assert found is not None
    assert same(found.quantised.restored(), quantised(document(1).stored))


def test_both_together_stay_near_the_budget(folder: Path, tmp_path: Path, reports: Reports) -> None:
    one_file = size_of_one(tmp_path)
    budget = 10 * (one_file + 50)
    disks = [Disk(folder, budget, reports), Disk(folder, budget, reports)]
    for number in range(150):
        assert write(disks[number % 2], document(number))
    for disk in disks:
        disk.scan()
    assert sum(path.stat().st_size for path in files(folder)) <= budget
    assert reports == []
