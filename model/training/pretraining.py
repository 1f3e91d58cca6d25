"""The shipped adapter: a LoRA that teaches a base fill-in-the-middle and the document mask, within a time or a budget.

It is given exercises and a loaded base; it fetches nothing. What always holds: the same corpus, options and number of
steps see the same rows in the same order; a killed training goes on from its checkpoint; the adapter's folder is whole
at every moment, with the figures that belong to it, so that it can be tried before the end.
"""

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from index.lora import UnusableAdapterError
from model.shipped import METADATA_FILE
from model.training.batches import Told, divergence, in_packs, target_logits
from model.training.checkpoints import CHECKPOINT_FILE, Checkpoint
from model.training.exercises import Drawn
from model.training.network import autocast, computes_bfloat16, to_bfloat16
from model.training.rows import Row, plain
from model.training.sft import TARGETS, SftOptions, TrainingDivergedError, with_fresh_adapter
from model.training.workers import Workers

PACK = 32_768  # tokens: two thirds of the memory of a step go with them, 25 GB on a base of 135 M parameters
PACK_RATE, ROW_RATE = 2e-3, 8e-4


@dataclass(frozen=True)
class PretrainOptions:
    """How the adapter is trained. It ends with `minutes` or `tokens` (computed ones), whichever comes first."""

    minutes: float = 120.0
    tokens: int = 0  # 0: only the time counts
    rows: int = 2  # of one step
    edits: float = 0.3  # share of the rows that stand at lines of a diff, where the corpus has some
    rank: int = 32
    alpha: int = 64
    learning_rate: float = 0.0  # 0: what suits the device
    warmup_share: float = 0.06
    weight_decay: float = 0.01
    clip: float = 1.0
    seed: int = 0
    checkpoint_seconds: float = 120.0
    distilled_share: float = 0.25  # of the masked rows: also taught by the same network without the mask
    distilled_weight: float = 0.5
    gradient_checkpointing: bool = False  # less memory, a third more time: for large bases
    targets: tuple[str, ...] = TARGETS  # names of the linear layers that get a LoRA
    pack: int = 0  # tokens of a pack that is one step of a process (`model.training.packed`); 0: row by row


def for_device(options: PretrainOptions, device: str) -> PretrainOptions:
    """The options with what suits the device: on a GPU packs and, as a step is twenty times as large, longer steps."""
    pack = options.pack or (PACK if device.startswith("cuda") else 0)
    return replace(options, pack=pack, learning_rate=options.learning_rate or (PACK_RATE if pack else ROW_RATE))


@dataclass(frozen=True)
class Pace:
    """Where a training stands. `loss` is the weighted mean of the last steps, nats per token."""

    step: int
    tokens: int
    loss: float
    share: float
    seconds_left: float
    tokens_per_second: float


@dataclass
class _State:
    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)


def pretrain(
    base: Any,
    exercises: Drawn,
    *,
    options: PretrainOptions,
    out: Path,
    record: dict[str, Any],
    onto: Path | None = None,
    resume: bool = True,
    workers: Workers | None = None,
    progress: Callable[[Pace], None] = lambda pace: None,
) -> dict[str, Any]:
    """Train a LoRA on `base` (from `model.training.network`, on the workers' device) and leave it in `out`.

    Returns its record. Cross-entropy on the tails under autocast to bfloat16, on a share of the masked rows together
    with the divergence from what the same network says of the same text under full attention (Hinton et al. 2015),
    AdamW (Loshchilov & Hutter 2019), linear warm-up and a cosine to a twentieth over the budget. `record` is what is
    known beforehand; it is written beside the adapter. Several processes share the rows of each step.
    `onto`: an adapter of an earlier training that this one goes on from, of the same rank and layers. Raises
    OtherTrainingError where `resume` finds another training in `out`.
    """
    import torch

    workers = workers or Workers("cpu")
    options = for_device(options, workers.device)
    torch.manual_seed(options.seed)
    model = with_fresh_adapter(base, SftOptions(rank=options.rank, alpha=options.alpha, targets=options.targets))
    if onto is not None:
        record = {**record, "onto": _go_on_from(model, onto, options)}
    drawn_before = _steps_of(record.get("onto"))  # so that no exercise is drawn a second time
    if options.pack or computes_bfloat16():
        to_bfloat16(model)
    model.train()
    if options.gradient_checkpointing:
        model.enable_input_require_grads()
        model.gradient_checkpointing_enable({"use_reentrant": False})
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=0.0, weight_decay=options.weight_decay, betas=(0.9, 0.98))
    key = hashlib.sha256(json.dumps([record["data_hash"], record.get("onto"), asdict(options)]).encode()).hexdigest()
    checkpoint = Checkpoint(out / CHECKPOINT_FILE, key)
    found = checkpoint.load(model, optimiser, refuse_other=True) if resume else None
    state = _State(**found) if found else _State()
    step = steps(model, exercises, options, drawn_before + state.step, workers)
    paces: list[float] = []
    saved_at = state.seconds
    while (share := workers.agreed(_share(state, options))) < 1.0:
        began = time.monotonic()
        for group in optimiser.param_groups:
            group["lr"] = rate(share, options)
        loss, tokens = step(drawn_before + state.step)
        if not math.isfinite(loss):
            raise TrainingDivergedError(f"The loss became {loss} at step {state.step}: use a lower learning rate.")
        torch.nn.utils.clip_grad_norm_(parameters, options.clip)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        paces.append(time.monotonic() - began)
        state.step += 1
        state.tokens += tokens
        # A machine that slept, or a process that was held, has not trained meanwhile.
        state.seconds += min(paces[-1], 4 * float(np.median(paces[-50:])))
        state.losses.append(loss)
        left = state.seconds / max(_share(state, options), 1e-9) - state.seconds
        speed = state.tokens / state.seconds
        if workers.main:
            progress(Pace(state.step, state.tokens, float(np.mean(state.losses[-10:])), share, max(0.0, left), speed))
        if workers.main and state.seconds - saved_at >= options.checkpoint_seconds:
            saved_at = state.seconds
            _save(model, optimiser, checkpoint, state, out, record, options)
    model.eval()
    if not workers.main:
        return _figures(state, record, options)
    figures = _save(model, optimiser, checkpoint, state, out, record, options)
    checkpoint.remove()
    return figures


