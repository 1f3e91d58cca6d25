"""The stages that train one adapter, one after the other: sft, preference, sections. Each may leave itself out.

It divides the time and says what each stage came to, as plain values for the record; it measures and promotes nothing.
What always holds: a stage whose data or whose machine does not suffice is skipped with the reason; a night that was
killed goes on in the stage in which it was.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from model.shipped import Shipped
from model.training.jobs import Job
from model.training.kto import judge
from model.training.night_data import Data, NightOptions, how_preferred
from model.training.preference import prefer
from model.training.progress import Progress, Report
from model.training.runners import Cluster
from model.training.section_training import SectionStep, mean_rewards, save_adapter, train_sections
from model.training.sections import Checks, reward_of
from model.training.serving import night_layout
from model.training.sft import Step, Trained, TrainingCancelledError, train
from model.training.tuning import Pace
from model.training.writing import Sample, Writer

_SHARES = {"sft": 0.6, "preference": 0.4, "section": 0.4}  # of the time for training, among those that run
_LEAST_STEPS = 3  # of the section stage: fewer are not worth the loading
_MOST_STEPS = {"cpu": 12, "cuda": 400}


@dataclass(frozen=True)
class Machine:
    """What a night runs on and for. `cancelled` may take its time, as long as `clock` stands still then.

    `cluster`: workers that do the training of sft on the base of this name; without them, or where it is local, this
    process does.
    """

    base_folder: Path
    anchor: Shipped | None
    device: str
    run_folder: Path
    progress: Report
    cancelled: Callable[[], bool] = lambda: False
    clock: Callable[[], float] = time.monotonic
    base: str = ""
    cluster: Cluster | None = None


def train_stages(
    model: Any, data: Data, options: NightOptions, machine: Machine, seconds: float, checks: Checks | None = None
) -> tuple[Any, Trained, dict[str, Any]]:
    """The PEFT model, what sft did, and what each of the other stages did or why it did not."""
    method, why = how_preferred(data, options)
    active = ["sft", *(["preference"] if method else []), *(["section"] if _writes(data, options) is None else [])]
    whole = sum(_SHARES[name] for name in active)
    share = {name: _SHARES[name] / whole * seconds for name in active}

    def step(done: Step) -> None:
        message = f"Training: step {done.done} of {done.planned}, loss {done.loss:.3f}"
        machine.progress(Progress("train", done.done, done.planned, message, done.loss, done.seconds_left))

    sequences = [*data.training, *data.general]
    if machine.cluster is not None and machine.cluster.runner != "local":  # what follows goes on from their checkpoint
        job = Job(machine.base, tuple(sequences), options.sft, share["sft"])
        machine.cluster.train(job, machine.run_folder, step, machine.cancelled)
    tuned, trained = train(
        model,
        sequences,
        options=options.sft,
        budget_seconds=share["sft"],
        run_folder=machine.run_folder,
        device=machine.device,
        progress=step,
        cancelled=machine.cancelled,
        clock=machine.clock,
    )
    preferred: dict[str, Any] = {"skipped": why}
    if method is not None:
        preferred = _preference(tuned, data, options, machine, share["preference"], method)
    sections = _section(tuned, data, options, machine, share.get("section", 0.0), checks)
    return tuned, trained, {"preference": preferred, "section": sections}


def outlook(data: Data, options: NightOptions) -> dict[str, str]:
    """What each stage would do, or why it would be left out, as far as the data tell."""
    method, why = how_preferred(data, options)
    items = len(data.pairs) if method == "dpo" else len(data.judged)
    unwritten = _writes(data, options)
    return {
        "sft": f"would train on {len(data.training)} examples",
        "preference": f"would learn from {items} texts by {method}" if method else f"left out: {why}",
        "section": f"left out: {unwritten}" if unwritten else f"would write {len(data.sections.usable)} sections",
    }


def _preference(
    tuned: Any, data: Data, options: NightOptions, machine: Machine, seconds: float, method: str
) -> dict[str, Any]:
    def step(done: int, planned: int, loss: float) -> None:
        message = f"Preference ({method}): step {done} of {planned}, loss {loss:.3f}"
        machine.progress(Progress("train", done, planned, message, loss))

    chosen = options.preference
    pace = Pace(
        "preference", chosen.learning_rate, chosen.clip, chosen.checkpoint_seconds, seconds, step, machine.cancelled,
        machine.clock,
    )  # fmt: skip
    if method == "dpo":
        done = prefer(
            tuned, data.pairs, options=chosen, pace=pace, run_folder=machine.run_folder, device=machine.device
        )
    else:
        done = judge(
            tuned, data.judged, options=chosen, pace=pace, run_folder=machine.run_folder, device=machine.device
        )
    return asdict(done)


def _writes(data: Data, options: NightOptions) -> str | None:
    """Why sections are not written, as far as the data tell."""
    if "section" not in options.stages:
        return "not asked for"
    usable = len(data.sections.usable)
    if usable < options.minimum_sections:
        return f"{usable} sections, {options.minimum_sections} are needed"
    return None


def _section(
    tuned: Any, data: Data, options: NightOptions, machine: Machine, seconds: float, checks: Checks | None
) -> dict[str, Any]:
    """Group-relative training on all sections but some, by which what was reached is measured."""
    counts = {"sections": len(data.sections.usable), "dropped": dict(data.sections.dropped)}
    if (why := _writes(data, options)) is not None:
        return {"skipped": why, **counts}
    from model.runtimes.torch_runtime import TorchRuntime

    began = machine.clock()
    layout, scheme = night_layout(machine.base_folder, machine.anchor)
    below = [machine.anchor.folder] if machine.anchor is not None else []
    runtime = TorchRuntime(machine.base_folder, below, threads=options.threads, device=machine.device)
    writer = Writer(runtime, layout, scheme)
    usable = data.sections.usable
    held = max(1, min(options.held_sections, len(usable) // 5))
    trained, kept = usable[:-held], usable[-held:]
    pace = _seconds_per_step(writer, data, options, machine, checks)
    left = seconds - (machine.clock() - began)
    fitting = int(left / max(pace, 1e-9)) - 2 * held  # what is held back is written before and after
    if fitting < _LEAST_STEPS:
        told = f"a step takes {pace:.1f} s on this machine ({machine.device}) and {max(left, 0.0):.0f} s are left"
        return {"skipped": f"{told}: at least {_LEAST_STEPS} steps have to fit (--budget)", **counts}

    def load(folder: Path) -> None:
        runtime.load_adapters([*below, folder])

    def step(done: SectionStep) -> None:
        message = f"Sections: step {done.step + 1} of at most {most}, reward {done.reward:.3f}"
        machine.progress(Progress("train", done.step + 1, most, message))

    most = min(fitting, _MOST_STEPS["cuda" if machine.device.startswith("cuda") else "cpu"])
    chosen = options.section
    folder = machine.run_folder / "section"
    save_adapter(tuned, folder)
    load(folder)
    measuring = machine.clock()
    before = mean_rewards(writer, kept, chosen, checks, cancelled=machine.cancelled)
    left -= 2 * (machine.clock() - measuring)  # and once more behind the last step
    made = train_sections(
        tuned, writer, load, trained, layout, scheme,
        options=chosen, budget_seconds=left, most_steps=most, folder=folder, checks=checks, device=machine.device,
        progress=step, cancelled=machine.cancelled, clock=machine.clock,
    )  # fmt: skip
    after = mean_rewards(writer, kept, chosen, checks, cancelled=machine.cancelled)
    return {
        **counts,
        "steps": [asdict(one) for one in made.steps],
        "aside": dict(made.aside),
        "seconds": made.seconds,
        "resumed_at": made.resumed_at,
        "held_sections": held,
        "held_before": dict(before),
        "held_after": dict(after),
    }


def _seconds_per_step(
    writer: Writer, data: Data, options: NightOptions, machine: Machine, checks: Checks | None
) -> float:
    """About what one step takes here.

    A sample is written once, and learning from it costs about as much again; it is checked once, and so is the real
    text of each section. The real text is timed, as a broken sample is not even tested.
    """
    section, chosen = data.sections.usable[0], options.section

    def write() -> None:
        draw = np.random.default_rng(chosen.seed)
        writer.write(section.request, 1, most=chosen.most_tokens, temperature=chosen.temperature, draw=draw)

    def check() -> None:
        reward_of(section, Sample((), section.target, True), checks)

    _, writing, checking = (_timed(work, machine) for work in (write, write, check))  # the first also warms up
    return chosen.sections * (2 * writing * chosen.samples + checking * (chosen.samples + 1))


def _timed(work: Callable[[], None], machine: Machine) -> float:
    """Its seconds. Raises TrainingCancelledError instead of beginning."""
    if machine.cancelled():
        raise TrainingCancelledError("Cancelled while a step of the section stage was timed.")
    began = machine.clock()
    work()
    return machine.clock() - began
