"""How a cursor and its documents become token ids: for serving, and in the same form for training.

It chooses and cuts; it runs no model. The sequence is: sink, documents, then the tail (the active file up to the last
token boundary before the cursor). The cut at the top of the tail moves in steps of many lines, so that typing only
appends and what is cached stays useful.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from model.completion import CompletionRequest
from model.document import Document
from model.tokens import Tokens

_SLACK = 64  # tokens by which a tail may exceed its budget, as blocks of lines are counted one by one


@dataclass(frozen=True)
class Budget:
    """Tokens that a prompt may use: about two seconds of prefill on two cores, and short enough to train on.

    `grid` is the number of lines by which the top of the tail moves.
    """

    documents: int = 384
    document: int = 224
    tail: int = 512
    grid: int = 24

    def within(self, positions: int) -> "Budget":
        """This budget, scaled down where a model has fewer positions."""
        asked = self.documents + self.tail
        if asked <= positions:
            return self
        share = positions / asked
        return Budget(int(self.documents * share), int(self.document * share), int(self.tail * share), self.grid)


@dataclass(frozen=True)
class Prompt:
    """What the runtime reads. `documents[0]` is the sink; decoding has to start with the bytes `piece`."""

    documents: tuple[tuple[int, ...], ...]
    tail: tuple[int, ...]
    piece: bytes


@dataclass(frozen=True)
class Format:
    """How files are strung together for one base. Another way (suffix, prefix, middle) is another such object.

    `sink` is read before anything else; `separator` stands before a file's path.
    """

    sink: tuple[int, ...]
    separator: tuple[int, ...]

    @staticmethod
    def of(tokens: Tokens) -> "Format":
        """The form that the base saw in its own pre-training, as far as its special tokens tell."""
        end = tokens.named("<|endoftext|>", "<|end_of_text|>", "<s>")
        separator = tokens.named("<file_sep>", "<|file_sep|>")
        return Format(
            sink=(end,) if end is not None else (),
            separator=(separator,) if separator is not None else tuple(tokens.encode("\n\n# ")),
        )


class Layout:
    """Builds prompts for one tokenizer within one budget."""

    def __init__(self, tokens: Tokens, budget: Budget | None = None, form: Format | None = None) -> None:
        self.tokens = tokens
        self.budget = budget or Budget()
        self.form = form or Format.of(tokens)
        self._count = lru_cache(maxsize=512)(lambda text: len(tokens.encode(text)))

    def build(self, request: CompletionRequest) -> Prompt:
        """The prompt of a request."""
        ids, piece = self.tokens.encode_healable(self.window(request.prefix))
        ids = ids[-(self.budget.tail + _SLACK) :]
        return Prompt(self._documents(request.documents), (*self._head(request.path), *ids), piece)

    def window(self, prefix: str) -> str:
        """The end of `prefix` that fits into the tail's budget, starting at a line of the grid.

        Where not one step of the grid fits, the grid is made finer; where not even a line does, the window starts
        at a multiple of 256 characters of that line.
        """
        lines = prefix.split("\n")
        lines[:-1] = [line + "\n" for line in lines[:-1]]
        for grid in (self.budget.grid, max(1, self.budget.grid // 4), 1):
            start = self._start(lines, grid)
            if start < len(lines):
                return "".join(lines[start:])
        return lines[-1][max(0, len(lines[-1]) - self.budget.tail) // 256 * 256 :]

    def _start(self, lines: list[str], grid: int) -> int:
        """The first multiple of `grid` from which the lines fit into the tail's budget; len(lines) if none does."""
        start, used = len(lines), 0
        while start > 0:
            above = (start - 1) // grid * grid
            used += self._count("".join(lines[above:start]))
            if used > self.budget.tail:
                break
            start = above
        return start

    def _documents(self, documents: Sequence[Document]) -> tuple[tuple[int, ...], ...]:
        """The sink, then the documents that fit, each cut to its share."""
        laid: list[tuple[int, ...]] = [self.form.sink] if self.form.sink else []
        left = self.budget.documents
        for document in documents:
            ids = self._document(document)
            if len(ids) <= left:
                laid.append(ids)
                left -= len(ids)
        return tuple(laid)

    def _document(self, document: Document) -> tuple[int, ...]:
        head = self._head(document.path)
        ids = self.tokens.encode(document.text if document.text.endswith("\n") else document.text + "\n")
        return (*head, *ids[: max(0, self.budget.document - len(head))])

    def _head(self, path: str) -> tuple[int, ...]:
        return (*self.form.separator, *self.tokens.encode(path + "\n"))


def training_sequence(
    layout: Layout, *, path: str, prefix: str, suffix: str, target: str, documents: Sequence[Document] = ()
) -> tuple[list[int], list[bool]]:
    """Token ids and the mask of those that carry loss, exactly as `Layout.build` would have served the cursor.

    Loss lies on the healed piece, the target, and the rest of the line up to its newline: a base without a middle
    token writes on until the line ends, and where it should stop is part of what it learns.
    """
    prompt = layout.build(CompletionRequest(path, "", prefix, suffix, tuple(documents)))
    rest = suffix.split("\n", 1)[0]
    context = [id for document in prompt.documents for id in document] + list(prompt.tail)
    ahead = layout.tokens.encode(prompt.piece.decode() + target + rest + "\n")
    return context + ahead, [False] * len(context) + [True] * len(ahead)
