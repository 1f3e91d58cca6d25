"""One pass over the files that a walk found, in order: which are known, which are read anew, which have no text.

It reads and has outlines made, and writes nothing: what comes out is for `Store.put`. Always: only files with text
count towards the limit, the first by path, so that a folder of images crowds nothing out; a file that was refused for
what is in it is not read again before it changes; and one that is cut by lines for now is stored with a size that no
file has, so that a later look tries it again.
"""

import hashlib
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from index import files
from index.files import File, NoTextError, UnreadableError
from index.languages import language_of
from index.outlining import Outliner, Text
from index.store import Entry, Known, Refused

OVER = "over the limit"
_Read = tuple[File, bytes, str]  # a file, the hash of its text, its language


class Intake:
    """Takes in `found`, files in the order of their paths, given what is `known` and what was `refused` of them.

    Complete once `entries` is exhausted: then `kept` are the paths that the index is to hold, and `skipped` counts the
    others by reason. `looked` of `changed` files were read.
    """

    def __init__(
        self,
        root: Path,
        found: Sequence[File],
        known: dict[str, Known],
        refused: dict[File, str],
        *,
        most: int,
        max_bytes: int,
    ) -> None:
        self.kept: set[str] = set()
        self.refused: set[str] = set()  # paths, in this pass
        self.skipped: Counter[str] = Counter()
        self.changed = sum(file not in refused and not self._same(known.get(file.path), file) for file in found)
        self.looked = 0
        self._root = root
        self._found = found
        self._known = known
        self._refused = refused
        self._most = most
        self._max_bytes = max_bytes

    @property
    def cut(self) -> str | None:
        """The last path that is kept, where the limit leaves out others; None where it leaves out none."""
        return max(self.kept, default="") if self.skipped[OVER] else None

    def entries(self, outliner: Outliner) -> Iterator[Entry | File | Refused]:
        """For each file that changed, in order: what is in it; the file alone if that is known already; or that it has
        no text. A file that cannot be read, that the limit leaves out, or that is still cut by lines for now, is not
        among them."""
        waiting: deque[_Read | File | Refused] = deque()
        for outline in outliner.outlines(self._texts(waiting, outliner)):
            while not isinstance(first := waiting.popleft(), tuple):
                yield first
            file, digest, language = first
            if file.path in outliner.postponed:
                file, was = _by_lines(file), self._known.get(file.path)
                if was is not None and was.hash == digest and self._same(was, file):
                    continue
            yield file, digest, language, outline
        for rest in waiting:
            assert not isinstance(rest, tuple), "every text has an outline"
            yield rest

    def _texts(self, waiting: deque[_Read | File | Refused], outliner: Outliner) -> Iterator[Text]:
        """Texts to outline; what is to be said of each file goes into `waiting`."""
        for file in self._found:
            if file in self._refused:
                self.skipped[self._refused[file]] += 1
                continue
            was = self._known.get(file.path)
            same = self._same(was, file)
            self.looked += not same
            if len(self.kept) >= self._most:
                self.skipped[OVER] += 1
            elif same or (self._same(was, _by_lines(file)) and not outliner.due(file.path)):
                self.kept.add(file.path)
            elif (text := self._read(file, waiting)) is not None:
                self.kept.add(file.path)
                digest = hashlib.sha256(text.encode("utf-8", "replace")).digest()[:16]
                if was is not None and was.hash == digest and was.size >= 0:
                    waiting.append(file)
                    continue
                language = language_of(file.path)
                waiting.append((file, digest, language))
                yield Text(file.path, text, language)

    def _read(self, file: File, waiting: deque[_Read | File | Refused]) -> str | None:
        try:
            return files.read(self._root, file.path, max_bytes=self._max_bytes).text
        except UnreadableError as error:
            self.skipped[str(error)] += 1
            if isinstance(error, NoTextError):
                self.refused.add(file.path)
                waiting.append(Refused(file, str(error)))
            return None

    @staticmethod
    def _same(was: Known | None, file: File) -> bool:
        return was is not None and (was.size, was.mtime_ns) == (file.size, file.mtime_ns)


def _by_lines(file: File) -> File:
    """The file as it is stored while it is cut by lines for now: its size, below zero."""
    return replace(file, size=~file.size)
