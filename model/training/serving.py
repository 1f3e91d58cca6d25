"""The one seam between training and the prompt: an example becomes the row that serving would have read."""

from pathlib import Path, PurePath

from feedback.examples import Example
from model.completion import CompletionRequest
from model.document import Document
from model.positions import PositionScheme, scheme_for
from model.prompt import Budget, Format, Layout, training_prompt
from model.shape import read_shape
from model.shipped import Shipped
from model.tokens import Tokens
from model.training.dataset import Encode, TrainingSequence
from model.training.rows import row

# The windows of a night: the serving format, cut closer. At the server's own windows a step took 7 GB of memory and
# four times as long on two cores, for targets of about ten tokens. One document has room: what the user wrote last, if
# there is any, else a piece of a file.
NIGHT_BUDGET = Budget(documents=160, document=160, tail=224, grid=12, suffix=64)


def night_layout(
    base_folder: Path, anchor: Shipped | None = None, budget: Budget = NIGHT_BUDGET
) -> tuple[Layout, PositionScheme]:
    """How prompts are laid out for the base in this folder, and where documents stand.

    `anchor` is the adapter that is served below every other one: it decides both.
    """
    tokens = Tokens(base_folder)
    layout = Layout(tokens, budget, Format.of(tokens, fills_middle=anchor is not None and anchor.fills_middle))
    return layout, scheme_for(anchor.scheme if anchor is not None else "parallel", read_shape(base_folder).positions)


def request_of(example: Example) -> CompletionRequest:
    """What the server would have been asked at this cursor."""
    return CompletionRequest(
        path=example.path,
        language=example.language,
        prefix=example.prefix,
        suffix=example.suffix,
        documents=tuple(Document(document.path, document.text) for document in example.documents),
        repository=PurePath(example.workspace).name,
    )


def serving_format(base_folder: Path, anchor: Shipped | None = None, budget: Budget = NIGHT_BUDGET) -> Encode:
    """A function from an example to its row, in the form of `model.prompt` for the base in this folder."""
    layout, scheme = night_layout(base_folder, anchor, budget)

    def encode(example: Example) -> TrainingSequence:
        request, ends = request_of(example), not example.goes_on
        return TrainingSequence(example.id, row(training_prompt(layout, request, example.target, scheme, ends=ends)))

    return encode
