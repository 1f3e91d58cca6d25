"""What the network is trained and measured on: a row of tokens with positions, blocks and the loss of each token.

No tensors. What always holds: a row is laid out as `model.prompt` lays out what is served. A token sees the sink,
what stands before it in its own block, and, in a tail, every document.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from model.prompt import TrainingPrompt


@dataclass(frozen=True)
class Row:
    """Equally long tuples. `weights[i]` is the weight of the loss of predicting `tokens[i]` from what it may see.

    `blocks`: 0 for the sink (and for documents that are read one after the other, as in a plain forward pass),
    1, 2, ... for documents of their own, -1, -2, ... for tails. Tails stand last and do not see each other.
    `positions` are those at which a token is computed, `moved` by how much further on tails see it; () for nowhere.
    """

    tokens: tuple[int, ...]
    positions: tuple[int, ...]
    blocks: tuple[int, ...]
    weights: tuple[float, ...]
    moved: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        lengths = {len(self.tokens), len(self.positions), len(self.blocks), len(self.weights)}
        if len(lengths) != 1 or (self.moved and len(self.moved) != len(self.tokens)):
            raise ValueError(f"the tuples of a row have different lengths: {sorted(lengths)}")
        before: int | None = None
        for number, (block, weight) in enumerate(zip(self.blocks, self.weights, strict=True)):
            if weight and block != before:
                raise ValueError(f"token {number} is the first of its block: nothing before it predicts it")
            before = block

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def targets(self) -> int:
        """How many tokens carry loss."""
        return sum(weight > 0 for weight in self.weights)


@dataclass(frozen=True)
class Segment:
    """A run of tokens of one block. It sees the tokens before `prior`, then itself causally."""

    start: int
    stop: int
    prior: int


def segments(blocks: Sequence[int]) -> tuple[Segment, ...]:
    """The runs of a row, in order. A document sees the sink, a tail the sink and every document."""
    found: list[Segment] = []
    start = 0
    sink = sum(block == 0 for block in blocks)
    context = sum(block >= 0 for block in blocks)
    for stop in range(1, len(blocks) + 1):
        if stop == len(blocks) or blocks[stop] != blocks[start]:
            block = blocks[start]
            found.append(Segment(start, stop, 0 if block == 0 else sink if block > 0 else context))
            start = stop
    return tuple(found)


def row(prompt: TrainingPrompt, weights: Sequence[float] | None = None) -> Row:
    """A row of a prompt. Without `weights` each target counts 1 and everything else 0."""
    chosen = tuple(weights) if weights is not None else tuple(float(target) for target in prompt.targets)
    return Row(prompt.tokens, prompt.positions, prompt.blocks, chosen, prompt.moved if any(prompt.moved) else ())


def plain(found: Row) -> Row:
    """The same row as one plain forward pass reads it: every token sees all before it, save other tails.

    Positions run on through the documents; every tail goes on behind the last, as if it were the only one.
    """
    context = sum(block >= 0 for block in found.blocks)
    positions = list(range(context))
    for number in range(context, len(found)):
        first = number == context or found.blocks[number] != found.blocks[number - 1]
        positions.append(context if first else positions[-1] + 1)
    return Row(found.tokens, tuple(positions), tuple(min(block, 0) for block in found.blocks), found.weights)


def joined(rows: Sequence[Row]) -> Row:
    """One row for several tails behind the same sink and documents, so that those are computed once."""
    first = rows[0]
    context = sum(block >= 0 for block in first.blocks)
    tokens, positions, blocks = (list(part[:context]) for part in (first.tokens, first.positions, first.blocks))
    weights, moved = list(first.weights[:context]), list(first.moved[:context])
    for number, one in enumerate(rows, start=1):
        if one.tokens[:context] != first.tokens[:context] or one.blocks[:context] != first.blocks[:context]:
            raise ValueError("only tails behind the same documents share a row")
        tokens += one.tokens[context:]
        positions += one.positions[context:]
        blocks += [-number] * (len(one.tokens) - context)
        weights += one.weights[context:]
        moved += one.moved[context:]
    return Row(tuple(tokens), tuple(positions), tuple(blocks), tuple(weights), tuple(moved))
