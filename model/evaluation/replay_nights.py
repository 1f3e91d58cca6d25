"""The nights of the replay: what each trained arm serves on the next day.

It calls `run_night` as the product does, with its own promotion gate, and keeps every arm's adapters in a registry of
its own. What always holds: a night sees only days that are over; the placebo's nights see the same cursors and the
same later feedback, with the targets that are trained on exchanged; what a killed run had finished is not made again.
"""

import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from feedback.changes import Change
from feedback.examples import Example
from model.adapters import CONFIG_FILE, Registry
from model.shipped import Shipped
from model.tensor_files import disk_errors
from model.threads import set_threads
from model.training.dataset import encoded, shuffled_targets, split_by_time
from model.training.network import load_for_training
from model.training.night import run_night
from model.training.night_data import NightOptions, Stage, general_rows
from model.training.section_training import SectionOptions
from model.training.serving import serving_format
from model.training.sft import Step, train
from model.training.verdict import Verdict

TRAINING_SHARE = 0.6  # of a night's budget that its training gets; the rest is for measuring
_REGIONS_PER_PAIR = 3  # as in the product's own least numbers
_SMALL_STEPS = SectionOptions(sections=1, most_tokens=48)
Report = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Night:
    """The end of one. `candidate` is what it made, `champion` what is served from then on by what was promoted.

    Paths are relative to the results folder; None for nothing. `status` and `code` are those of the verdict.
    """

    status: str
    code: str
    reason: str
    candidate: str | None
    champion: str | None
    seconds: float
    figures: dict[str, Any]

    @property
    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


class Nights:
    """Runs them on one base, below one results folder."""

    def __init__(self, base: str, base_folder: Path, anchor: Shipped | None, folder: Path, options: NightOptions):
        self._base = base
        self._base_folder = base_folder
        self._anchor = anchor
        self._folder = folder
        self._options = options

    def promoted(
        self,
        name: str,
        past: Sequence[Example],
        seed: int,
        made: int,
        report: Report,
        stages: tuple[Stage, ...] = ("sft",),
        changes: Sequence[Change] = (),
    ) -> Night:
        """A night as the product runs it. `made`: candidates that the registry `name` had before this night."""
        registry = Registry(self._folder / name)
        began = time.monotonic()
        known = (
            sorted(registry.list(), key=lambda adapter: (adapter.at, adapter.name)) if registry.path.exists() else []
        )
        if len(known) > made:  # it was finished, but the run was killed before that was written down
            record = registry.record(known[-1].name)
            done = Verdict(record["status"], record["code"], record["reason"], known[-1].name, record["figures"])
            seconds = float(record["seconds"])
            if done.status == "promoted":  # which the kill may have come before
                registry.promote(known[-1].name)
        else:
            done = run_night(
                past,
                base=self._base,
                base_folder=self._base_folder,
                registry=registry,
                anchor=self._anchor,
                options=self._staged(seed, stages),
                changes=changes,
                progress=lambda step: report(step.stage, step.done, step.total),
            )
            seconds = time.monotonic() - began
        champion = registry.champion(self._base) if registry.path.exists() else None
        return Night(
            done.status, done.code, done.reason,
            f"{name}/{done.adapter}" if done.adapter is not None else None,
            f"{name}/{champion.name}" if champion is not None else None,
            seconds, _short(done.figures, stages),
        )  # fmt: skip

    def placebo(self, name: str, past: Sequence[Example], seed: int, made: int, report: Report) -> Night:
        """The same on shuffled targets. The feedback that decides on promotion is the true one."""
        cleaned = self._split(past)
        split = self._split([*cleaned[0], *cleaned[1]])  # without duplicates it is cut where `run_night` will cut
        return self.promoted(name, [*shuffled_targets(split[0], seed), *split[1]], seed, made, report)

    def full(self, name: str, past: Sequence[Example], seed: int, report: Report) -> Night:
        """One training on everything so far, nothing held back, with the time that a night has for it."""
        began = time.monotonic()
        options = self._seeded(seed)
        target = self._folder / name
        encode = serving_format(self._base_folder, self._anchor)
        training, _ = encoded(past[-options.window :], encode, maximum_tokens=options.maximum_tokens)
        if len(training) < options.minimum_regions:
            reason = f"{options.minimum_regions} settled regions are needed, {len(training)} are usable."
            return Night("skipped", "not_enough_data", reason, None, None, time.monotonic() - began, {})
        set_threads(options.threads)
        device = _device()
        model = load_for_training(self._base_folder, [self._anchor.folder] if self._anchor else [], device=device)

        def step(done: Step) -> None:
            report(f"training, loss {done.loss:.2f}", done.done, done.planned)

        sequences = [*training, *general_rows(len(training), encode, options)]
        run_folder = target.with_name(f"{target.name}.run")
        tuned, trained = train(
            model, sequences, options=options.sft, budget_seconds=TRAINING_SHARE * options.budget_seconds,
            run_folder=run_folder, device=device, progress=step,
        )  # fmt: skip
        shutil.rmtree(target, ignore_errors=True)
        with disk_errors(target):
            tuned.save_pretrained(target)
        config = json.loads((target / CONFIG_FILE).read_text(encoding="utf-8"))
        (target / CONFIG_FILE).write_text(
            json.dumps({**config, "base_model_name_or_path": self._base}), encoding="utf-8"
        )
        shutil.rmtree(run_folder, ignore_errors=True)
        figures = {"steps": trained.steps, "training": len(training), "training_seconds": trained.seconds}
        return Night("served", "unasked", "Nothing was measured.", name, name, time.monotonic() - began, figures)

    def _seeded(self, seed: int) -> NightOptions:
        return replace(self._options, sft=replace(self._options.sft, seed=seed))

    def _staged(self, seed: int, stages: tuple[Stage, ...]) -> NightOptions:
        """As few pairs are enough as it takes few regions, and steps on sections are small: nights here are short."""
        options = replace(self._seeded(seed), stages=stages)
        return replace(
            options,
            minimum_pairs=max(1, options.minimum_regions // _REGIONS_PER_PAIR),
            held_sections=1,
            preference=replace(options.preference, seed=seed),
            section=replace(_SMALL_STEPS, seed=seed),
        )

    def _split(self, examples: Sequence[Example]) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
        options = self._options
        newest = sorted(examples, key=lambda example: (example.at, example.id))[-options.window :]
        split = split_by_time(newest, later_share=options.later_share, least_later=options.least_later)
        return split.training, split.later


def _short(figures: dict[str, Any], stages: tuple[Stage, ...]) -> dict[str, Any]:
    """The figures without those of every step; of the stages behind sft, those that were asked for."""
    wanted = (
        "usable", "training", "later", "training_tokens", "steps", "planned_steps", "training_seconds", "later_before",
        "later_after", "gain", "gain_lower", "gain_upper", "robust_gain", "robust_gain_lower", "robust_gain_upper",
        "guards", "resumed_at", "old_tasks",
    )  # fmt: skip
    told: dict[str, Any] = {
        stage: {name: value for name, value in figures[stage].items() if name not in ("losses", "steps")}
        | {"steps": _count(figures[stage].get("steps", 0))}
        for stage in stages
        if stage in figures
    }
    return {**{name: figures[name] for name in wanted if name in figures}, **told}


def _count(steps: int | list[Any]) -> int:
    """How many, where a stage tells it or lists them."""
    return steps if isinstance(steps, int) else len(steps)


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