class Scheduled(Protocol):
    """Options that say how the learning rate goes."""

    @property
    def learning_rate(self) -> float: ...

    @property
    def warmup_share(self) -> float: ...


def rate(share: float, options: Scheduled) -> float:
    """The learning rate after a share of the budget: linear warm-up, then a cosine to a twentieth."""
    if share < options.warmup_share:
        return options.learning_rate * (0.05 + 0.95 * share / options.warmup_share)
    done = (share - options.warmup_share) / (1 - options.warmup_share)
    return options.learning_rate * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))


def _share(state: _State, options: PretrainOptions) -> float:
    by_tokens = state.tokens / options.tokens if options.tokens else 0.0
    return max(state.seconds / (60 * options.minutes), by_tokens)


Step = Callable[[int], tuple[float, int]]  # a step's number to its weighted mean loss and its tokens; sets gradients


def steps(model: Any, exercises: Drawn, options: PretrainOptions, first: int, workers: Workers) -> Step:
    """How a step is computed, from step `first` on."""
    if options.pack:
        return _by_packs(model, exercises, options, first, workers)
    return partial(_by_rows, model, exercises, options, workers)


def _by_packs(model: Any, exercises: Drawn, options: PretrainOptions, first: int, workers: Workers) -> Step:
    from model.training.packed import PackedSteps

    lessons = PackedSteps(
        model,
        exercises,
        size=options.pack,
        seed=options.seed,
        taught_share=options.distilled_share,
        taught_weight=options.distilled_weight,
        device=workers.device,
        checkpointing=options.gradient_checkpointing,
        first=first * workers.count + workers.rank,
        stride=workers.count,
    )
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]

    def step(number: int) -> tuple[float, int]:
        summed, weights, computed, take_back = lessons.step()
        weights_of_all, tokens_of_all = workers.total([weights, computed])
        take_back(1 / weights_of_all)
        workers.add_gradients(parameters)
        (loss_of_all,) = workers.total([float(summed)])
        return loss_of_all / weights_of_all, round(tokens_of_all)

    return step


def _by_rows(model: Any, exercises: Drawn, options: PretrainOptions, workers: Workers, step: int) -> tuple[float, int]:
    """This process's rows of a step; the weighted mean loss of all of it, and its tokens."""
    import torch

    draws = [np.random.default_rng([options.seed, step, number]) for number in range(options.rows)]
    rows = [exercises.draw(draw) for draw in draws]
    whole = sum(sum(row.weights) for row in rows)
    mine = workers.mine(range(len(rows)))
    taught = {n for n in mine if max(rows[n].blocks) > 1 and draws[n].random() < options.distilled_share}
    total, computed = 0.0, sum(len(rows[number]) for number in (*mine, *taught))
    numbers = iter(mine)
    with autocast(workers.device):
        for pack in _told(model, [rows[number] for number in mine], options, workers.device):
            here = list(islice(numbers, len(pack)))
            known = [number for number in here if number in taught]
            with torch.no_grad():  # behind the pack itself, as autocast remembers what it has cast without gradients
                said = _told(model, [plain(rows[number]) for number in known], options, workers.device)
                teachers = {number: logits for number, (logits, _, _) in zip(known, chain(*said), strict=True)}
            parts = []
            for number, (logits, wanted, weights) in zip(here, pack, strict=True):
                losses = torch.nn.functional.cross_entropy(logits, wanted, reduction="none")
                if number in teachers:
                    losses = losses + options.distilled_weight * divergence(teachers[number], logits)
                parts.append((losses * weights).sum() / whole)
            loss = torch.stack(parts).sum()
            loss.backward()
            total += float(loss.detach())
    workers.add_gradients([parameter for parameter in model.parameters() if parameter.requires_grad])
    loss_of_all, tokens_of_all = workers.total([total, computed])
    return loss_of_all, round(tokens_of_all)


