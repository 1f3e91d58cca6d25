"""The disk tier: one file per document in a folder that several processes may share.

It knows the folder by a list made at the start and again from time to time, keeps the total under a budget by GDSF,
and lives with whatever it meets: files that vanish, that are damaged, or that others put there. It never waits for a
lock, and it is not told what a document is worth beyond the seconds that encoding took.

Always: trouble with a file is a miss, trouble with writing ends writing, and either is reported once and not raised.
A file that is not of our making is neither read nor deleted, and replaced only by the document that it hides.
"""

import contextlib
import os
import re
import stat
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from model.cache.entry_file import (
    UNFINISHED,
    DamagedFileError,
    EntryFile,
    ForeignFileError,
    Header,
    read,
    read_header,
)
from model.cache.gdsf import Gdsf
from model.cache.key import HEX, Key, Tokens
from model.cache.prefixes import PrefixIndex
from model.cache.quantised import Quantised, quantise
from model.runtimes.runtime import Cancelled, KeysValues

_NAME = re.compile(rf"[0-9a-f]{{{HEX}}}")
_ABANDONED = 3600.0  # seconds after which nobody finishes a file any more
_WRITES_BETWEEN_LISTS = 32

Found = TypeVar("Found")


@dataclass(frozen=True)
class OnDisk:
    """One document as read from disk: nothing is in memory yet but the map of its file."""

    tokens: Tokens
    seconds: float
    quantised: Quantised

    @property
    def nbytes(self) -> int:
        """Of the keys and values once restored."""
        itemsize = 2 if self.quantised.dtype == "bfloat16" else 4
        return 2 * self.quantised.keys.size * itemsize


