"""Places to measure at: a cursor in a file of a package, documents from its other files, and what was written there.

It cuts and chooses; it runs no model. Cursors are preferred whose continuation uses a name that only the documents
spell, as the others say little about documents. What always holds: the same packages, sizes and seed give the same
cases; documents are chosen by the text before the cursor alone, and none is of the cursor's own file or a copy of it.
"""

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, zip_longest

from inkling.errors import UserError
from model.completion import CompletionRequest
from model.document import Document
from model.evaluation.cache_units import Imported, Unit, imports_of, names_in, units_of
from model.evaluation.document_choice import LARGEST_FILE, DocumentChoice
from model.evaluation.packages import SourcePackage
from model.prompt import Layout

_NAME = re.compile(rb"[A-Za-z_][A-Za-z0-9_]*")
_SMALLEST = 600  # characters of a file
_DRAWS = 12  # cursors that are tried in a file


class NoCasesError(UserError):
    """The packages have no place to measure at."""


@dataclass(frozen=True)
class Sizes:
    """How large cases are, in tokens: documents, the tail before the cursor, and the continuation that is scored."""

    documents: int = 8
    document: int = 512
    tail: int = 1024
    continuation: int = 64


@dataclass(frozen=True)
class Case:
    """A cursor. `documents` and `wrong` with their tokens; `elsewhere` marks tokens of the continuation that belong to
    a name which stands in the documents and nowhere before it in the tail. `prefix` and `rest` are the file's text.
    """

    package: str
    path: str
    sink: tuple[int, ...]
    documents: tuple[tuple[Document, tuple[int, ...]], ...]
    wrong: tuple[tuple[Document, tuple[int, ...]], ...]
    tail: tuple[int, ...]
    continuation: tuple[int, ...]
    elsewhere: tuple[bool, ...]
    prefix: str
    rest: str

    @property
    def context(self) -> tuple[int, ...]:
        """The documents' tokens, one after the other."""
        return tuple(token for _, ids in self.documents for token in ids)


@dataclass(frozen=True)
class _File:
    """A file in which cursors may stand. `ends`: the byte behind each token."""

    path: str
    data: bytes
    ends: tuple[int, ...]
    imports: tuple[Imported, ...]


def make_cases(
    packages: Sequence[SourcePackage],
    other: SourcePackage,
    layout: Layout,
    sizes: Sizes,
    count: int,
    seed: int = 0,
) -> tuple[Case, ...]:
    """Up to `count` cases, the packages in turn. `other` gives the wrong documents where there is one package only.

    Raises NoCasesError if a package has no file that is long enough and imports another one.
    """
    streams = []
    for number, package in enumerate(packages):
        wrong = packages[(number + 1) % len(packages)] if len(packages) > 1 else other
        streams.append(_Places(package, wrong, layout, sizes, seed).cases())
    found: list[Case] = []
    for around in zip_longest(*streams):
        found += [case for case in around if case is not None]
        if len(found) >= count:
            break
    missing = [str(package) for package in packages if not any(case.package == str(package) for case in found)]
    if len(found) < count and missing:
        raise NoCasesError(
            f"{', '.join(missing)}: no file that is long enough and imports others of the package, or too few units "
            f"for documents. Name another package, or ask for less with --documents, --document-tokens, --tail-tokens."
        )
    return tuple(found[:count])


def elsewhere(before: bytes, pieces: Sequence[bytes], after: bytes, known: frozenset[str]) -> tuple[bool, ...]:
    """Per piece (the bytes of one token), whether it belongs to a name of `known` that nothing before it spells.

    `before` is the tail, `after` what follows the pieces, so that a name that is cut off is still read whole. A name
    that began before the first piece is not counted: the tail gives it away.
    """
    written = b"".join(pieces)
    text = before + written + after
    seen = set(_NAME.findall(before))
    marked: set[int] = set()
    for match in _NAME.finditer(text):
        start, end = match.start() - len(before), match.end() - len(before)
        if start >= len(written):
            break
        if start >= 0 and match[0] not in seen and match[0].decode() in known:
            marked.update(range(start, end))
        if start >= 0:
            seen.add(match[0])
    found, at = [], 0
    for piece in pieces:
        found.append(any(place in marked for place in range(at, at + len(piece))))
        at += len(piece)
    return tuple(found)


