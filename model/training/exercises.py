"""Exercises from finished code: cursors in a file, other files of the package, and what stands at the cursors.

They are laid out by `model.prompt`, exactly as a server would have laid them out. What always holds: the same corpus
and seed give the same exercises; documents come from other files than the cursor.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from model.completion import CompletionRequest
from model.document import Document
from model.positions import PositionScheme
from model.prompt import Budget, Format, Layout, TrainingPrompt, row_of
from model.tokens import Tokens
from model.training.corpus_files import CodeFile
from model.training.cursors import Cursor, draw_cursor
from model.training.outline import Outline, outline
from model.training.rows import Row, joined, plain, row

# Weights of the loss: of what is to be written, of the text before the cursor, and of the token that ends a middle: one
# in sixty, and whether it comes in its place decides whether a middle of several lines is right.
MIDDLE, PREFIX, END = 1.0, 0.2, 2.0
_MOST_DOCUMENTS = 4
_CHARACTERS = 3.3  # of a token, about
_LONG_FILE = 3000  # characters from which on several cursors are not all at the same place


@dataclass(frozen=True)
class Shape:
    """How big exercises are, and how often something is asked for. Counts are tokens, shares between 0 and 1."""

    documents: int = 420
    document: tuple[int, int] = (90, 260)
    long_document: tuple[int, int] = (600, 1000)
    long_share: float = 0.08  # rows with one long document, so that near and far places are both known
    tails: tuple[int, ...] = (96, 160, 224)
    suffixes: tuple[int, ...] = (32, 64, 96)
    tails_per_row: int = 3
    masked_share: float = 0.6
    no_suffix_share: float = 0.2
    no_document_share: float = 0.1
    strange_share: float = 0.15  # a document of another package
    no_name_share: float = 0.1
    script_share: float = 0.2  # rows of JavaScript and TypeScript, where there are such packages beside Python's


class Drawn(Protocol):
    """What exercises are drawn from."""

    def draw(self, random: np.random.Generator) -> Row: ...


def layouts_of(
    tokens: Tokens, documents: int, document: int, tails: Sequence[int], suffixes: Sequence[int]
) -> list[Layout]:
    """One for each pair of windows before and behind the cursor; all sizes in tokens."""
    form = Format.of(tokens, fills_middle=True)
    return [
        Layout(tokens, Budget(documents=documents, document=document, tail=tail, grid=12, suffix=suffix), form)
        for tail in tails
        for suffix in suffixes
    ]


def tail_of(
    layout: Layout, request: CompletionRequest, middle: str, scheme: PositionScheme, *, ends: bool = True
) -> tuple[TrainingPrompt, list[float]]:
    """A cursor as a prompt and what is to be written there, with the weight of each token.

    `ends`: whether that is said to be all, where a suffix is read.
    """
    prompt = layout.build(request)
    ahead = layout.tokens.encode(prompt.piece.decode("utf-8", "replace") + middle)
    form, ended = layout.form.middle, False
    if form is not None and form.prefix in prompt.tail:
        before = prompt.tail.index(form.prefix) + 1
        if ends:
            ahead.append(form.end)
            ended = True
    else:
        before = len(layout.tail(replace(request, prefix="", suffix=""))[0])
    found = row_of(prompt, ahead, scheme)
    context = len(found.tokens) - len(ahead) - len(prompt.tail)
    weights = [0.0] * (context + before) + [PREFIX] * (len(prompt.tail) - before) + [MIDDLE] * len(ahead)
    if ended:
        weights[-1] = END
    return found, weights


class Exercises:
    """Draws exercises from files. `scheme` says where documents and tails stand under the document mask."""

    def __init__(
        self,
        files: Mapping[str, Sequence[CodeFile]],
        tokens: Tokens,
        scheme: PositionScheme,
        shape: Shape | None = None,
    ) -> None:
        self.shape = shape or Shape()
        self._files = {name: list(found) for name, found in files.items() if len(found) > 1}
        self._names = list(self._files)
        self._shares = self._shares_of_packages()
        self._scheme = scheme
        longest = self.shape.long_document[1]
        room = self.shape.documents + longest
        self._layouts = layouts_of(tokens, room, longest, self.shape.tails, self.shape.suffixes)
        self._outlined = lru_cache(maxsize=4096)(outline)

    def _shares_of_packages(self) -> NDArray[np.float64]:
        """How often a package is drawn: by the root of its size, as big ones would be half of everything otherwise."""
        shares = np.array([sum(len(file.text) for file in found) for found in self._files.values()]) ** 0.5
        scripts = np.array([found[0].language != "python" for found in self._files.values()])
        if scripts.any() and not scripts.all():
            shares[scripts] *= self.shape.script_share / shares[scripts].sum()
            shares[~scripts] *= (1 - self.shape.script_share) / shares[~scripts].sum()
        return np.asarray(shares / shares.sum())

    def draw(self, random: np.random.Generator) -> Row:
        """One row: a file, documents, some cursors; under the document mask or as in a plain forward pass."""
        masked = bool(random.random() < self.shape.masked_share)
        request, cursors = self.draw_cursors(random)
        layout = self._layouts[int(random.integers(len(self._layouts)))]
        return self.lay_out(request, cursors, layout, masked=masked)

    def draw_cursors(self, random: np.random.Generator) -> tuple[CompletionRequest, list[Cursor]]:
        """A file as a request whose `prefix` is the whole text, with its documents, and cursors in it."""
        package = self._names[int(random.choice(len(self._names), p=self._shares))]
        files = self._files[package]
        sizes = np.array([len(file.text) for file in files]) ** 0.5
        file = files[int(random.choice(len(files), p=sizes / sizes.sum()))]
        name = "" if random.random() < self.shape.no_name_share else package
        documents = self._documents(random, file, package)
        tails = self.shape.tails_per_row if len(file.text) > _LONG_FILE else 1
        sections = self._outline(file).sections
        cursors = [draw_cursor(random, file.text, sections, self.shape.no_suffix_share) for _ in range(tails)]
        return CompletionRequest(file.path, file.language, file.text, "", documents, name), cursors

    def lay_out(
        self, request: CompletionRequest, cursors: Sequence[Cursor], layout: Layout | None = None, *, masked: bool
    ) -> Row:
        """One row of a request that was drawn. Without `layout` the largest one is taken."""
        layout = layout or self._layouts[-1]
        text, rows = request.prefix, []
        for cursor in cursors:
            suffix = text[cursor.stop :] if cursor.suffix else ""
            asked = replace(request, prefix=text[: cursor.start], suffix=suffix)
            rows.append(row(*tail_of(layout, asked, text[cursor.start : cursor.stop], self._scheme)))
        whole = joined(rows)
        return whole if masked else plain(whole)

    def _outline(self, file: CodeFile) -> Outline:
        return file.outline or self._outlined(file.language, file.text)

    def _documents(self, random: np.random.Generator, file: CodeFile, package: str) -> tuple[Document, ...]:
        """None to four pieces of other files: first of those that are imported, in an order that says nothing."""
        if random.random() < self.shape.no_document_share:
            return ()
        alone = random.random() < self.shape.long_share
        wanted = 1 if alone else int(random.integers(1, _MOST_DOCUMENTS + 1))
        sizes = self.shape.long_document if alone else self.shape.document
        by_path = {other.path: other for other in self._files[package]}
        imported = [path for path in file.imports if path in by_path]
        random.shuffle(imported)
        others = [path for path in by_path if path != file.path and path not in imported]
        chosen = [by_path[path] for path in imported[:wanted]]
        while len(chosen) < wanted and others:
            chosen.append(by_path[others.pop(int(random.integers(len(others))))])
        if random.random() < self.shape.strange_share:
            strange = self._files[self._names[int(random.integers(len(self._names)))]]
            chosen[-1:] = [strange[int(random.integers(len(strange)))]]
        documents, left = [], self.shape.long_document[1] if alone else self.shape.documents
        for other in chosen:
            piece = self._piece(random, other, file.imports.get(other.path, ()), sizes)
            size = len(piece.text) / _CHARACTERS
            if size <= left:
                documents.append(piece)
                left -= round(size)
        return tuple(documents[number] for number in random.permutation(len(documents)))

    def _piece(
        self, random: np.random.Generator, file: CodeFile, names: Sequence[str], sizes: tuple[int, int]
    ) -> Document:
        """Some whole definitions of a file, often from one that is asked for by name."""
        starts = self._outline(file).statements
        named = [number for number, (_, name) in enumerate(starts) if name in names]
        first = int(random.choice(named)) if named and random.random() < 0.75 else int(random.integers(len(starts)))
        room = _CHARACTERS * float(random.integers(*sizes))
        last = first + 1
        ends = [start for start, _ in starts[1:]] + [len(file.text)]
        while last < len(starts) and ends[last] - starts[first][0] <= room:
            last += 1
        text = file.text[starts[first][0] : ends[last - 1]]
        if len(text) > 1.3 * room:
            cut = text.rfind("\n", 0, int(1.3 * room))
            text = text[: cut + 1] if cut > 0 else text
        return Document(file.path, text.strip("\n") + "\n", str(first))