def _told(model: Any, rows: Sequence[Row], options: PretrainOptions, device: str) -> Iterator[list[Told]]:
    """`in_packs`, or row by row where memory is to be spared."""
    if not options.gradient_checkpointing:
        return in_packs(model, rows, device)
    return ([target_logits(model, row, device)] for row in rows)


def _go_on_from(model: Any, folder: Path, options: PretrainOptions) -> dict[str, Any]:
    """Take over the weights of an adapter; what its record says of how it was made. Raises UnusableAdapterError."""
    from peft import get_peft_model_state_dict, set_peft_model_state_dict
    from safetensors import SafetensorError
    from safetensors.torch import load

    from model.adapters import CONFIG_FILE, WEIGHTS_FILE

    try:
        written = (folder / WEIGHTS_FILE).read_bytes()
        weights = load(written)
        config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
        before = json.loads((folder / METADATA_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, SafetensorError) as error:
        raise UnusableAdapterError(f"{folder} holds no adapter that `inkling pretrain` made: {error}") from error
    here = {name: tuple(tensor.shape) for name, tensor in get_peft_model_state_dict(model).items()}
    if here != {name: tuple(tensor.shape) for name, tensor in weights.items()} or config["lora_alpha"] != options.alpha:
        raise UnusableAdapterError(
            f"The adapter in {folder} has another rank, alpha or other layers than this training: rank {options.rank}, "
            f"alpha {options.alpha}, {', '.join(options.targets)}."
        )
    set_peft_model_state_dict(model, weights)
    kept = ("steps", "tokens", "seconds", "data_hash", "options", "onto")
    return {"sha256": hashlib.sha256(written).hexdigest(), **{name: before[name] for name in kept if name in before}}


def _steps_of(trained: dict[str, Any] | None) -> int:
    """All steps of an earlier training and of those that it went on from."""
    return trained.get("steps", 0) + _steps_of(trained.get("onto")) if trained else 0


def _save(
    model: Any,
    optimiser: Any,
    checkpoint: Checkpoint,
    state: _State,
    out: Path,
    record: dict[str, Any],
    options: PretrainOptions,
) -> dict[str, Any]:
    checkpoint.save(model, optimiser, asdict(state))
    figures = _figures(state, record, options)
    write_adapter(model, out, record["base"], figures)
    return figures


def _figures(state: _State, record: dict[str, Any], options: PretrainOptions) -> dict[str, Any]:
    losses = state.losses
    return {
        **record,
        "steps": state.step,
        "tokens": state.tokens,
        "seconds": round(state.seconds, 1),
        "training_loss": {"first": float(np.mean(losses[:10])), "last": float(np.mean(losses[-10:]))},
        "options": asdict(options),
    }


def write_adapter(model: Any, out: Path, base: str, figures: dict[str, Any]) -> None:
    """A PEFT folder with its weights in bfloat16, and the record beside them."""
    import torch
    from peft import get_peft_model_state_dict
    from safetensors.torch import save

    from model.adapters import CONFIG_FILE, WEIGHTS_FILE, write_atomically

    out.mkdir(parents=True, exist_ok=True)
    tensors = {
        name: tensor.detach().to("cpu", torch.bfloat16).contiguous()
        for name, tensor in get_peft_model_state_dict(model).items()
    }
    described = model.peft_config["default"].to_dict()
    config = {name: sorted(value) if isinstance(value, set) else value for name, value in described.items()}
    config |= {"base_model_name_or_path": base, "inference_mode": True}
    write_atomically(out / WEIGHTS_FILE, save(tensors))
    write_atomically(out / CONFIG_FILE, (json.dumps(config, indent=2, default=str) + "\n").encode())
    write_atomically(out / METADATA_FILE, (json.dumps(figures, indent=2) + "\n").encode())
