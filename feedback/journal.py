"""Facts that cannot be stored now, waiting on disk: JSON lines in a file of this process, oldest first, bounded.

It decides nothing about consent and looks for no secrets: what comes in has been through both. Always: a file belongs
to the process that holds its lock, and a file whose process is gone is taken over by whoever looks next; when the
bound is reached the oldest facts go, and are counted. Facts that are read are still there until `clear`. What other
programs keep in the folder is left alone.
"""

import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from feedback.store import Prepared
from feedback.wire import fact_of, line_of

_NAME = re.compile(r"\d+-[0-9a-f]{8}\.jsonl")


class Journal:
    """The waiting facts of one process in `folder`, which is only made once something has to wait. Not thread-safe."""

    def __init__(self, folder: Path, limit: int = 16_000_000) -> None:
        self._folder = folder
        self._limit = limit
        self._file = folder / f"{os.getpid()}-{os.urandom(4).hex()}.jsonl"
        self._lock: FileLock | None = None
        self.waiting = 0
        self.adopt()

    def append(self, facts: Sequence[Prepared]) -> int:
        """Let facts wait; how many older ones were dropped to make room. Raises OSError if the disk refuses."""
        if self._lock is None:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = FileLock(f"{self._file}.lock", mode=0o600)
            self._lock.acquire(timeout=0)
        lines = [line_of(fact) for fact in facts]
        dropped = self._make_room(sum(map(len, lines)))
        descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(lines)
        self.waiting += len(lines) - dropped
        return dropped

    def read(self, size: int) -> Iterator[list[Prepared]]:
        """All waiting facts in their order, `size` at a time. A line that was cut off by a crash is left out."""
        batch: list[Prepared] = []
        with suppress(FileNotFoundError), self._file.open("rb") as file:
            for line in file:
                with suppress(ValueError, TypeError, KeyError):
                    batch.append(fact_of(json.loads(line)))
                if len(batch) >= size:
                    yield batch
                    batch = []
        if batch:
            yield batch

    def clear(self) -> None:
        """Everything that waited is stored, or may not be."""
        self._file.unlink(missing_ok=True)
        self.waiting = 0

    def adopt(self) -> None:
        """Take over what processes that are gone left behind."""
        for left in sorted(self._folder.glob("*.jsonl")):
            if left == self._file or not _NAME.fullmatch(left.name):
                continue
            lock = FileLock(f"{left}.lock", timeout=0)
            try:
                with lock, suppress(OSError):
                    *lines, cut_off = left.read_bytes().split(b"\n")
                    facts = [fact_of(json.loads(line)) for line in (*lines, cut_off) if _whole(line)]
                    if facts or not lines:  # else it only looks like one of ours
                        self.append(facts)
                        left.unlink()
            except (Timeout, OSError):  # its process lives, or somebody else was faster
                continue
            Path(lock.lock_file).unlink(missing_ok=True)

    def close(self) -> None:
        """Leave what still waits to the next process."""
        if self._lock is not None:
            self._lock.release()
            Path(self._lock.lock_file).unlink(missing_ok=True)
            self._lock = None

    def _make_room(self, size: int) -> int:
        """Drop the oldest half where the new facts would go over the bound."""
        try:
            held = self._file.stat().st_size
        except FileNotFoundError:
            return 0
        if held + size <= self._limit:
            return 0
        lines = self._file.read_bytes().splitlines(keepends=True)
        kept: list[bytes] = []
        room = max(self._limit // 2 - size, 0)
        while lines and room >= len(lines[-1]):
            room -= len(lines[-1])
            kept.append(lines.pop())
        new = self._file.with_suffix(".new")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(reversed(kept))
        new.replace(self._file)
        return len(lines)


def _whole(line: bytes) -> bool:
    try:
        fact_of(json.loads(line))
    except (ValueError, TypeError, KeyError):
        return False
    return True
