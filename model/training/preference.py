"""The preference stage: what the user wrote is to become likelier than what was offered and not kept.

It goes on with the adapter that the sft stage left, within a wall-clock budget. It is given pairs; where they come from
is `pairs_of`. What always holds: the reference is the adapter as it was when the stage began, also after a kill; the
same pairs and options see the same pairs in the same order.
"""

import hashlib
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, astuple, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from rapidfuzz.distance import Levenshtein

from feedback.examples import Example
from model.training.batches import token_losses
from model.training.checkpoints import Checkpoint
from model.training.dataset import Encode
from model.training.rows import Row
from model.training.sft import TrainingCancelledError, TrainingDivergedError

CHECKPOINT_FILE = "preference.pt"
_TOO_ALIKE = 0.98  # normalised similarity from which two texts are the same wish


@dataclass(frozen=True)
class Pair:
    """One cursor with two texts behind it. `weight` is how sure it is that the first was preferred, 0 to 1."""

    example: str
    chosen: Row
    rejected: Row
    weight: float = 1.0


@dataclass(frozen=True)
class PreferenceOptions:
    """How the stage trains. `beta` is that of DPO; `anchor` the share of plain loss on what was chosen."""

    beta: float = 0.1
    anchor: float = 0.2
    learning_rate: float = 1e-4
    epochs: int = 1
    batch: int = 4
    clip: float = 1.0
    seed: int = 0
    checkpoint_seconds: float = 60.0


@dataclass(frozen=True)
class Preferred:
    """What the stage did. `agreement_*`: the share of pairs whose chosen text is the likelier one, per token."""

    steps: int
    planned: int
    losses: tuple[float, ...]
    seconds: float
    agreement_before: float
    agreement_after: float


def pairs_of(examples: Sequence[Example], encode: Encode, *, maximum_tokens: int) -> list[Pair]:
    """Contrastive pairs: what was offered and rejected, or kept only after changes, against what the user then had.

    An offer that the user typed through or kept as it was contrasts with nothing. Texts that hardly differ, and pairs
    longer than `maximum_tokens`, are left out.
    """
    found = []
    for example in examples:
        offered, written = example.offered.rstrip(), example.target.rstrip()
        if not offered or not written or written.startswith(offered) or example.outcome not in ("rejected", "accepted"):
            continue
        if Levenshtein.normalized_similarity(offered, written) >= _TOO_ALIKE:
            continue
        chosen, rejected = encode(example).row, encode(replace(example, target=example.offered)).row
        if max(len(chosen), len(rejected)) <= maximum_tokens and chosen.targets and rejected.targets:
            found.append(Pair(example.id, chosen, rejected))
    return found


def prefer(
    model: Any,
    pairs: Sequence[Pair],
    *,
    options: PreferenceOptions,
    budget_seconds: float,
    run_folder: Path,
    device: str = "cpu",
    progress: Callable[[int, int, float], None] = lambda done, planned, loss: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Preferred:
    """Train the PEFT model in place: direct preference optimisation (Rafailov et al. 2023), with a share of the plain
    loss on the chosen text, so that it does not become unlikelier, too (Pang et al. 2024).

    Raises TrainingCancelledError (the same call goes on from the checkpoint) and TrainingDivergedError.
    """
    import torch

    if not pairs:
        raise ValueError("there are no pairs to train on")
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=0.0, weight_decay=0.0)
    checkpoint = Checkpoint(run_folder / CHECKPOINT_FILE, _key(pairs, options))
    found = checkpoint.load(model, optimiser)
    state = _State(**found) if found else _State()
    began = time.monotonic() - state.seconds
    model.eval()  # no dropout: a pair is judged as it is served
    if not state.reference:
        with torch.no_grad():
            state.reference = [
                [float(_log_probability(model, row, device)[0]) for row in (pair.chosen, pair.rejected)]
                for pair in pairs
            ]
    before = _agreement(pairs, state.reference)
    order = _order(len(pairs), options)
    planned, saved = len(order), time.monotonic()
    while state.step < planned and time.monotonic() - began < budget_seconds:
        if cancelled():
            state.seconds = time.monotonic() - began
            checkpoint.save(model, optimiser, asdict(state))
            raise TrainingCancelledError(f"Cancelled after {state.step} of {planned} steps of preference.")
        for group in optimiser.param_groups:
            group["lr"] = options.learning_rate * min(1.0, (state.step + 1) / max(1, planned // 10))
        loss = 0.0
        for index in order[state.step]:
            one = _pair_loss(model, pairs[index], state.reference[index], options, device) / len(order[state.step])
            one.backward()
            loss += float(one.detach())
        if not math.isfinite(loss):
            raise TrainingDivergedError(
                f"The preference loss became {loss}: use a learning rate below the present one."
            )
        torch.nn.utils.clip_grad_norm_(parameters, options.clip)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        state.step += 1
        state.losses.append(loss)
        progress(state.step, planned, loss)
        if time.monotonic() - saved >= options.checkpoint_seconds:
            saved, state.seconds = time.monotonic(), time.monotonic() - began
            checkpoint.save(model, optimiser, asdict(state))
    with torch.no_grad():
        now = [
            [float(_log_probability(model, row, device)[0]) for row in (pair.chosen, pair.rejected)] for pair in pairs
        ]
    checkpoint.remove()
    seconds = time.monotonic() - began
    return Preferred(state.step, planned, tuple(state.losses), seconds, before, _agreement(pairs, now))


@dataclass
class _State:
    """How far the stage is. `reference`: log-probabilities of chosen and rejected before its first step."""

    step: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)
    reference: list[list[float]] = field(default_factory=list)


def _pair_loss(model: Any, pair: Pair, reference: Sequence[float], options: PreferenceOptions, device: str) -> Any:
    import torch

    chosen, tokens = _log_probability(model, pair.chosen, device)
    rejected, _ = _log_probability(model, pair.rejected, device)
    margin = (chosen - reference[0]) - (rejected - reference[1])
    preferred = -torch.nn.functional.logsigmoid(options.beta * margin)
    return pair.weight * (preferred - options.anchor * chosen / tokens)


def _log_probability(model: Any, row: Row, device: str) -> tuple[Any, int]:
    """The sum over the target tokens, and how many those are."""
    losses, _ = token_losses(model, row, device)
    return -losses.sum(), len(losses)


def _agreement(pairs: Sequence[Pair], values: Sequence[Sequence[float]]) -> float:
    """How often the chosen text has the higher mean log-probability."""
    agrees = [
        chosen / pair.chosen.targets > rejected / pair.rejected.targets
        for pair, (chosen, rejected) in zip(pairs, values, strict=True)
    ]
    return float(np.mean(agrees))


def _order(count: int, options: PreferenceOptions) -> list[list[int]]:
    steps: list[list[int]] = []
    for epoch in range(options.epochs):
        order = np.random.default_rng([options.seed, epoch]).permutation(count).tolist()
        steps += [order[start : start + options.batch] for start in range(0, count, options.batch)]
    return steps


def _key(pairs: Sequence[Pair], options: PreferenceOptions) -> str:
    """What a checkpoint must agree in to be gone on with."""
    digest = hashlib.sha256(json.dumps(asdict(options)).encode())
    for pair in pairs:
        digest.update(json.dumps([pair.example, astuple(pair.chosen), astuple(pair.rejected), pair.weight]).encode())
    return digest.hexdigest()
