"""How a cursor and its documents become token ids: for serving, and in the same form for training.

It chooses and cuts; it runs no model. The sequence is: sink, documents, then the tail: the active file as its path,
what follows the cursor, and what stands before it up to the last token boundary (suffix, prefix, middle: typing only
appends). The cut at the top of the tail moves in steps of many lines, so that what is cached stays useful.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from model.completion import CompletionRequest
from model.document import Document
from model.positions import LONGEST_SINK, Parallel, PositionScheme
from model.tokens import Tokens

_SLACK = 64  # tokens by which a prefix may exceed its budget, as blocks of lines are counted one by one
_SUFFIX_CHARACTERS = 16  # per token of the suffix's budget: more is never looked at


@dataclass(frozen=True)
class Budget:
    """Tokens that a prompt may use. Documents are encoded once, so only the tail costs time at a cursor.

    `documents` of all documents, `attended` of those that are attended to whole (of more, the pages that matter are:
    see `model.sparse`), `document` of one, `tail` of the text before the cursor, `suffix` of the text behind it.
    `grid` is the number of lines by which the top of the tail moves.
    """

    documents: int = 3072
    attended: int = 3072
    document: int = 512
    tail: int = 512
    grid: int = 24
    suffix: int = 96

    @property
    def whole(self) -> int:
        """Tokens of documents that are attended to whole."""
        return min(self.documents, self.attended)

    def within(self, positions: int) -> "Budget":
        """This budget, scaled down where a model has fewer positions."""
        asked = self.whole + self.tail + self.suffix
        if asked <= positions:
            return self
        share = positions / asked
        return replace(
            self,
            documents=int(self.documents * share),
            attended=int(self.attended * share),
            document=int(self.document * share),
            tail=int(self.tail * share),
            suffix=int(self.suffix * share),
        )


@dataclass(frozen=True)
class Prompt:
    """What the runtime reads. Every document sees the sink and itself; decoding has to start with the bytes `piece`."""

    sink: tuple[int, ...]
    documents: tuple[tuple[int, ...], ...]
    tail: tuple[int, ...]
    piece: bytes

    @property
    def size(self) -> int:
        """Tokens in all."""
        return len(self.sink) + sum(map(len, self.documents)) + len(self.tail)


@dataclass(frozen=True)
class Middle:
    """The special tokens of fill-in-the-middle: what opens the suffix, the prefix, and ends the middle."""

    suffix: int
    prefix: int
    end: int


@dataclass(frozen=True)
class Format:
    """How files are strung together for one base.

    `start` is read before anything else, `repository` opens a repository's name, `separator` stands before a file's
    path. `middle` is None for weights that never learned to fill in the middle: they read no suffix.
    """

    start: tuple[int, ...]
    repository: tuple[int, ...]
    separator: tuple[int, ...]
    middle: Middle | None = None

    @staticmethod
    def of(tokens: Tokens, *, fills_middle: bool = False) -> "Format":
        """The form that the base saw in its own pre-training, as far as its special tokens tell.

        `fills_middle`: the weights (the base's own, or an adapter's) learned to. Qwen's own tokens are taken where
        they exist; SmolLM2 has none, so three tokens of notebooks and issues, unused in code, stand for them.
        """
        end = tokens.named("<|endoftext|>", "<|end_of_text|>", "<s>")
        separator = tokens.named("<file_sep>", "<|file_sep|>")
        repository = tokens.named("<repo_name>", "<|repo_name|>")
        suffix = tokens.named("<|fim_suffix|>", "<fim_suffix>", "<jupyter_output>")
        prefix = tokens.named("<|fim_prefix|>", "<fim_prefix>", "<jupyter_code>")
        middle = None
        if fills_middle and end is not None and suffix is not None and prefix is not None:
            middle = Middle(suffix, prefix, end)
        return Format(
            start=(end,) if end is not None else (),
            repository=(repository,) if repository is not None else (),
            separator=(separator,) if separator is not None else tuple(tokens.encode("\n\n# ")),
            middle=middle,
        )


class Layout:
    """Builds prompts for one tokenizer within one budget."""

    def __init__(self, tokens: Tokens, budget: Budget | None = None, form: Format | None = None) -> None:
        self.tokens = tokens
        self.budget = budget or Budget()
        self.form = form or Format.of(tokens)
        self._count = lru_cache(maxsize=512)(lambda text: len(tokens.encode(text)))
        self.document = lru_cache(maxsize=256)(self._document)

    def build(self, request: CompletionRequest) -> Prompt:
        """The prompt of a request."""
        documents = tuple(ids for _, ids in self.fitting(request.documents))
        return Prompt(self.sink(request.repository), documents, *self.tail(request))

    def fitting(self, documents: Sequence[Document]) -> list[tuple[Document, tuple[int, ...]]]:
        """Those that fit into the budget, with their tokens. What does not fit is left out, whole."""
        left, found = self.budget.documents, []
        for document in documents:
            ids = self.document(document)
            if len(ids) <= left:
                found.append((document, ids))
                left -= len(ids)
        return found

    def sink(self, repository: str) -> tuple[int, ...]:
        """What every document and the tail see first: the start of a text and the repository's name, if it has one."""
        if not repository or not self.form.repository:
            return self.form.start
        name = self.tokens.encode(repository + "\n")
        return (*self.form.start, *self.form.repository, *name)[:LONGEST_SINK]

    def _document(self, document: Document) -> tuple[int, ...]:
        """Path and text of one document, cut to its share of the budget."""
        head = self._head(document.path)
        ids = self.tokens.encode(document.text if document.text.endswith("\n") else document.text + "\n")
        return (*head, *ids)[: self.budget.document]

    def tail(self, request: CompletionRequest) -> tuple[tuple[int, ...], bytes]:
        """The active file: path, suffix, prefix up to a safe boundary, and the bytes between that and the cursor."""
        ids, piece = self.tokens.encode_healable(self.window(request.prefix))
        ids = ids[-(self.budget.tail + _SLACK) :]
        return (*self._head(request.path), *self._suffix(request.suffix), *ids), piece

    def _suffix(self, suffix: str) -> tuple[int, ...]:
        """Suffix and prefix markers around what follows the cursor; nothing for weights that read no suffix."""
        middle = self.form.middle
        if middle is None or not suffix.strip() or not self.budget.suffix:
            return ()
        text = suffix[: self.budget.suffix * _SUFFIX_CHARACTERS]
        return (middle.suffix, *self.tokens.encode(text)[: self.budget.suffix], middle.prefix)

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

    def _head(self, path: str) -> tuple[int, ...]:
        return (*self.form.separator, *self.tokens.encode(path + "\n"))


