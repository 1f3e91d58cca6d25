"""Cursors in packages at which something is to be filled in, with documents from the package's other files.

It cuts and chooses; it runs no model. What always holds: the same packages, sizes and seed give the same cases; which
documents stand beside a cursor depends on the text before it alone; none is of the cursor's own file or a copy of it.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from inkling.errors import UserError
from model.completion import CompletionRequest
from model.document import Document
from model.evaluation.completion_spans import TASKS, Span, Task, spans
from model.evaluation.document_choice import LARGEST_FILE, DocumentChoice
from model.evaluation.packages import SourcePackage
from model.prompt import Budget, Layout

LONGEST = 256  # tokens of what is to be filled in
_GRID = Budget().grid
_SMALLEST = 600  # characters of a file


class NoPlacesError(UserError):
    """The packages have no place where something could be filled in."""


@dataclass(frozen=True)
class Sizes:
    """How much is read, in tokens: so many documents of so many, the text before the cursor, and that behind it."""

    documents: int = 3
    document: int = 256
    tail: int = 384
    suffix: int = 96

    @property
    def whole(self) -> int:
        """Tokens of all documents."""
        return self.documents * self.document

    @property
    def budget(self) -> Budget:
        """The same as prompts are cut to."""
        grid = max(1, min(_GRID, self.tail // 20))  # so that a small tail is not nearly empty behind each step
        return Budget(self.whole, self.whole, self.document, self.tail, grid, self.suffix)


@dataclass(frozen=True)
class CompletionCase:
    """`prefix + middle + suffix` is a file. `copied`: a document spells the middle word for word."""

    task: str
    kind: str
    package: str
    path: str
    prefix: str
    middle: str
    suffix: str
    documents: tuple[Document, ...] = ()
    repository: str = ""
    copied: bool = False

    @property
    def lines(self) -> int:
        """Of the middle."""
        return self.middle.count("\n") + 1

    def request(self, *, documents: bool, suffix: bool) -> CompletionRequest:
        """This cursor as it is asked for, with and without documents and what follows it."""
        return CompletionRequest(
            self.path, "python", self.prefix, self.suffix if suffix else "", self.documents if documents else (),
            self.repository, block=False, wait=True,
        )  # fmt: skip


@dataclass(frozen=True)
class _File:
    path: str
    text: str


def make_cases(
    packages: Sequence[SourcePackage], layout: Layout, sizes: Sizes, count: int, seed: int = 0
) -> tuple[CompletionCase, ...]:
    """Up to `count` cases of each task, the packages in turn. Raises NoPlacesError if a package has none at all."""
    sources = [_Places(package, layout, sizes, seed) for package in packages]
    found: list[CompletionCase] = []
    for task in TASKS:
        several: list[CompletionCase] = []
        for around in zip_longest(*(source.cases(task) for source in sources)):
            several += [case for case in around if case is not None]
            if len(several) >= count:
                break
        found += several[:count]
    missing = [str(package) for package in packages if not any(case.package == str(package) for case in found)]
    if missing and count >= len(packages):
        raise NoPlacesError(
            f"{', '.join(missing)}: no place to fill something in. Expected at least two Python files of {_SMALLEST} "
            "characters or more, one of them with functions. Name another package, or a folder that holds one."
        )
    return tuple(found)


class _Places:
    """The cases of one package."""

    def __init__(self, package: SourcePackage, layout: Layout, sizes: Sizes, seed: int) -> None:
        self._package = package
        self._layout = layout
        self._sizes = sizes
        self._seed = f"{seed} {package}"
        readable = {path: text for path, text in package.files.items() if len(text) <= LARGEST_FILE}
        self._choice = DocumentChoice(layout, sizes.document, sizes.whole)
        self._files = [_File(path, text) for path, text in sorted(readable.items()) if len(text) >= _SMALLEST]

    def cases(self, task: Task) -> Iterator[CompletionCase]:
        """One per file, then another one per file, and so on, while there are any."""
        draw = random.Random(f"{self._seed} {task}")
        places = [(file, iter(spans(task, file.text, draw))) for file in self._files]
        draw.shuffle(places)
        while places:
            left = []
            for file, rest in places:
                case = next((made for span in rest if (made := self._at(task, file, span, draw)) is not None), None)
                if case is not None:
                    left.append((file, rest))
                    yield case
            places = left

    def _at(self, task: Task, file: _File, span: Span, draw: random.Random) -> CompletionCase | None:
        """The case of a span; None where it is too long, ends the file, or stands beside no document."""
        prefix, middle, suffix = file.text[: span.start], file.text[span.start : span.stop], file.text[span.stop :]
        if not suffix.strip() or len(self._layout.tokens.encode(middle)) > LONGEST:
            return None
        line = prefix.count("\n") + 1
        documents = self._choice.choose(self._package.files, file.path, file.text, line, draw)
        if not documents:
            return None
        copied = any(middle.strip() in document.text for document in documents)
        return CompletionCase(
            task, span.kind, str(self._package), file.path, prefix, middle, suffix, documents, self._package.name,
            copied,
        )  # fmt: skip
