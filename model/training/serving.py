"""The one seam between training and the prompt: an example becomes the token sequence that serving would have read."""

from pathlib import Path

from feedback.examples import Example
from model.document import Document
from model.prompt import Budget, Layout, training_sequence
from model.tokens import Tokens
from model.training.dataset import Encode, TrainingSequence

# The windows of a night: the serving format, cut closer. At the server's own windows (about 900 tokens) a step took
# 7 GB of memory and four times as long on two cores, for targets of about ten tokens.
NIGHT_BUDGET = Budget(documents=160, document=160, tail=288, grid=12)


def serving_format(base_folder: Path, budget: Budget = NIGHT_BUDGET) -> Encode:
    """A function from an example to its tokens and mask, in the form of `model.prompt` for the base in this folder."""
    layout = Layout(Tokens(base_folder), budget)

    def encode(example: Example) -> TrainingSequence:
        tokens, mask = training_sequence(
            layout,
            path=example.path,
            prefix=example.prefix,
            suffix=example.suffix,
            target=example.target,
            documents=[Document(document.path, document.text) for document in example.documents],
        )
        return TrainingSequence(example.id, tuple(tokens), tuple(mask))

    return encode
