"""What the base is sure of is held while an adapter learns: Learning without Forgetting (Li & Hoiem 2016).

A few hundred pieces of code teach above all that surprises happen, and what was sure becomes less so everywhere. So at
some tokens around the cursor to which the model without the new adapter gives more than half of its probability, what
it says is held by the divergence from it. What surprised it is left free: it may be what the user is learned from.

A night on few texts also reads code that is none of the user's, in rows without a target (`dataset.silent`), only to
hold what the base says there: what is far from all of the user's texts is what is forgotten first.
"""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from model.training.batches import in_packs
from model.training.dataset import TrainingSequence
from model.training.rows import Row

if TYPE_CHECKING:
    import torch

SURE = 0.5  # the least probability of a token that is held
_LIKELIEST = 32  # of a distribution, that are kept; all others are one
_MARK = 0.5  # the weight by which held tokens are told from targets, which have 1


@dataclass(frozen=True)
class Held:
    """A row in which held tokens are marked, and what the model said of them: the ids of the likeliest tokens, int32
    (tokens, likeliest), and their natural-log probabilities, float16, of the same shape."""

    row: Row
    ids: "torch.Tensor"
    logprobs: "torch.Tensor"


class Retention:
    """The loss of sequences with what is held beside their targets. `model` is a PEFT model with its new adapter.

    A `weight` of 0 holds nothing. Of a `share` of the sequences, drawn by their names, something is held, with so much
    more weight: on average the same for less time. Rows without a target are always held, with `silent` times the
    weight. `seconds` counts what asking the model without the adapter took by `clock`.
    """

    def __init__(
        self,
        model: Any,
        weight: float,
        tokens: int,
        share: float,
        device: str,
        clock: Callable[[], float] = time.monotonic,
        silent: float = 1.0,
    ) -> None:
        self.seconds = 0.0
        self._model = model
        self._weight = weight / share if share else 0.0
        self._silent = weight * silent
        self._share = share
        self._tokens = tokens
        self._device = device
        self._clock = clock
        self._held: dict[str, Held] = {}

    def losses(self, sequences: Sequence[TrainingSequence]) -> "Iterator[list[tuple[torch.Tensor, torch.Tensor]]]":
        """Of each sequence, as many at a time as are computed at once: the cross-entropy of each of its targets,
        (targets,), and the weighted mean divergence at what is held, of no dimension; nats, both with gradients."""
        import torch

        held = self._of(sequences)
        done = 0
        for pack in in_packs(self._model, [each.row for each in held], self._device):
            found = []
            for logits, wanted, weights in pack:
                each = held[done]
                targets = weights == 1
                own = torch.nn.functional.cross_entropy(logits[targets], wanted[targets], reduction="none")
                moved = own.new_zeros(())
                if len(each.ids):
                    moved = divergence_from(each.ids.long(), each.logprobs.float(), logits[~targets]).mean()
                found.append((own, (self._weight if len(own) else self._silent) * moved))
                done += 1
            yield found

    def _of(self, sequences: Sequence[TrainingSequence]) -> list[Held]:
        """What is held of them, said once by the model without the adapter."""
        import torch

        new = [each for each in sequences if self._holds(each) and each.example not in self._held]
        if new:
            began = self._clock()
            self._held |= {each.example: said for each, said in zip(new, self._said(new), strict=True)}
            self.seconds += self._clock() - began
        nothing = torch.empty(0)
        return [self._held.get(each.example, Held(each.row, nothing, nothing)) for each in sequences]

    def _holds(self, sequence: TrainingSequence) -> bool:
        if not sequence.targets:
            return bool(self._silent)
        return bool(self._weight) and random.Random(f"held {sequence.example}").random() < self._share

    def _said(self, sequences: Sequence[TrainingSequence]) -> list[Held]:
        import torch

        places = [around(each.row) for each in sequences]
        marked = [_marked(each.row, where) for each, where in zip(sequences, places, strict=True)]
        found: list[Held] = []
        with torch.no_grad(), self._model.disable_adapter():
            for pack in in_packs(self._model, marked, self._device):
                for logits, wanted, weights in pack:
                    number = len(found)
                    said = torch.log_softmax(logits[weights < 1], -1)
                    sure = said.gather(1, wanted[weights < 1, None])[:, 0].exp() > SURE
                    found.append(self._chosen(sequences[number], places[number], said, sure))
        return found

    def _chosen(
        self, sequence: TrainingSequence, places: Sequence[int], said: "torch.Tensor", sure: "torch.Tensor"
    ) -> Held:
        known = [number for number, each in enumerate(sure.tolist()) if each]
        draw = random.Random(sequence.example)
        chosen = sorted(draw.sample(known, min(self._tokens, len(known))))
        best = said[chosen].topk(min(_LIKELIEST, said.shape[-1]), dim=-1)
        held = [places[number] for number in chosen]
        return Held(_marked(sequence.row, held), best.indices.int(), best.values.half())


def around(row: Row) -> list[int]:
    """The tokens of tails that are no targets and that something of their own block predicts."""
    blocks = row.blocks
    return [
        place
        for place in range(1, len(row))
        if blocks[place] < 0 and blocks[place] == blocks[place - 1] and not row.weights[place]
    ]


def divergence_from(ids: "torch.Tensor", logprobs: "torch.Tensor", logits: "torch.Tensor") -> "torch.Tensor":
    """Kullback-Leibler divergence in nats, (n,), of what `logits` (n, vocabulary) say from a distribution of which the
    likeliest tokens are known, `ids` and `logprobs` (n, k); all others count as one. Never above the whole one."""
    import torch

    said = torch.log_softmax(logits, -1).gather(1, ids)
    rest, said_rest = (torch.log1p(-each.exp().sum(-1).clamp(max=1 - 1e-6)) for each in (logprobs, said))
    return (logprobs.exp() * (logprobs - said)).sum(-1) + rest.exp() * (rest - said_rest)


def _marked(row: Row, places: Sequence[int]) -> Row:
    weights = list(row.weights)
    for place in places:
        weights[place] = _MARK
    return replace(row, weights=tuple(weights))
