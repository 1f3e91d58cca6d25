"""Supervised fine-tuning of one fresh LoRA adapter on target tokens, within a wall-clock budget.

It is given token sequences and a loaded base; it knows nothing of examples, time splits or promotion. What always
holds: the same sequences, options and number of steps give the same batches in the same order; a killed training goes
on from its checkpoint with the steps that were planned; a checkpoint of other data or options is not used.
"""

import hashlib
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from inkling.errors import InklingError, UserError
from model.training.batches import ROBUSTNESS, robust
from model.training.checkpoints import CHECKPOINT_FILE, Checkpoint
from model.training.dataset import TrainingSequence, data_hash, passes
from model.training.retention import Retention
from model.training.workers import Workers

_PROBE_STEPS = 3  # steps that are timed before the rest is planned
_USED = 0.9  # of the time; the rest pays for checkpoints and for steps that are longer than the timed ones
TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


class TrainingCancelledError(InklingError):
    """`cancelled()` became true between two steps. The checkpoint is on disk; the same night goes on from it."""


class TrainingDivergedError(UserError):
    """The loss is not a number any more."""


@dataclass(frozen=True)
class SftOptions:
    """How an adapter is trained. `batch` sequences make one step; they go through the network side by side.

    `robustness` is the exponent of the loss (`robust`). `learning_rate` is that of all `epochs`; with time for fewer it
    is higher, as `peak_rate` says. `retention` is the weight of the divergence from the model without the adapter at up
    to `held_tokens` tokens around the cursor that this was sure of, 0: none; it is computed for `held_share` of the
    sequences, which count as many times more. One text that is none of the user's is held for `general` of theirs, 0:
    none (`model.training.night_data`), and counts as much as what is held of theirs together. With time for less than
    one pass B, which begins at zero, learns at up to `up_ratio` times the rate of A (`ratio_of_up`).
    """

    rank: int = 16
    alpha: int = 32
    learning_rate: float = 2e-4
    warmup_share: float = 0.1
    weight_decay: float = 0.01
    clip: float = 1.0
    epochs: int = 4
    batch: int = 4
    seed: int = 0
    checkpoint_seconds: float = 60.0
    retention: float = 1.0
    held_tokens: int = 40
    held_share: float = 0.5
    general: int = 4
    robustness: float = ROBUSTNESS
    up_ratio: float = 2.0
    targets: tuple[str, ...] = TARGETS  # names of the linear layers that get a LoRA


@dataclass(frozen=True)
class Step:
    """Where a training stands. `loss` is the mean over the tokens of this step, nats; `seconds_left` an estimate."""

    done: int
    planned: int
    loss: float
    seconds_left: float


@dataclass(frozen=True)
class Trained:
    """What a training did. `tokens_per_second` counts computed tokens."""

    steps: int
    planned: int
    losses: tuple[float, ...]
    seconds: float
    tokens_per_second: float
    resumed_at: int


