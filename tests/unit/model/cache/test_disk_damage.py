"""Whatever stands in a file of the disk tier: it is either what was written or a miss, and can be written again."""

import os
import shutil
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model.cache import entry_file
from model.cache.disk import Disk
from tests.unit.model.cache.documents import document
from tests.unit.model.cache.folder import PLENTY, Reports, disk_with, file_of, files, write


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_a_wrong_byte_anywhere_is_a_miss_and_can_be_mended(folder: Path, place: float, flip: int) -> None:
    reports, entry = Reports(), document(1, length=5)
    shutil.rmtree(folder, ignore_errors=True)
    disk = disk_with(folder, reports, entry)
    path = file_of(folder, entry)
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= flip
    path.write_bytes(content)
    for _ in range(3):
        assert disk.read(entry.key) is None
    assert len(reports) == 1
    assert disk.damaged == 1
    assert write(disk, entry)
    assert disk.read(entry.key) is not None


@pytest.mark.parametrize("at_start", [False, True], ids=["met by reading", "met at the start"])
@pytest.mark.parametrize("length", [0, 3, 10, 19, 20, 100, 900, -1])
def test_a_file_cut_short_is_deleted(folder: Path, reports: Reports, length: int, at_start: bool) -> None:
    entry = document(1)
    disk = disk_with(folder, reports, entry)
    path = file_of(folder, entry)
    path.write_bytes(path.read_bytes()[:length])
    if at_start:
        disk = Disk(folder, PLENTY, reports)
    assert disk.read(entry.key) is None
    assert not path.exists()
    assert (disk.damaged, len(reports)) == (1, 1)
    assert disk.status()["bytes"] == 0
    assert write(disk, entry)
    assert disk.read(entry.key) is not None


def test_a_file_that_goes_on_after_its_end_is_deleted(folder: Path, reports: Reports) -> None:
    disk = disk_with(folder, reports, document(1))
    with file_of(folder, document(1)).open("ab") as stream:
        stream.write(b"more")
    assert disk.read(document(1).key) is None
    assert files(folder) == []


@pytest.mark.parametrize("at_start", [False, True], ids=["met by reading", "met at the start"])
def test_a_file_under_another_name_is_not_taken_for_what_it_is_called(
    folder: Path, reports: Reports, at_start: bool
) -> None:
    one, other = document(1), document(2)
    disk = disk_with(folder, reports, one)
    file_of(folder, other).parent.mkdir(exist_ok=True)
    shutil.copy(file_of(folder, one), file_of(folder, other))
    if at_start:
        disk = Disk(folder, PLENTY, reports)
    assert disk.read(other.key) is None
    assert len(reports) == 1
    assert write(disk, other)
    assert disk.read(other.key) is not None
    assert disk.read(one.key) is not None


@pytest.mark.parametrize("at_start", [False, True], ids=["met by reading", "met at the start"])
@pytest.mark.parametrize("newer", [False, True], ids=["of somebody else", "of a newer version"])
def test_a_foreign_file_is_left_alone_until_its_document_is_written(
    folder: Path, reports: Reports, newer: bool, at_start: bool
) -> None:
    entry = document(1)
    disk = disk_with(folder, reports, entry)
    path = file_of(folder, entry)
    foreign = entry_file.MAGIC + b"\xff" * 100 if newer else b"SQLite format 3\0"
    path.write_bytes(foreign)
    if at_start:
        disk = Disk(folder, PLENTY, reports)
    for _ in range(3):
        assert disk.read(entry.key) is None
        disk.scan()
    assert path.read_bytes() == foreign
    assert (disk.damaged, len(reports)) == (1, 1)
    assert not disk.has(entry.key)
    assert write(disk, entry)
    assert disk.read(entry.key) is not None


def test_a_file_of_an_older_version_makes_room(folder: Path, reports: Reports) -> None:
    disk_with(folder, reports, document(1))
    path = file_of(folder, document(1))
    path.write_bytes(entry_file.MAGIC + bytes(4) + path.read_bytes()[12:])
    Disk(folder, PLENTY, reports)
    assert files(folder) == []


def test_many_damaged_files_are_one_report(folder: Path, reports: Reports) -> None:
    entries = [document(number) for number in range(5)]
    disk_with(folder, reports, *entries)
    for entry in entries:
        file_of(folder, entry).write_bytes(b"")
    assert Disk(folder, PLENTY, reports).damaged == 5
    assert len(reports) == 1


def test_what_else_lies_in_the_folder_is_neither_counted_nor_touched(folder: Path, reports: Reports) -> None:
    others = [
        folder / "notes.txt",
        folder / "ab" / "notes.txt",
        folder / "ab" / ("cd" * 32),
        folder / "zz" / ("0" * 64),
    ]
    for path in others:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine", encoding="utf-8")
    (folder / "00" / ("0" * 64)).mkdir(parents=True)
    disk = disk_with(folder, reports, document(1))
    disk.resize(1)
    assert sorted(files(folder)) == sorted(others)
    assert reports == []


def test_what_a_dead_process_left_unfinished_is_cleared_away(folder: Path, reports: Reports) -> None:
    old, young = (folder / "ab" / f".{name}{entry_file.UNFINISHED}" for name in ("old", "young"))
    for path in (old, young):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 7200,) * 2)
    Disk(folder, PLENTY, reports)
    assert files(folder) == [young]
