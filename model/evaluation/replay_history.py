"""The history of a package as a user's days: what was written, in which file, and what the other files were then.

Pure: versions of files in, hunks out; nothing is run. The user rewrites each changed file from top to bottom. At a
hunk, the new text stands above and the old text below, the hunk's old lines are gone, and its new lines are what the
user writes. What always holds: a hunk knows nothing of what is written after it; hunks without code, text that was
only moved, and files that are huge or made by machines are no part of a history.
"""

import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import pairwise

from index.files import looks_generated
from inkling.errors import UserError
from model.evaluation.completion_spans import code_lines
from model.evaluation.document_choice import LARGEST_FILE

HUNK_LINES = 24  # longer ones are cut into several
_MOST_LINES = 4000  # of a file
_RENAMED = 0.5  # share of lines that a removed file and a new one have in common if they are the same file
_MADE = re.compile(r"(?i)\b(auto-?generated|generated (by|from|with)|do not edit|don't edit)\b")
_HEAD = 600  # characters in which a file says that a program made it


class NoHistoryError(UserError):
    """The versions do not differ in any way that could be replayed."""


@dataclass(frozen=True)
class Snapshot:
    """A package at one time: text by path."""

    name: str
    files: Mapping[str, str]


@dataclass(frozen=True)
class Hunk:
    """Lines that were written at one place. The file was `above + lines + below` when they were done.

    `code`: indices of the lines that hold code. `goes_on`: a longer one was cut here, and more lines follow.
    `files`: the package's files as they were then. `version`: the number of the snapshot that the lines come from.
    `whole`: the file in that snapshot; what stands in it from this hunk on is the future and only serves to read the
    syntax of what stands above.
    """

    path: str
    above: str
    lines: tuple[str, ...]
    below: str
    code: tuple[int, ...]
    files: Mapping[str, str]
    version: int
    whole: str
    goes_on: bool = False

    @property
    def first_line(self) -> int:
        """Of the lines, from 1."""
        return self.above.count("\n") + 1


@dataclass(frozen=True)
class Day:
    """What a user wrote between two nights, in order."""

    name: str
    hunks: tuple[Hunk, ...]


def days_of(snapshots: Sequence[Snapshot], *, hunks: int, days: int, seed: int) -> tuple[Day, ...]:
    """At most `days` days of at most `hunks` hunks each; each pair of versions has about as many of them.

    The order of files is drawn with the seed; where there is more than fits, the last files are left out. Raises
    NoHistoryError if there are no two days.
    """
    found: list[Day] = []
    pairs = list(enumerate(pairwise(snapshots), start=1))
    for number, (old, new) in pairs:
        most = -(-(days - len(found)) // (len(pairs) - number + 1))
        written = list(hunks_between(old, new, version=number, seed=seed))
        parts = [written[start : start + hunks] for start in range(0, len(written), hunks)][:most]
        for part, several in enumerate(parts, start=1):
            name = f"{old.name} to {new.name}" + (f", part {part}" if len(parts) > 1 else "")
            found.append(Day(name, tuple(several)))
    if len(found) < 2:
        raise NoHistoryError(
            f"{', '.join(snapshot.name for snapshot in snapshots)}: these versions make {len(found)} days; at least 2 "
            "are needed, as the first is learned from and the second is measured. Name more versions, or versions "
            "that lie further apart, or make days shorter with --hunks."
        )
    return tuple(found)


def hunks_between(old: Snapshot, new: Snapshot, *, version: int = 1, seed: int = 0) -> Iterator[Hunk]:
    """The hunks by which one snapshot becomes the next, file by file. Files that go are gone before the first."""
    origins = _origins(old.files, new.files)
    paths = [path for path in sorted(new.files) if _readable(new.files[path])]
    random.Random(f"{seed} {new.name}").shuffle(paths)
    state = {path: text for path, text in old.files.items() if path in new.files}
    state |= {path: old.files[origin] for path, origin in origins.items()}
    known = _Blocks(old.files.values())
    for path in paths:
        before, after = state.get(path, ""), new.files[path]
        if before != after:
            files = dict(state)
            yield from _hunks(path, before, after, known, files, version)
            state[path] = after


def _hunks(
    path: str, before: str, after: str, known: "_Blocks", files: Mapping[str, str], version: int
) -> Iterator[Hunk]:
    old, new = _lines(before), _lines(after)
    code = code_lines(after)
    if max(len(old), len(new)) > _MOST_LINES or not code:
        return
    for tag, _, below, start, stop in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag not in ("replace", "insert") or known.hold(new[start:stop]):
            continue
        for first in range(start, stop, HUNK_LINES):
            last = min(first + HUNK_LINES, stop)
            coded = tuple(line - first for line in range(first, last) if line in code)
            if coded:
                lines = tuple(line.rstrip("\n") for line in new[first:last])
                above, old_text = "".join(new[:first]), "".join(old[below:])
                yield Hunk(path, above, lines, old_text, coded, files, version, after, goes_on=last < stop)


def _lines(text: str) -> list[str]:
    """Each with its newline, which alone ends a line here."""
    *ended, last = text.split("\n")
    return [f"{line}\n" for line in ended] + ([last] if last else [])


class _Blocks:
    """Tells whether lines stood one below the other somewhere before, whatever their indentation."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._texts = [_stripped(text.split("\n")) for text in texts]

    def hold(self, lines: Sequence[str]) -> bool:
        """Two lines or more that are all there. One alone may well be written twice."""
        block = _stripped(lines)
        return block.count("\n") > 2 and any(block in text for text in self._texts)


def _stripped(lines: Sequence[str]) -> str:
    """Lines without indentation and blanks, each between newlines."""
    return "\n" + "".join(f"{line.strip()}\n" for line in lines if line.strip())


def _origins(old: Mapping[str, str], new: Mapping[str, str]) -> dict[str, str]:
    """New paths that are old files under another name, by what they have in common."""
    removed = {path: Counter(text.splitlines()) for path, text in old.items() if path not in new}
    found: dict[str, str] = {}
    for path in sorted(path for path in new if path not in old):
        lines = Counter(new[path].splitlines())
        shares = {
            origin: (lines & other).total() / max(lines.total(), other.total(), 1) for origin, other in removed.items()
        }
        best = max(shares, key=lambda origin: shares[origin], default=None)
        if best is not None and shares[best] >= _RENAMED:
            found[path] = best
            del removed[best]
    return found


def _readable(text: str) -> bool:
    """Neither huge nor made by a program."""
    return bool(text) and len(text) <= LARGEST_FILE and not looks_generated(text) and not _MADE.search(text[:_HEAD])
