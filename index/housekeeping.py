"""Removes what nobody needs any more: indexes of folders that are gone, and what was kept aside after damage.

An index can be made again, and its vectors are in the cache of all workspaces, so that nothing is lost where a folder
comes back. A folder on a disk that is not mounted looks gone, too: hence a week of patience since somebody indexed it.
"""

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from filelock import FileLock, Timeout

from index.database import ENDINGS
from inkling.folders import index_folder

PATIENCE = 7 * 86_400  # seconds since a writer opened it
_LEFT_OVER = (".broken", ".new", ".damaged")
_SHARED = "vectors"  # the cache of all workspaces


def sweep(now: float | None = None) -> list[Path]:
    """Remove abandoned files from the folder of indexes; which. What cannot be removed stays for the next time."""
    before = (time.time() if now is None else now) - PATIENCE
    removed: list[Path] = []
    try:
        there = sorted(index_folder().iterdir())
    except OSError:
        return []
    for path in there:
        if path.suffix == ".sqlite" and path.stem != _SHARED and _last_written(path) < before and _is_gone(_root(path)):
            removed += _removed(path)
    for path in there:
        if path.suffix in _LEFT_OVER and _last_written(path) < before:
            with contextlib.suppress(OSError):
                path.unlink()
                removed.append(path)
    return removed


def _removed(path: Path) -> Iterator[Path]:
    """Everything that is kept about one workspace, unless somebody is writing it."""
    lock = path.with_suffix(".lock")
    try:
        with FileLock(lock, timeout=0):
            for file in sorted(path.parent.glob(f"{path.stem}.*")):
                if file != lock:
                    file.unlink()
                    yield file
        lock.unlink(missing_ok=True)
    except (OSError, Timeout):
        return


def _last_written(path: Path) -> float:
    times = [time.time()] if not path.exists() else []
    for ending in ENDINGS:
        with contextlib.suppress(OSError):
            times.append(path.with_name(path.name + ending).stat().st_mtime)
    return max(times, default=time.time())


def _root(path: Path) -> str:
    """The folder that an index is of; "" if it does not say."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as database:
            row = database.execute("SELECT value FROM facts WHERE name = 'root'").fetchone()
    except sqlite3.Error:
        return ""
    return str(row[0]) if row else ""


def _is_gone(root: str) -> bool:
    """Whether there is no such folder. One whose name is not UTF-8 cannot be told, nor one that we may not see."""
    if not root or "\ufffd" in root:
        return False
    try:
        os.lstat(root)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        pass
    return False
