"""A folder of cached documents, and what one does to it."""

from pathlib import Path

from model.cache.disk import Disk
from model.cache.key import as_tokens
from tests.unit.model.cache.documents import Encoded

PLENTY = 1 << 20


class Reports(list[str]):
    """What was reported."""

    def __call__(self, message: str) -> None:
        self.append(message)


def file_of(folder: Path, entry: Encoded) -> Path:
    return folder / entry.key.digest[:2] / entry.key.digest


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def write(disk: Disk, entry: Encoded) -> bool:
    return disk.write(entry.key, as_tokens(entry.tokens), entry.stored, entry.seconds)


def disk_with(folder: Path, reports: Reports, *entries: Encoded, budget: int = PLENTY) -> Disk:
    disk = Disk(folder, budget, reports)
    for entry in entries:
        assert write(disk, entry)
    return disk
