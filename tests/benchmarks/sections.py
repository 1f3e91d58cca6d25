"""Whether writing sections for a reward makes others better: the reward of sections that were held back.

Pieces of several lines that one package's history added are written by the default base with its adapter, four times
each, and learned from (`model.training.section_training`); pieces of other files are held back. Beside it stands the
same number of steps on advantages that were shuffled among the samples: what only much practice would do.
INKLING_HISTORY names the package and its versions, INKLING_STEPS how many steps, INKLING_SAMPLES how many samples of a
section, INKLING_HELD how many sections are held back, INKLING_LEARN what is learned from (rewards,shuffled). About half
an hour on two cores; where torch finds a GPU, it runs there.
"""

import os
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from model.catalog import BASE
from model.evaluation.replay_history import days_of
from model.evaluation.replay_requests import User
from model.evaluation.replay_settings import SIZES
from model.evaluation.replay_sources import of_package
from model.runtimes.torch_runtime import TorchRuntime
from model.shipped import shipped
from model.threads import set_threads
from model.training import section_training
from model.training.network import load_for_training
from model.training.section_tasks import Section, section_of
from model.training.section_training import SectionOptions, SectionStep, mean_rewards, save_adapter, train_sections
from model.training.serving import night_layout
from model.training.sft import SftOptions, with_fresh_adapter
from model.training.writing import Writer
from model.weights import resolve

_HISTORY = "wtforms==2.3.3,3.0.1,3.2.1"
_OPTIONS = SectionOptions(most_tokens=64, samples=int(os.environ.get("INKLING_SAMPLES", "4")))
_LEARN = {"rewards": "rewards", "shuffled": "the same, shuffled among the samples"}
_CHARACTERS = (30, 220)  # of a section
_HELD = int(os.environ.get("INKLING_HELD", "16"))
_SAMPLES = 2  # of each that is held back


def run() -> None:
    """Print rewards with their parts, and by how much they rose with a 95% interval over sections."""
    set_threads()
    folder, anchor = resolve(BASE.name), shipped(BASE.name)
    assert anchor is not None
    layout, scheme = night_layout(folder, anchor)
    trained, held = _sections(layout)
    steps = int(os.environ.get("INKLING_STEPS", "20"))
    told = f"{_OPTIONS.sections} sections and {_OPTIONS.samples} samples"
    print(f"{len(trained)} sections to write, {len(held)} of other files held back, {steps} steps of {told}\n")
    print("| learned from | reward | likeness | syntax | length | rose by, 95% |", flush=True)
    print("| --- | --- | --- | --- | --- | --- |", flush=True)
    runtime = TorchRuntime(folder, [anchor.folder])
    device = runtime.device if runtime.device == "cuda" else "cpu"
    writer = Writer(runtime, layout, scheme)
    before = _row("nothing", writer, held, None)
    usual = section_training.advantages
    for chosen in os.environ.get("INKLING_LEARN", "rewards,shuffled").split(","):
        name = _LEARN[chosen]
        section_training.advantages = _shuffled(usual) if chosen == "shuffled" else usual
        model = with_fresh_adapter(load_for_training(folder, [anchor.folder], device=device), SftOptions())
        with tempfile.TemporaryDirectory() as place:
            adapter = Path(place) / "sections"
            save_adapter(model, adapter)
            train_sections(
                model, writer, lambda path: runtime.load_adapters([anchor.folder, path]), trained, layout, scheme,
                options=_OPTIONS, budget_seconds=1e6, most_steps=steps, folder=adapter, device=device, progress=_tell,
            )  # fmt: skip
            _row(name, writer, held, before)
        runtime.load_adapters([anchor.folder])
    section_training.advantages = usual


def _sections(layout: Any) -> tuple[list[Section], list[Section]]:
    """Those to learn from, and those of every third file, which are held back."""
    source = of_package(os.environ.get("INKLING_HISTORY", _HISTORY))
    days = days_of(source.snapshots, hunks=300, days=2, seed=0)
    user = User(source.name, 0, layout, SIZES)
    examples = [one for day in user.days(days, source.snapshots[-1], 1) for one in day.examples]
    usable = [one for one in examples if "\n" in one.target and _CHARACTERS[0] <= len(one.target) <= _CHARACTERS[1]]
    paths = sorted({one.path for one in usable})
    random.Random(0).shuffle(paths)
    apart = frozenset(paths[::3])
    held = [section_of(one) for one in usable if one.path in apart]
    random.Random(1).shuffle(held)
    return [section_of(one) for one in usable if one.path not in apart], held[:_HELD]


def _shuffled(usual: Any) -> Any:
    draw = np.random.default_rng(0)
    return lambda rewards: draw.permutation(usual(rewards))


def _tell(step: SectionStep) -> None:
    if step.step % 5 == 4:
        parts = ", ".join(f"{name} {value:.3f}" for name, value in step.components.items())
        print(f"<!-- step {step.step + 1}: reward {step.reward:.3f}, {parts}, {step.tokens:.0f} tokens -->", flush=True)


def _row(name: str, writer: Writer, held: Sequence[Section], before: Any) -> Any:
    """Print one; the rewards by section."""
    each = [mean_rewards(writer, [section], _OPTIONS, samples=_SAMPLES) for section in held]
    mean = {part: float(np.mean([one[part] for one in each])) for part in each[0]}
    totals = np.array([one["total"] for one in each])
    rose = ""
    if before is not None:
        draw = np.random.default_rng(0).integers(0, len(totals), (4000, len(totals)))
        low, high = np.percentile((totals - before)[draw].mean(1), [2.5, 97.5])
        rose = f"{(totals - before).mean():+.3f}, {low:+.3f} to {high:+.3f}"
    print(f"| {name} | {mean['total']:.3f} | {mean['likeness']:.3f} | {mean['syntax']:.3f} | {mean['length']:.3f} | "
          f"{rose} |", flush=True)  # fmt: skip
    return totals