class Disk:
    """Documents in eight bits, in `folder`; a budget of 0 or no folder turns the tier off."""

    def __init__(self, folder: Path | None, budget: int, report: Callable[[str], None]) -> None:
        self.folder = folder
        self.hits = 0
        self.misses = 0
        self.evictions = 0
        self.damaged = 0
        self._report = report
        self._reported: set[str] = set()
        self._writing = True
        self._writes = 0
        self._files: Gdsf[str] = Gdsf(budget if folder else 0)
        self._keys: dict[str, Key] = {}
        self._foreign: set[str] = set()  # names that are ours, of files that are not
        self._prefixes = PrefixIndex()
        self.scan()

    @property
    def on(self) -> bool:
        """Whether there is a disk tier."""
        return self.folder is not None and self._files.budget > 0

    @property
    def writable(self) -> bool:
        """Whether anything more is written in this process."""
        return self.on and self._writing

    def knows(self, key: Key) -> bool:
        """Whether it is on the list, which asks no disk."""
        return key.digest in self._keys

    def has(self, key: Key) -> bool:
        """Whether there is a file, be it that another process has just written it."""
        if self.knows(key):
            return self.on
        with contextlib.suppress(OSError):
            return self.on and key.digest not in self._foreign and self._path(key.digest).is_file()
        return False

    def longest_prefix(self, lineage: str, tokens: Tokens) -> tuple[Key, int] | None:
        """As `PrefixIndex.longest`, over the files on the list."""
        return self._prefixes.longest(lineage, tokens)

    def read(self, key: Key) -> OnDisk | None:
        """The document, checked throughout; None where it is not, or not well."""
        if not self.on:
            return None
        found = self._checked(key.digest, lambda path: read(path, key))
        if found is None:
            self.misses += 1
            return None
        header, quantised, size = found
        self.hits += 1
        if self.knows(key):
            self._files.touch(key.digest)
        else:
            self._enlist(header, size, 1.0)
        with contextlib.suppress(OSError):
            os.utime(self._path(key.digest))  # so that other processes, and the next one, see that it was used
        return OnDisk(header.tokens, header.seconds, quantised)

    def write(
        self, key: Key, tokens: Tokens, stored: KeysValues, seconds: float, cancelled: Cancelled = lambda: False
    ) -> bool:
        """Whether it is on disk now. Evicts first; what fits in no budget or in no eight bits is left out.

        Raises CancelledError while nothing has happened yet.
        """
        if not self.writable:
            return False
        if self.knows(key):
            return True
        quantised = quantise(stored, cancelled)
        file = EntryFile(key, tokens, quantised, seconds)
        if not quantised.finite or not self._admit(key.digest, file.nbytes, seconds):
            return False
        try:
            file.write(self._path(key.digest))
        except OSError as error:
            self._forget(key.digest)
            self._writing = False
            self._say(
                "writing",
                f"The document cache cannot write to {self.folder} ({error}). Nothing is lost, but documents are "
                "encoded again after the next start. Free some space, or make the folder writable.",
            )
            return False
        self._list(key, tokens)
        self._writes += 1
        if self._writes % _WRITES_BETWEEN_LISTS == 0:
            self.scan()
        return True

    def resize(self, budget: int) -> None:
        """Another budget; files that do not fit any more are deleted. 0 turns the tier off and deletes nothing."""
        if self.folder is None:
            return
        was_on = self.on
        if budget > 0:
            self._evict(self._files.resize(budget))
            if not was_on:
                self.scan()
        else:
            for name in self._files.resize(0):
                self._forget(name)

    def scan(self) -> None:
        """Bring the list up to date: files of other processes come in, the oldest first, those that vanished go."""
        if not self.on:
            return
        found = self._found()
        for name in self._files.in_order():
            if name not in found:
                self._forget(name)
        unknown = [name for name in found if name not in self._files and name not in self._foreign]
        fresh = sorted(unknown, key=lambda name: (found[name].st_mtime, name))
        for age, name in enumerate(fresh, start=1):
            self._adopt(name, found[name].st_size, age / len(fresh))

    def status(self) -> dict[str, Any]:
        """Plain numbers. From any thread."""
        return {
            "budgetBytes": self._files.budget,
            "bytes": self._files.nbytes,
            "entries": len(self._keys),
            "hits": self.hits,
            "misses": self.misses,
            "evictions": self.evictions,
            "writable": self.writable,
        }

    def _found(self) -> dict[str, os.stat_result]:
        """What has a name of ours in the folder. Deletes what a process that died left unfinished."""
        assert self.folder is not None
        found = {}
        now = time.time()
        for path in self.folder.glob("[0-9a-f][0-9a-f]/*"):
            with contextlib.suppress(OSError):  # it has just vanished
                entry = path.stat()
                if not stat.S_ISREG(entry.st_mode):
                    continue
                if _NAME.fullmatch(path.name) and path.name.startswith(path.parent.name):
                    found[path.name] = entry
                elif path.name.endswith(UNFINISHED) and now - entry.st_mtime > _ABANDONED:
                    path.unlink()
        return found

    def _adopt(self, name: str, size: int, frequency: float) -> None:
        """Take a file of unknown origin onto the list. `frequency`: 1 for the newest of those found, less for older."""
        header = self._checked(name, lambda path: _header_named(path, name))
        if header is not None:
            self._enlist(header, size, frequency)

    def _enlist(self, header: Header, size: int, frequency: float) -> None:
        """Put a file that is there onto the list, or delete it where the budget has no room for it."""
        if self._admit(header.key.digest, size, header.seconds, frequency):
            self._list(header.key, header.tokens)
        else:
            self._delete(header.key.digest)

    def _checked(self, name: str, look: Callable[[Path], Found]) -> Found | None:
        """What `look` finds in the file of this name; None, and the file dealt with, where it finds trouble."""
        path = self._path(name)
        if name in self._foreign:
            return None
        try:
            return look(path)
        except FileNotFoundError:
            self._forget(name)
        except DamagedFileError as error:
            self.damaged += 1
            self._delete(name)
            self._say("damaged", f"A cached document was damaged and has been deleted: {path}: {error}.")
        except ForeignFileError as error:
            self.damaged += 1
            self._forget(name)
            self._foreign.add(name)
            self._say("foreign", f"A file among the cached documents is left alone: {path}: {error}.")
        except OSError as error:
            self._forget(name)
            self._foreign.add(name)  # it is there, and does not help
            self._say("reading", f"The document cache cannot read {path} ({error}).")
        return None

    def _admit(self, name: str, size: int, seconds: float, frequency: float = 1.0) -> bool:
        """Make room in the budget, by deleting files, and take `size` bytes of it."""
        admission = self._files.admit(name, size, seconds, frequency)
        self._evict(admission.evicted)
        return admission.verdict == "stored"

    def _list(self, key: Key, tokens: Tokens) -> None:
        self._foreign.discard(key.digest)
        self._keys[key.digest] = key
        self._prefixes.add(key, tokens)

    def _evict(self, names: Iterable[str]) -> None:
        for name in names:
            self.evictions += 1
            self._delete(name)

    def _delete(self, name: str) -> None:
        """File and all. One that cannot be deleted (mapped, on Windows) is left alone until it is written anew."""
        self._forget(name)
        try:
            self._path(name).unlink()
        except FileNotFoundError:
            pass
        except OSError:
            self._foreign.add(name)

    def _forget(self, name: str) -> None:
        """Off the list; the file is not touched."""
        self._files.remove(name)
        key = self._keys.pop(name, None)
        if key is not None:
            self._prefixes.remove(key)

    def _path(self, name: str) -> Path:
        assert self.folder is not None
        return self.folder / name[:2] / name

    def _say(self, kind: str, message: str) -> None:
        """Each kind of trouble once."""
        if kind not in self._reported:
            self._reported.add(kind)
            self._report(message)


def _header_named(path: Path, name: str) -> Header:
    """The header of the file of this name. Raises as `read_header` does."""
    header = read_header(path)
    if header.key.digest != name:
        raise DamagedFileError("it holds another document")
    return header