def train(
    base: Any,
    sequences: Sequence[TrainingSequence],
    *,
    options: SftOptions,
    budget_seconds: float,
    run_folder: Path,
    device: str = "cpu",
    progress: Callable[[Step], None] = lambda step: None,
    cancelled: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.monotonic,
    workers: Workers | None = None,
) -> tuple[Any, Trained]:
    """Put a fresh LoRA on `base` and train it; returns the PEFT model and what was done.

    `base` comes from `model.training.network`. Completion-only cross-entropy, AdamW (Loshchilov & Hutter 2019),
    linear warm-up and a cosine to a tenth (Loshchilov & Hutter 2017), LoRA (Hu et al. 2021), and what
    `model.training.retention` holds.
    `clock` counts the seconds that are spent; `cancelled` may take its time, as long as the clock stands still then.
    `workers` share each step; all of them call this alike, the main one decides, reports and writes checkpoints.
    Raises TrainingCancelledError and TrainingDivergedError.
    """
    import torch

    if not sequences:
        raise ValueError("there is nothing to train on")
    workers = workers or Workers(device)
    torch.manual_seed(options.seed)
    model = with_fresh_adapter(base, options)
    model.train()
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(_grouped(model), lr=0.0, weight_decay=options.weight_decay)
    order = passes(sequences, options.batch, options.epochs, options.seed)
    held = Retention(
        model, options.retention, options.held_tokens, options.held_share, workers.device, clock,
        silent=options.general + 1,
    )  # fmt: skip
    key = _key(sequences, options)
    checkpoint = Checkpoint(run_folder / CHECKPOINT_FILE, key)
    found = checkpoint.load(model, optimiser)
    state = _State(**found) if found else _State()
    if state.step < state.planned(len(order)):
        state.resumed_at = state.step
    spent = _Clock(clock, state.seconds)
    saved_at = timed_at = spent.now()
    timed_step, timed_said = state.step, 0.0

    def save() -> None:
        if workers.main:
            checkpoint.save(model, optimiser, asdict(replace(state, seconds=spent.now())))

    while state.step < state.planned(len(order)):
        if workers.agreed(float(cancelled())):
            save()
            raise TrainingCancelledError(f"Cancelled after {state.step} of {state.planned(len(order))} steps.")
        if state.step >= _PROBE_STEPS and workers.agreed(spent.now()) >= budget_seconds:
            break
        planned = state.planned(len(order))
        rate = _rate(state.step, planned, len(order), options)
        ratio = ratio_of_up(planned, _of_first_pass(sequences, options), options)
        for group in optimiser.param_groups:
            group["lr"] = rate * (ratio if group["is_up"] else 1.0)
        batch = [sequences[index] for index in order[state.step]]
        loss, computed = _step(optimiser, parameters, batch, options, workers, held)
        if not math.isfinite(loss):
            raise TrainingDivergedError(
                f"The loss became {loss} at step {state.step}: use a learning rate below {rate:g}."
            )
        state.step += 1
        state.tokens += computed
        state.losses.append(loss)
        warm = state.step > state.resumed_at + 1  # the first step also warms up, so only those after it are timed
        if warm and state.is_to_plan:
            steps = state.step - timed_step
            saying = (held.seconds - timed_said) / steps
            pace = (spent.now() - timed_at) / steps - saying
            first_pass = max(0, _of_first_pass(sequences, options) - state.step)
            fitting = state.step + _fitting(_USED * (budget_seconds - spent.now()), pace, saying, first_pass)
            state.set_plan(int(workers.agreed(max(state.step, min(len(order), fitting)))))
        if not warm or state.step == state.planned_at:
            timed_at, timed_step, timed_said = spent.now(), state.step, held.seconds
        left = (state.planned(len(order)) - state.step) * spent.now() / state.step
        if workers.main:
            progress(Step(state.step, state.planned(len(order)), loss, left))
        if spent.now() - saved_at >= options.checkpoint_seconds:
            save()
            saved_at = spent.now()
    save()
    model.eval()
    seconds = max(spent.now(), 1e-9)
    planned = state.planned(len(order))
    return model, Trained(state.step, planned, tuple(state.losses), seconds, state.tokens / seconds, state.resumed_at)


def with_fresh_adapter(base: Any, options: SftOptions) -> Any:
    """A PEFT model: `base` frozen, with a LoRA that changes nothing yet on every linear layer of its blocks."""
    from peft import LoraConfig, get_peft_model

    here = {name.rsplit(".", 1)[-1] for name, _ in base.named_modules()}
    targets = [name for name in options.targets if name in here]
    if not targets:
        raise UserError(
            f"{type(base).__name__} has none of the layers {', '.join(options.targets)}: "
            "choose a Llama-shaped base (Llama, Qwen, Mistral, SmolLM)."
        )
    config = LoraConfig(
        r=options.rank, lora_alpha=options.alpha, lora_dropout=0.0, target_modules=targets, task_type="CAUSAL_LM"
    )
    return get_peft_model(base, config)


def _grouped(model: Any) -> list[dict[str, Any]]:
    """The parameters of A and of B, which do not learn at the same rate."""
    learning = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    ups = [parameter for name, parameter in learning.items() if "lora_B" in name]
    others = [parameter for name, parameter in learning.items() if "lora_B" not in name]
    return [{"params": others, "is_up": False}, {"params": ups, "is_up": True}]