@dataclass(frozen=True)
class TrainingPrompt:
    """One row for training: equally long tuples of token ids, whether a token carries loss, positions and blocks.

    `blocks`: 0 for the sink, 1, 2, ... for the documents, -1 for the tail. A token sees the sink, what stands before
    it in its own block, and everything before it if it belongs to the tail. `positions` are those at which a token is
    computed, `moved` by how much further on the tail sees it.
    """

    tokens: tuple[int, ...]
    targets: tuple[bool, ...]
    positions: tuple[int, ...]
    blocks: tuple[int, ...]
    moved: tuple[int, ...]


def training_prompt(
    layout: Layout,
    request: CompletionRequest,
    target: str,
    scheme: PositionScheme | None = None,
    *,
    ends: bool = True,
) -> TrainingPrompt:
    """A request and what was written at its cursor, exactly as `Layout.build` would have served the cursor.

    Loss lies on the healed piece and the target, and on what ends it: the end-of-middle token where the suffix was
    read, else the rest of the line up to its newline (a base without a middle token writes on until the line ends).
    `ends` False: more was written behind the target, so that nothing is said to end there.
    """
    prompt = layout.build(request)
    middle = layout.form.middle
    written = prompt.piece.decode() + target
    if not ends:
        ahead = layout.tokens.encode(written)
    elif middle is not None and middle.prefix in prompt.tail:
        ahead = [*layout.tokens.encode(written), middle.end]
    else:
        ahead = layout.tokens.encode(written + request.suffix.split("\n", 1)[0] + "\n")
    return row_of(prompt, ahead, scheme or Parallel())


def row_of(prompt: Prompt, ahead: Sequence[int], scheme: PositionScheme) -> TrainingPrompt:
    """Lay a prompt and the tokens behind it out as one row; loss lies on `ahead`."""
    lengths = [len(document) for document in prompt.documents]
    tail = (*prompt.tail, *ahead)
    tokens = list(prompt.sink)
    positions = list(range(len(prompt.sink)))
    blocks = [0] * len(prompt.sink)
    moved = [0] * len(prompt.sink)
    sink = len(prompt.sink)
    starts = scheme.starts(sink, lengths)
    for number, (document, start) in enumerate(zip(prompt.documents, starts, strict=True), start=1):
        tokens += document
        positions += range(sink, sink + len(document))
        blocks += [number] * len(document)
        moved += [start - sink] * len(document)
    first = scheme.tail(sink, lengths)
    context = len(tokens) + len(prompt.tail)
    tokens += tail
    positions += range(first, first + len(tail))
    blocks += [-1] * len(tail)
    moved += [0] * len(tail)
    targets = [False] * context + [True] * len(ahead)
    return TrainingPrompt(tuple(tokens), tuple(targets), tuple(positions), tuple(blocks), tuple(moved))
