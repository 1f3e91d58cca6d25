"""Group-relative training on sections: what was better than its group becomes likelier, token by token.

Group-relative advantages (Shao et al. 2024, arXiv 2402.03300) without division by the deviation (Liu et al. 2025,
arXiv 2503.20783), on policy: every group is written by the adapter as it is and used for one step. What always holds: a
killed stage goes on at the step where its checkpoint stands, with the same draws; sections that the model always or
never gets right are put aside and counted, as their groups teach nothing.
"""

import hashlib
import json
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.adapters import CONFIG_FILE
from model.positions import PositionScheme
from model.prompt import Layout, Prompt, row_of
from model.tensor_files import disk_errors
from model.training.batches import token_losses
from model.training.checkpoints import Checkpoint
from model.training.rows import row
from model.training.section_tasks import Section
from model.training.sections import Checks, Reward, advantages, reward_of
from model.training.sft import TrainingCancelledError
from model.training.writing import Sample, Writer

CHECKPOINT_FILE = "section.pt"


@dataclass(frozen=True)
class SectionOptions:
    """`samples` per section and step; `most_tokens` of one; `kl` weighs the distance to the network without adapter.

    Groups whose mean likeness lies outside of `middle` are too hard or too easy to learn from.
    """

    samples: int = 4
    sections: int = 2  # of one step
    most_tokens: int = 96
    temperature: float = 0.8
    learning_rate: float = 2e-4
    kl: float = 0.02
    clip: float = 1.0
    middle: tuple[float, float] = (0.1, 0.97)
    seed: int = 0
    checkpoint_seconds: float = 60.0


@dataclass(frozen=True)
class SectionStep:
    """One step: mean reward of its samples with its components, and how much the samples of a group differed."""

    step: int
    reward: float
    components: Mapping[str, float]
    spread: float
    tokens: float


@dataclass(frozen=True)
class Written:
    """What the stage did. `aside` counts sections that were put aside, by reason: too_easy, too_hard."""

    steps: tuple[SectionStep, ...]
    aside: Mapping[str, int]
    seconds: float
    resumed_at: int


@dataclass
class _State:
    step: int = 0
    seconds: float = 0.0
    steps: list[dict[str, Any]] = field(default_factory=list)
    aside: dict[str, str] = field(default_factory=dict)  # index of a section -> why


def train_sections(
    model: Any,
    writer: Writer,
    load: Callable[[Path], None],
    sections: Sequence[Section],
    layout: Layout,
    scheme: PositionScheme,
    *,
    options: SectionOptions,
    budget_seconds: float,
    most_steps: int,
    folder: Path,
    checks: Checks | None = None,
    device: str = "cpu",
    progress: Callable[[SectionStep], None] = lambda step: None,
    cancelled: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.monotonic,
) -> Written:
    """Train the PEFT model in place, for so many seconds or steps; `folder` holds the adapter between two of them.

    `load` gives the adapter in a folder to the writer's runtime. Raises TrainingCancelledError: the same call goes on.
    """
    import torch

    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=options.learning_rate, weight_decay=0.0)
    checkpoint = Checkpoint(folder.with_name(CHECKPOINT_FILE), _key(sections, options))
    found = checkpoint.load(model, optimiser)
    state = _State(**found) if found else _State()
    resumed_at, began = state.step, clock() - state.seconds
    saved = clock()
    while state.step < most_steps and clock() - began < budget_seconds and len(state.aside) < len(sections):
        if cancelled():
            state.seconds = clock() - began
            checkpoint.save(model, optimiser, asdict(state))
            raise TrainingCancelledError(f"Cancelled after {state.step} steps of the section stage.")
        draw = np.random.default_rng([options.seed, state.step])
        save_adapter(model, folder)
        load(folder)
        left = [number for number in range(len(sections)) if str(number) not in state.aside]
        groups: list[list[Reward]] = []
        lengths: list[int] = []
        for index in draw.choice(left, min(options.sections, len(left)), replace=False):
            section = sections[int(index)]
            prompt, samples = writer.write(
                section.request, options.samples, most=options.most_tokens, temperature=options.temperature, draw=draw
            )
            group = _rewards(section, samples, checks, cancelled)
            if (why := difficulty(group, options)) is not None:
                state.aside[str(int(index))] = why
            else:
                above = advantages([reward.total for reward in group])
                _learn(model, layout, scheme, prompt, samples, above, options, device)
            groups.append(group)
            lengths += [len(sample.tokens) for sample in samples]
        torch.nn.utils.clip_grad_norm_(parameters, options.clip)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        made = _step(state.step, groups, lengths)
        state.step += 1
        state.steps.append(asdict(made))
        progress(made)
        if clock() - saved >= options.checkpoint_seconds:
            saved, state.seconds = clock(), clock() - began
            checkpoint.save(model, optimiser, asdict(state))
    state.seconds = clock() - began
    checkpoint.save(model, optimiser, asdict(state))
    save_adapter(model, folder)
    load(folder)
    steps = tuple(SectionStep(**one) for one in state.steps)
    return Written(steps, dict(Counter(state.aside.values())), state.seconds, resumed_at)


