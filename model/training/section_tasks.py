"""Sections to write: settled texts of several lines, and what commits added, split into steps small enough to reward.

Pure: examples and changed files in, sections out. A commit is written step by step: definitions before what stands
outside of them, and what is used before what uses it; at each step the text is as it was once the steps before were
done. What always holds: each text that was left out is counted under the reason why; no section is newer than, or
holds the text of, what the night is measured on.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher
from itertools import groupby
from pathlib import PurePath

from feedback.changes import Change
from feedback.examples import Example
from index.languages import has_grammar, language_of
from model.completion import CompletionRequest
from model.document import Document
from model.training.outline import outline
from model.training.serving import request_of

LEAST_CHARACTERS = 20
MOST_CHARACTERS = 900
_LEAST_LINES = 2
_MOST_DOCUMENTS = 2
_DOCUMENT_CHARACTERS = 1500
_LEAK_CHARACTERS = 20  # of a text that is measured on, from which it must not be part of a section
_NAME = re.compile(r"[A-Za-z_]\w{2,}")
_DEFINED = re.compile(r"^\s*(?:async\s+)?(?:def|class|function|const|let|var|fn|func|type|interface)\s+(\w+)", re.M)


@dataclass(frozen=True)
class Section:
    """A cursor and the text that really stood there. `request` shows what surrounds it.

    `replaced` stood there before. `around`: what stood before and behind it once all was done, where that is more than
    the request shows. `commit` of `workspace` is where it comes from, or the settled text of `example`.
    """

    request: CompletionRequest
    target: str
    replaced: str = ""
    around: tuple[str, str] | None = None
    workspace: str = ""
    commit: str = ""
    example: str = ""

    @property
    def finished(self) -> tuple[str, str]:
        """What stands before and behind it in the finished file."""
        return self.around or (self.request.prefix, self.request.suffix)


@dataclass(frozen=True)
class Sections:
    """What a night may write, commits first, and how many texts were left out, by reason."""

    usable: tuple[Section, ...]
    dropped: Mapping[str, int]


@dataclass
class _Piece:
    """Lines that are written in one step. `old` gives way to it."""

    path: str
    number: int
    lines: list[str]
    old: str
    definition: bool
    done: bool = False
    names: frozenset[str] = field(default_factory=frozenset)
    used: frozenset[str] = field(default_factory=frozenset)

    @property
    def text(self) -> str:
        return "".join(self.lines)


def sections_of(
    examples: Iterable[Example], changes: Sequence[Change], *, until: float, measured: Iterable[str]
) -> Sections:
    """The sections of settled texts, and of commits from before `until`. `measured`: texts that must not be in any."""
    dropped: Counter[str] = Counter()
    forbidden = {text.strip() for text in measured if len(text.strip()) >= _LEAK_CHARACTERS}
    earlier = [change for change in changes if change.at < until]
    dropped["newer"] = len(changes) - len(earlier)
    found: list[Section] = []
    for (workspace, commit), group in groupby(earlier, key=lambda change: (change.workspace, change.commit)):
        name = PurePath(workspace).name
        for one in steps_of(list(group), dropped):
            request = replace(one.request, repository=name)
            found.append(replace(one, request=request, workspace=workspace, commit=commit))
    found += [section_of(example) for example in examples if _whole(example)]
    usable: list[Section] = []
    seen: set[tuple[str, str]] = set()
    for section in found:
        key = (section.request.prefix[-120:], section.target)
        if any(text in section.target for text in forbidden):
            dropped["leaked"] += 1
        elif key in seen:
            dropped["duplicate"] += 1
        else:
            seen.add(key)
            usable.append(section)
    return Sections(tuple(usable), {reason: count for reason, count in sorted(dropped.items()) if count})


def steps_of(commit: Sequence[Change], dropped: Counter[str]) -> list[Section]:
    """The files that one commit changed, as steps in the order in which they are written."""
    files: dict[str, list[str | _Piece]] = {}
    for change in commit:
        language = language_of(change.path)
        if not has_grammar(language):
            dropped["no_grammar"] += 1
            continue
        files[change.path] = _pieces(change, language)
    ordered = _ordered([piece for parts in files.values() for piece in parts if isinstance(piece, _Piece)])
    found = []
    for place, piece in enumerate(ordered):
        size = len(piece.text.strip())
        if size < LEAST_CHARACTERS:
            dropped["too_short"] += 1
        elif size > MOST_CHARACTERS:
            dropped["too_long"] += 1
        else:
            found.append(_section(piece, files[piece.path], ordered[:place]))
        piece.done = True
    return found


def _pieces(change: Change, language: str) -> list[str | _Piece]:
    """The file as what stays and what is written, in order; long hunks are cut at definitions and blank lines."""
    old, new = change.before.splitlines(keepends=True), change.after.splitlines(keepends=True)
    starts, stops = _definition_lines(change.after, language)
    parts: list[str | _Piece] = []
    number = 0
    for tag, first, last, start, stop in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            parts.append("".join(old[first:last]))
        elif tag in ("replace", "insert"):
            gone = "".join(old[first:last])
            for begin, end, definition in _cuts(new, start, stop, starts, stops):
                lines = new[begin:end]
                text = "".join(lines)
                names = frozenset(_DEFINED.findall(text))
                used = frozenset(_NAME.findall(text)) - names
                parts.append(_Piece(change.path, number, lines, gone, definition, names=names, used=used))
                number, gone = number + 1, ""
    return parts


def _definition_lines(text: str, language: str) -> tuple[dict[int, int], frozenset[int]]:
    """The first line of each definition with the line behind its last, and all of the latter."""
    spans: dict[int, int] = {}
    for section in outline(language, text).sections:
        first = text.count("\n", 0, section.start)
        spans.setdefault(first, first + text.count("\n", section.start, section.stop) + 1)
    return spans, frozenset(spans.values())


def _cuts(
    lines: Sequence[str], start: int, stop: int, starts: Mapping[int, int], stops: frozenset[int]
) -> list[tuple[int, int, bool]]:
    """Stretches of [start, stop): a definition that fits is one, a larger one is cut at those inside and at blanks."""
    found: list[tuple[int, int, bool]] = []
    begin, size = start, 0
    at = start
    while at < stop:
        end = starts.get(at)
        if end is not None and end <= stop and sum(map(len, lines[at:end])) <= MOST_CHARACTERS:
            if begin < at:
                found.append((begin, at, False))
            found.append((at, end, True))
            at = begin = end
            size = 0
            continue
        blank = not lines[at].strip()
        if begin < at and (at in starts or at in stops or (blank and size > MOST_CHARACTERS // 2)):
            found.append((begin, at, False))
            begin, size = at, 0
        size += len(lines[at])
        at += 1
    if begin < stop:
        found.append((begin, stop, False))
    joined: list[tuple[int, int, bool]] = []
    for first, last, definition in found:  # blank lines belong to what stands above them
        if joined and not "".join(lines[first:last]).strip():
            joined[-1] = (joined[-1][0], last, joined[-1][2])
        else:
            joined.append((first, last, definition))
    return joined


def _ordered(pieces: Sequence[_Piece]) -> list[_Piece]:
    """Definitions first; among equals what others use comes before them, else the order of the files stays.

    Circles are broken at the first piece in that order.
    """
    waiting = sorted(pieces, key=lambda piece: not piece.definition)
    defined = Counter(name for piece in waiting for name in piece.names)
    found: list[_Piece] = []
    while waiting:
        free = next((at for at, piece in enumerate(waiting) if not any(defined[name] for name in piece.used)), 0)
        piece = waiting.pop(free)
        defined.subtract(piece.names)
        found.append(piece)
    return found


def _section(piece: _Piece, parts: Sequence[str | _Piece], before: Sequence[_Piece]) -> Section:
    """The cursor where the piece is about to be written, behind the indentation of its first line."""
    place = next(number for number, part in enumerate(parts) if part is piece)
    text = piece.text.rstrip()
    lead = len(text) - len(text.lstrip())
    rest = piece.text[len(text) :]
    now = [_now(part) for part in parts]
    done = [part if isinstance(part, str) else part.text for part in parts]
    request = CompletionRequest(
        piece.path,
        language_of(piece.path),
        "".join(now[:place]) + text[:lead],
        rest + "".join(now[place + 1 :]),
        _documents(piece, before),
        wait=True,
    )
    around = ("".join(done[:place]) + text[:lead], rest + "".join(done[place + 1 :]))
    return Section(request, text[lead:], piece.old.strip(), around)


def _now(part: str | _Piece) -> str:
    if isinstance(part, str):
        return part
    return part.text if part.done else part.old


def _documents(piece: _Piece, before: Sequence[_Piece]) -> tuple[Document, ...]:
    """What was written before in other files and is used here."""
    useful = [other for other in before if other.path != piece.path and other.names & piece.used]
    return tuple(Document(other.path, other.text[:_DOCUMENT_CHARACTERS]) for other in useful[-_MOST_DOCUMENTS:])


def _whole(example: Example) -> bool:
    """Whether the settled text is a section: some lines, not too many."""
    text = example.target.strip()
    return text.count("\n") + 1 >= _LEAST_LINES and LEAST_CHARACTERS <= len(text) <= MOST_CHARACTERS


def section_of(example: Example) -> Section:
    """The example's cursor and what the user finally had there."""
    request = replace(request_of(example), wait=True)
    return Section(request, example.target.rstrip(), workspace=example.workspace, example=example.id)