def _of_first_pass(sequences: Sequence[TrainingSequence], options: SftOptions) -> int:
    """Steps after which every sequence was read once."""
    return -(-len(sequences) // options.batch)


def _step(
    optimiser: Any,
    parameters: list[Any],
    sequences: list[TrainingSequence],
    options: SftOptions,
    workers: Workers,
    held: Retention,
) -> tuple[float, int]:
    """One optimiser step over `sequences`; the mean loss per target token, and the tokens that were computed."""
    import torch

    targets = max(1, sum(sequence.targets for sequence in sequences))
    mine = [sequences[index] for index in workers.mine(range(len(sequences)))]
    total, computed = 0.0, sum(len(sequence.row) for sequence in mine)
    for pack in held.losses(mine):
        loss = sum(robust(nats, options.robustness).sum() / targets + moved / len(sequences) for nats, moved in pack)
        loss.backward()
        total += sum(float(nats.detach().sum()) for nats, _ in pack) / targets
    workers.add_gradients(parameters)
    torch.nn.utils.clip_grad_norm_(parameters, options.clip)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    loss_of_all, computed_by_all = workers.total([total, computed])
    return loss_of_all, int(computed_by_all)


def _fitting(seconds: float, pace: float, saying: float, first_pass: int) -> int:
    """How many steps fit: each takes `pace` seconds, and `saying` more while sequences are met for the first time."""
    both = max(pace + saying, 1e-9)
    if seconds <= first_pass * both:
        return int(seconds / both)
    return first_pass + int((seconds - first_pass * both) / max(pace, 1e-9))


def peak_rate(planned: int, most: int, options: SftOptions) -> float:
    """The highest learning rate of `planned` steps where all epochs would have `most`: it grows with the root of what
    is missing, to at most the threefold. A night that has time for one pass learns little at the rate of four, and
    four at the rate of one make it worse (docs/benchmarks.md)."""
    return options.learning_rate * min(3.0, math.sqrt(most / max(1, planned)))


def ratio_of_up(planned: int, of_pass: int, options: SftOptions) -> float:
    """The learning rate of B as a multiple of that of A (LoRA+, Hayou et al. 2024): 1 where `planned` steps are a whole
    pass of `of_pass` or more, else what is missing to one, at most `up_ratio`. B begins at zero, and what an adapter
    changes goes with it; more than the twofold gains more and is surer of less (docs/benchmarks.md)."""
    return min(options.up_ratio, max(1.0, of_pass / max(1, planned)))


def _rate(step: int, planned: int, most: int, options: SftOptions) -> float:
    """Linear warm-up over `warmup_share` of the steps, then a cosine down to a tenth of the highest rate."""
    peak = peak_rate(planned, most, options)
    warmup = max(1, round(planned * options.warmup_share))
    if step < warmup:
        return peak * (step + 1) / warmup
    share = (step - warmup) / max(1, planned - warmup)
    return peak * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * share)))


def _key(sequences: Sequence[TrainingSequence], options: SftOptions) -> str:
    """What a checkpoint must agree in to be gone on with."""
    return hashlib.sha256((data_hash(sequences) + json.dumps(asdict(options))).encode()).hexdigest()


class _Clock:
    """Seconds that were spent on this training, those before a restart included."""

    def __init__(self, clock: Callable[[], float], spent: float) -> None:
        self._clock = clock
        self._start = clock() - spent

    def now(self) -> float:
        return self._clock() - self._start


@dataclass
class _State:
    """How far a training is. `plan` is None until its speed is known; it was made behind step `planned_at`, and is made
    again half way from there to its end, as often as there are steps between: three steps tell little of the others,
    and a machine that was busy at first may not stay so."""

    step: int = 0
    plan: int | None = None
    planned_at: int = 0
    tokens: int = 0
    seconds: float = 0.0
    resumed_at: int = 0
    losses: list[float] = field(default_factory=list)

    def planned(self, most: int) -> int:
        return most if self.plan is None else self.plan

    @property
    def is_to_plan(self) -> bool:
        """Whether enough steps were taken since the last time to say how many there will be."""
        if self.plan is None:
            return self.step >= _PROBE_STEPS
        return self.step == (self.planned_at + self.plan) // 2 > self.planned_at

    def set_plan(self, steps: int) -> None:
        """There will be so many."""
        self.plan, self.planned_at = steps, self.step