class _Places:
    """The cases of one package."""

    def __init__(self, package: SourcePackage, wrong: SourcePackage, layout: Layout, sizes: Sizes, seed: int) -> None:
        self._package = package
        self._layout = layout
        self._sizes = sizes
        self._seed = f"{seed} {package}"
        self._choice = DocumentChoice(layout, sizes.document, sizes.documents * sizes.document)
        self._wrong = _sample(wrong, layout, sizes, random.Random(f"{seed} {package} {wrong}"))
        self._sink = layout.sink(package.name)
        self._named: dict[str, frozenset[str]] = {}

    def cases(self) -> Iterator[Case]:
        """One cursor per file, then another one per file, and so on, while there are any that need other files.

        Where no file of the package has one, any cursor will do.
        """
        files = [file for path in sorted(self._package.files) if (file := self._file(path)) is not None]
        random.Random(self._seed).shuffle(files)
        turn, needing = 0, False
        while files:
            left, idle = [], []
            for file in files:
                case = self._case(file, random.Random(f"{self._seed} {file.path} {turn}"))
                if case is None:
                    continue
                left.append(file)
                if any(case.elsewhere):
                    needing = True
                    yield case
                else:
                    idle.append(case)
            if not needing:
                yield from idle
            elif len(idle) == len(left):
                return
            files, turn = left, turn + 1

    def _file(self, path: str) -> _File | None:
        text = self._package.files[path]
        if not _SMALLEST <= len(text) <= LARGEST_FILE:
            return None
        imports = imports_of(path, text, self._package.files)
        if not imports:
            return None
        tokens = self._layout.tokens
        ends = tuple(accumulate(len(tokens.decode([token])) for token in tokens.encode(text)))
        if len(ends) // 2 < max(self._sizes.tail // 4, self._sizes.continuation):
            return None
        return _File(path, text.encode(), ends, imports)

    def _case(self, file: _File, draw: random.Random) -> Case | None:
        """Of some cursors the one whose continuation has most of names from elsewhere."""
        last = len(file.ends) - self._sizes.continuation
        drawn = (self._at(file, draw.randrange(len(file.ends) // 2, last), draw) for _ in range(_DRAWS))
        return max((case for case in drawn if case is not None), key=lambda case: sum(case.elsewhere), default=None)

    def _at(self, file: _File, cursor: int, draw: random.Random) -> Case | None:
        """The case with the cursor behind so many tokens of the file; None where it is no good."""
        sizes, tokens, at = self._sizes, self._layout.tokens, file.ends[cursor - 1]
        oldest = cursor - sizes.tail
        start = file.data.find(b"\n", file.ends[oldest - 1]) + 1 if oldest > 0 else 0
        try:
            prefix, window, rest = (part.decode() for part in (file.data[:at], file.data[start:at], file.data[at:]))
        except UnicodeDecodeError:
            return None  # inside a character
        if not 0 <= start < at:
            return None
        line = prefix.count("\n") + 1
        documents = self._documents(file, line, draw)
        ids = tokens.encode(window + rest)
        ends = list(accumulate(len(tokens.decode([token])) for token in ids))
        if at - start not in ends or len(documents) < max(1, sizes.documents // 2):
            return None
        cut = ends.index(at - start) + 1
        continuation = ids[cut : cut + sizes.continuation]
        if len(continuation) < sizes.continuation:
            return None
        head, _ = self._layout.tail(CompletionRequest(file.path, "python", "", ""))
        known = frozenset(name for document, ids in documents for name in self._names(document.path, ids))
        pieces = [tokens.decode([token]) for token in continuation]
        after = rest.encode()[sum(map(len, pieces)) :]
        marks = elsewhere(tokens.decode(head) + window.encode(), pieces, after[:100], known)
        return Case(
            str(self._package), file.path, self._sink, documents, self._wrong, (*head, *ids[:cut]),
            tuple(continuation), marks, prefix, rest,
        )  # fmt: skip

    def _names(self, path: str, ids: Sequence[int]) -> frozenset[str]:
        """Names that the code of this file has and these tokens of it spell."""
        if path not in self._named:
            self._named[path] = names_in(self._package.files[path])
        spelled = _NAME.findall(self._layout.tokens.decode(ids))
        return self._named[path] & frozenset(name.decode() for name in spelled)

    def _documents(self, file: _File, line: int, draw: random.Random) -> tuple[tuple[Document, tuple[int, ...]], ...]:
        """As `DocumentChoice` wants them, small units left out, those of other files sooner."""
        found: dict[Unit, tuple[Document, tuple[int, ...]] | None] = {}
        for unit, imported in self._choice.wanted(
            self._package.files, file.path, self._package.files[file.path], line, draw
        ):
            if unit in found:
                continue
            document = _document(unit)
            ids = self._layout.document(document)
            large = len(ids) >= self._sizes.document // (4 if imported else 2)
            found[unit] = (document, ids) if large else None
            if sum(one is not None for one in found.values()) == self._sizes.documents:
                break
        return tuple(one for one in found.values() if one is not None)


def _units(package: SourcePackage, layout: Layout, sizes: Sizes) -> Mapping[str, tuple[Unit, ...]]:
    """Units by path."""
    readable = {path: text for path, text in package.files.items() if len(text) <= LARGEST_FILE}
    return {path: units_of(path, text, layout.tokens, sizes.document) for path, text in readable.items()}


def _sample(
    package: SourcePackage, layout: Layout, sizes: Sizes, draw: random.Random
) -> tuple[tuple[Document, tuple[int, ...]], ...]:
    """Documents of another package: as many, of about the same size."""
    units = [unit for units in _units(package, layout, sizes).values() for unit in units]
    draw.shuffle(units)
    documents = [(document, layout.document(document)) for document in map(_document, units)]
    documents.sort(key=lambda found: len(found[1]) < sizes.document * 3 // 4)  # the large ones first, else in order
    return tuple(documents[: sizes.documents])


def _document(unit: Unit) -> Document:
    return Document(unit.path, unit.text, str(unit.number))
