"""The preference stage on pairs: what the user wrote is to become likelier than what was offered and not kept.

It goes on with the adapter that the sft stage left, within a wall-clock budget. It is given pairs; where they come from
is `pairs_of`. Where there are too few pairs, `model.training.kto` learns from unpaired judgements. What always holds:
the same pairs and options see the same pairs in the same order; where the time is not enough for all, the newest are
learned from.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from feedback.examples import Example
from model.training.batches import token_losses
from model.training.checkpoints import Checkpoint
from model.training.curriculum import difficulty_of
from model.training.dataset import Encode, shuffled_batches
from model.training.rows import Row
from model.training.tuning import Pace, Reference, Tuned, tune

CHECKPOINT_FILE = "preference.pt"
Item = TypeVar("Item")  # a pair, or a text that was judged


@dataclass(frozen=True)
class Pair:
    """One cursor with two texts behind it. `weight` is how sure it is that the first was preferred, 0 to 1."""

    example: str
    chosen: Row
    rejected: Row
    weight: float = 1.0


@dataclass(frozen=True)
class PreferenceOptions:
    """How the stage trains. `beta` is that of DPO and KTO; `anchor` the share of plain loss on what was chosen."""

    beta: float = 0.1
    anchor: float = 0.2
    learning_rate: float = 1e-4
    epochs: int = 1
    batch: int = 4
    clip: float = 1.0
    seed: int = 0
    checkpoint_seconds: float = 60.0

    def steps(self, items: int) -> list[list[int]]:
        """So many items, by number, laid into the batches of all epochs."""
        return shuffled_batches(items, self.batch, self.epochs, self.seed)


@dataclass(frozen=True)
class Preferred:
    """What the stage did with so many `items`, pairs or texts. `agreement_*`: the share of pairs whose chosen text is
    the likelier one, per token; without pairs that of all combinations of a wanted and an unwanted text."""

    method: str
    items: int
    steps: int
    planned: int
    losses: tuple[float, ...]
    seconds: float
    agreement_before: float
    agreement_after: float


def pairs_of(
    examples: Sequence[Example], encode: Encode, *, maximum_tokens: int
) -> tuple[list[Pair], Mapping[str, int]]:
    """Contrastive pairs: what was offered and rejected, or kept only after changes, against what the user then had.

    The second value counts the examples that made none, by reason. no_contrast: nothing was offered, or its outcome
    says nothing; right and far: only a model that is near but not right learns; too_long.
    """
    found, dropped = [], Counter[str]()
    for example in examples:
        difficulty = difficulty_of(example)
        if difficulty == "not offered" or not example.target.strip() or example.outcome not in ("rejected", "accepted"):
            dropped["no_contrast"] += 1
        elif difficulty != "near":
            dropped[difficulty] += 1
        else:
            chosen, rejected = encode(example).row, encode(replace(example, target=example.offered)).row
            if max(len(chosen), len(rejected)) <= maximum_tokens and chosen.targets and rejected.targets:
                found.append(Pair(example.id, chosen, rejected))
            else:
                dropped["too_long"] += 1
    return found, dict(sorted(dropped.items()))


def prefer(
    model: Any, pairs: Sequence[Pair], *, options: PreferenceOptions, pace: Pace, run_folder: Path, device: str = "cpu"
) -> Preferred:
    """Train the PEFT model in place on pairs, oldest first: direct preference optimisation (Rafailov et al. 2023), with
    a share of the plain loss on the chosen text, so that it does not become unlikelier, too (Pang et al. 2024).

    Raises TrainingCancelledError (the same call goes on from the checkpoint) and TrainingDivergedError.
    """
    if not pairs:
        raise ValueError("there are no pairs to train on")
    newest = pairs[::-1]

    def say(index: int) -> list[float]:
        pair = newest[index]
        return [float(log_probability(model, row, device)[0]) for row in (pair.chosen, pair.rejected)]

    def learn(batch: Sequence[int], reference: Reference) -> float:
        total = 0.0
        for index in batch:
            loss = _pair_loss(model, newest[index], reference[index], options, device) / len(batch)
            loss.backward()
            total += float(loss.detach())
        return total

    checkpoint = Checkpoint(run_folder / CHECKPOINT_FILE, _key(newest, options))
    done = tune(model, len(newest), options.steps, say, learn, checkpoint, pace)
    return preferred("dpo", newest, done, _agreement)


def preferred(
    method: str, items: Sequence[Item], done: Tuned, agreement: Callable[[Sequence[Item], Reference], float]
) -> Preferred:
    """What the stage did with the first of the items: those that there was time to read."""
    kept = items[: len(done.reference)]
    before, after = agreement(kept, done.reference), agreement(kept, done.after)
    return Preferred(method, len(kept), done.steps, done.planned, done.losses, done.seconds, before, after)


def log_probability(model: Any, row: Row, device: str) -> tuple[Any, int]:
    """The sum over the target tokens, and how many those are."""
    losses, _ = token_losses(model, row, device)
    return -losses.sum(), len(losses)


def _pair_loss(model: Any, pair: Pair, reference: Sequence[float], options: PreferenceOptions, device: str) -> Any:
    import torch

    chosen, tokens = log_probability(model, pair.chosen, device)
    rejected, _ = log_probability(model, pair.rejected, device)
    margin = (chosen - reference[0]) - (rejected - reference[1])
    preferred = -torch.nn.functional.logsigmoid(options.beta * margin)
    return pair.weight * (preferred - options.anchor * chosen / tokens)


def _agreement(pairs: Sequence[Pair], values: Sequence[Sequence[float]]) -> float:
    """How often the chosen text has the higher mean log-probability."""
    agrees = [
        chosen / pair.chosen.targets > rejected / pair.rejected.targets
        for pair, (chosen, rejected) in zip(pairs, values, strict=True)
    ]
    return float(np.mean(agrees))


def _key(pairs: Sequence[Pair], options: PreferenceOptions) -> str:
    """What a checkpoint must agree in to be gone on with."""
    digest = hashlib.sha256(json.dumps(asdict(options)).encode())
    for pair in pairs:
        digest.update(json.dumps([pair.example, astuple(pair.chosen), astuple(pair.rejected), pair.weight]).encode())
    return digest.hexdigest()
