"""The preference stage without pairs: texts that were judged alone become likelier or unlikelier than they were.

KTO (Ethayarajh et al. 2024, "KTO: Model Alignment as Prospect Theoretic Optimization", arXiv 2402.01306, eq. 7 and 8):
with r = log p(y|x) - log p_ref(y|x) and z the divergence from the reference, the loss of a wanted text is
w * (1 - sigmoid(beta * (r - z))), that of an unwanted one u * (1 - sigmoid(beta * (z - r))). z is estimated, as there,
on texts behind somebody else's cursor, is at least 0, and carries no gradient. w and u make both kinds count alike
(section 4.2 there). It goes on with the adapter that the sft stage left.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from feedback.examples import Example
from model.training.checkpoints import Checkpoint
from model.training.curriculum import difficulty_of
from model.training.dataset import Encode
from model.training.preference import PreferenceOptions, Preferred, log_probability, preferred
from model.training.rows import Row
from model.training.tuning import Pace, Reference, tune

CHECKPOINT_FILE = "kto.pt"


@dataclass(frozen=True)
class Judged:
    """A text behind a cursor, whether it was wanted, and the text of another example behind the same cursor."""

    example: str
    row: Row
    wanted: bool
    stranger: Row


def judged_of(examples: Sequence[Example], encode: Encode, *, maximum_tokens: int) -> list[Judged]:
    """Offers that were accepted or typed as they were, and offers that were rejected for something else."""
    judged = [
        (example, example.outcome != "rejected")
        for example in examples
        if example.offered.strip() and (_kept(example) or _refused(example))
    ]
    found = []
    for number, (example, wanted) in enumerate(judged):
        stranger = judged[(number + 1) % len(judged)][0]
        own, other = (encode(replace(example, target=one.offered)).row for one in (example, stranger))
        if max(len(own), len(other)) <= maximum_tokens and own.targets and other.targets:
            found.append(Judged(example.id, own, wanted, other))
    return found


def judge(
    model: Any,
    judged: Sequence[Judged],
    *,
    options: PreferenceOptions,
    pace: Pace,
    run_folder: Path,
    device: str = "cpu",
) -> Preferred:
    """Train the PEFT model in place on judged texts, oldest first.

    Raises TrainingCancelledError and TrainingDivergedError, as `prefer` does.
    """
    import torch

    newest = judged[::-1]

    def say(index: int) -> list[float]:
        one = newest[index]
        return [float(log_probability(model, row, device)[0]) for row in (one.row, one.stranger)]

    def learn(batch: Sequence[int], reference: Reference) -> float:
        weights = _weights(newest[: len(reference)])
        with torch.no_grad():
            strangers = [
                float(log_probability(model, newest[index].stranger, device)[0]) - reference[index][1]
                for index in batch
            ]
        divergence = max(0.0, float(np.mean(strangers)))
        total = 0.0
        for index in batch:
            one = newest[index]
            moved = log_probability(model, one.row, device)[0] - reference[index][0]
            loss = weights[one.wanted] * kto_loss(moved, divergence, one.wanted, options.beta) / len(batch)
            loss.backward()
            total += float(loss.detach())
        return total

    checkpoint = Checkpoint(run_folder / CHECKPOINT_FILE, _key(newest, options))
    done = tune(model, len(newest), options.steps, say, learn, checkpoint, pace)
    return preferred("kto", newest, done, _agreement)


def kto_loss(moved: Any, divergence: float, wanted: bool, beta: float) -> Any:
    """1 - sigmoid of how far a text moved the way it was judged, beyond the divergence; a tensor of no dimension."""
    import torch

    return 1 - torch.sigmoid(beta * ((moved - divergence) if wanted else (divergence - moved)))


def _agreement(judged: Sequence[Judged], values: Reference) -> float:
    """How often a wanted text is likelier, per token, than an unwanted one: the area under the curve.

    As by chance where all are of one kind.
    """
    per_token = [own / one.row.targets for one, (own, _) in zip(judged, values, strict=True)]
    wanted = np.array([value for value, one in zip(per_token, judged, strict=True) if one.wanted])
    unwanted = np.array([value for value, one in zip(per_token, judged, strict=True) if not one.wanted])
    return float((wanted[:, None] > unwanted[None]).mean()) if len(wanted) and len(unwanted) else 0.5


def _weights(judged: Sequence[Judged]) -> dict[bool, float]:
    """Both kinds count alike in all, the rarer one for more."""
    wanted = sum(one.wanted for one in judged)
    counts = {True: wanted, False: len(judged) - wanted}
    return {kind: len(judged) / (2 * max(count, 1)) for kind, count in counts.items()}


def _kept(example: Example) -> bool:
    return example.outcome in ("accepted", "typed_through") and difficulty_of(example) == "right"


def _refused(example: Example) -> bool:
    return example.outcome == "rejected" and difficulty_of(example) != "right"


def _key(judged: Sequence[Judged], options: PreferenceOptions) -> str:
    """What a checkpoint must agree in to be gone on with."""
    digest = hashlib.sha256(json.dumps(asdict(options)).encode())
    for one in judged:
        digest.update(json.dumps([one.example, astuple(one.row), one.wanted, astuple(one.stranger)]).encode())
    return digest.hexdigest()