def difficulty(group: Sequence[Reward], options: SectionOptions) -> str | None:
    """Why a group teaches nothing: the model is never near, or always there; None if it is near but not right."""
    likeness = float(np.mean([reward.likeness for reward in group]))
    if likeness < options.middle[0]:
        return "too_hard"
    return "too_easy" if likeness > options.middle[1] else None


def mean_rewards(
    writer: Writer,
    sections: Sequence[Section],
    options: SectionOptions,
    checks: Checks | None = None,
    *,
    samples: int = 2,
    cancelled: Callable[[], bool] = lambda: False,
) -> Mapping[str, float]:
    """Mean total and components of samples at these cursors, drawn with the same numbers for whatever is loaded.

    Raises TrainingCancelledError.
    """
    found: list[Reward] = []
    for index, section in enumerate(sections):
        draw = np.random.default_rng([options.seed, 1_000_000, index])
        _, written = writer.write(
            section.request, samples, most=options.most_tokens, temperature=options.temperature, draw=draw
        )
        found += _rewards(section, written, checks, cancelled)
    return _means(found)


def save_adapter(model: Any, folder: Path) -> None:
    """Write the adapter as it is, readable by everybody who may read the folder. Raises OSError: the disk is full."""
    with disk_errors(folder):
        model.save_pretrained(folder)
    (folder / CONFIG_FILE).chmod(0o644)


def _rewards(
    section: Section, samples: Sequence[Sample], checks: Checks | None, cancelled: Callable[[], bool]
) -> list[Reward]:
    """Tests take as long as they like, so whoever cancels is heard before each of them."""
    found = []
    for sample in samples:
        if cancelled():
            raise TrainingCancelledError("Cancelled while sections were rewarded.")
        found.append(reward_of(section, sample, checks))
    return found


def _means(rewards: Sequence[Reward]) -> dict[str, float]:
    names = rewards[0].components
    means = {name: float(np.mean([reward.components[name] for reward in rewards])) for name in names}
    return {"total": float(np.mean([reward.total for reward in rewards])), **means}


def _step(number: int, groups: Sequence[Sequence[Reward]], lengths: Sequence[int]) -> SectionStep:
    means = _means([reward for group in groups for reward in group])
    spread = float(np.mean([np.std([reward.total for reward in group]) for group in groups]))
    return SectionStep(number, means.pop("total"), means, spread, float(np.mean(lengths)))


def _learn(
    model: Any, layout: Layout, scheme: PositionScheme, prompt: Prompt, samples: Sequence[Sample],
    above: NDArray[np.float64], options: SectionOptions, device: str,
) -> None:  # fmt: skip
    """Add the gradients of one group.

    Sums over tokens are divided by `most_tokens` for all, so that long samples are not favoured (Liu et al. 2025). The
    distance to the network without adapter is estimated as in Schulman (2020): exp(-d) - 1 + d with d = log p - log q.
    """
    import torch

    end = layout.form.middle.end if layout.form.middle is not None else None
    for sample, advantage in zip(samples, above, strict=True):
        ahead = [*sample.tokens, *([end] if sample.ended and end is not None else [])]
        if not ahead or (advantage == 0.0 and not options.kl):
            continue
        laid = row(row_of(prompt, ahead, scheme))
        losses, _ = token_losses(model, laid, device)
        loss = float(advantage) * losses.sum()
        if options.kl:
            with torch.no_grad(), model.disable_adapter():
                reference, _ = token_losses(model, laid, device)
            distance = reference - losses  # log p - log q of what was written
            loss = loss + options.kl * (torch.exp(-distance) - 1 + distance).sum()
        loss = loss / (options.most_tokens * len(samples) * options.sections)
        if not math.isfinite(float(loss.detach())):
            continue
        loss.backward()


def _key(sections: Sequence[Section], options: SectionOptions) -> str:
    """What a checkpoint must agree in to be gone on with."""
    digest = hashlib.sha256(json.dumps(asdict(options)).encode())
    for section in sections:
        digest.update(json.dumps([section.request.path, section.request.prefix, section.target]).encode())
    return digest.hexdigest()
