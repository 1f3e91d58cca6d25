"""One night: split by time, train a fresh adapter, measure it on later examples, promote it or say why not.

It gets examples as plain values and knows no database and no editor. What always holds: nothing is promoted that did
not beat the served adapter on later examples with the lower 95% bound above zero and every guard held; a candidate
is kept with its record either way; a night that was killed goes on where its checkpoint stands.
"""

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from feedback.examples import Example
from inkling import __version__
from model.adapters import CONFIG_FILE, RECORD_FILE, RUNS_FOLDER, Adapter, Registry, check_folder, write_atomically
from model.evaluation.comparison import (
    Improvement,
    Measured,
    context_guard,
    distance,
    distance_guard,
    exact_guard,
    improvement,
    measure,
)
from model.shipped import Shipped, shipped
from model.threads import set_threads
from model.training.dataset import data_hash
from model.training.network import load_network
from model.training.night_data import Data, NightOptions, affordable, lacking, prefers, prepare
from model.training.preference import prefer
from model.training.sft import Step, Trained, TrainingCancelledError, train
from model.training.verdict import Verdict, guard_figures, judged, page


@dataclass(frozen=True)
class Progress:
    """Where a night stands. `stage`: gate, prepare, measure, train, judge. `loss` is None outside training."""

    stage: str
    done: int
    total: int
    message: str
    loss: float | None = None
    seconds_left: float | None = None


Report = Callable[[Progress], None]


def run_night(
    examples: Sequence[Example],
    *,
    base: str,
    base_folder: Path,
    registry: Registry,
    anchor: Shipped | None = None,
    options: NightOptions | None = None,
    gate: Mapping[str, Any] | None = None,
    progress: Report = lambda step: None,
    cancelled: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.monotonic,
    promote: Callable[[str], object] | None = None,
) -> Verdict:
    """Run the night on the base weights in `base_folder`, named `base` in the registry.

    `anchor` is the adapter that every other one is served on, and so is trained on; by default the shipped one.
    `gate` is what the gate's stage came to, for the record (`model.training.gate`). `clock` counts the seconds that
    are spent from the budget. `promote` serves a candidate of this name; by default as champion, at once. One night at
    a time per registry: `server.night` holds the lock.

    Raises RegistryError before any work if the registry is damaged, TrainingCancelledError if `cancelled()` became
    true (the same call goes on from the checkpoint), TrainingDivergedError if the loss is not a number any more.
    """
    options = options or NightOptions()
    started = time.time()
    began = clock()
    champion = registry.champion(base)
    progress(Progress("prepare", 0, len(examples), f"Reading {len(examples)} settled regions"))
    anchor = anchor or shipped(base)
    data = prepare(examples, base_folder, anchor, champion, registry, options)
    refusal = lacking(data, options)
    if refusal is not None:
        return refusal
    plan = (
        f"train on {len(data.training)} examples ({data.figures['training_tokens']} tokens), measure on "
        f"{len(data.later)} later ones against {_called(champion)}, within {options.budget_seconds:.0f} s"
    )
    if options.dry_run:
        return Verdict("planned", "dry_run", f"Would {plan}.", None, data.figures)
    key = _run_key(base, anchor, champion, data, options)
    known = _same_night(registry, key)
    if known is not None:
        return Verdict(
            "skipped", "nothing_new", f"Nothing settled since {known}, which saw the same data: use inkling first."
        )

    def watch(stage: str) -> Callable[[int], None]:
        def tick(done: int) -> None:
            if cancelled():
                raise TrainingCancelledError(f"Cancelled while the loss was being measured ({stage}).")
            progress(Progress("measure", done, len(data.later), f"Measuring {stage}: {done} of {len(data.later)}"))

        return tick

    model, device = _load(base_folder, anchor, options)
    data = affordable(model, data, device, options)
    before, before_wrong = _before(model, champion, data, device, watch(_called(champion)))
    measuring = clock() - began
    # The candidate is measured as the champion was, and once more for its distance to the base.
    left = max(1.0, options.budget_seconds - measuring - 1.5 * measuring)
    run_folder = _run_folder(registry, key)

    def step(done: Step) -> None:
        message = f"Training: step {done.done} of {done.planned}, loss {done.loss:.3f}"
        progress(Progress("train", done.done, done.planned, message, done.loss, done.seconds_left))

    share = _SFT_SHARE if prefers(data, options) else 1.0
    tuned, trained = train(
        model,
        data.training,
        options=options.sft,
        budget_seconds=share * left,
        run_folder=run_folder,
        device=device,
        progress=step,
        cancelled=cancelled,
        clock=clock,
    )
    preferred = _preference(tuned, data, options, left - trained.seconds, run_folder, device, progress, cancelled)
    after = measure(tuned, data.later, device, watch("the candidate"))
    after_wrong = measure(tuned, data.wrong, device, watch("the candidate on wrong targets"))
    progress(Progress("judge", 0, 1, "Comparing with what is served"))
    gain = improvement(before.losses, after.losses, seed=options.sft.seed)
    guards = [
        exact_guard(before, after),
        context_guard(before_wrong.losses - before.losses, after_wrong.losses - after.losses, options.context_bound),
        distance_guard(distance(tuned, data.later[-_DISTANCE_EXAMPLES:], device), options.distance_bound),
    ]
    status, code, reason = judged(gain, guards, least_later=options.least_later, against=_called(champion))
    served = registry.champion(base)
    if status == "promoted" and _name(served) != _name(champion):
        status, code = "refused", "champion_changed"
        reason = f"Refused: {_called(served)} became champion while this night ran; run it again."
    figures = {**data.figures, **_figures(gain, trained, before, after), "guards": guard_figures(guards)}
    figures |= {"preference": preferred, "gate": dict(gate) if gate is not None else {"skipped": "not asked for"}}
    record = {
        "base": base,
        "key": key,
        "status": status,
        "code": code,
        "reason": reason,
        "champion": _name(champion),
        "anchor": check_folder(anchor.folder) if anchor is not None else None,
        "started": datetime.fromtimestamp(started, UTC).isoformat(timespec="seconds"),
        "seconds": round(clock() - began, 3),
        "data_hash": data_hash(data.training),
        "training_examples": [sequence.example for sequence in data.training],
        "later_examples": [sequence.example for sequence in data.later],
        "options": asdict(options),
        "versions": {"inkling": __version__, **{name: version(name) for name in ("torch", "transformers", "peft")}},
        "figures": figures,
    }
    candidate = _keep(tuned, run_folder, record, registry, base)
    if status == "promoted":
        (promote or registry.promote)(candidate.name)
    progress(Progress("judge", 1, 1, reason))
    return Verdict(status, code, reason, candidate.name, figures)


_SFT_SHARE = 0.6  # of the time for training, where preference follows
_DISTANCE_EXAMPLES = 32  # enough for a mean over some hundred tokens; each costs two passes


def _preference(
    tuned: Any,
    data: Data,
    options: NightOptions,
    budget_seconds: float,
    run_folder: Path,
    device: str,
    progress: Report,
    cancelled: Callable[[], bool],
) -> dict[str, Any]:
    """Go on with the stage of pairs, or say why it was left out."""
    if "preference" not in options.stages:
        return {"skipped": "not asked for"}
    if not prefers(data, options):
        return {"skipped": f"{len(data.pairs)} pairs, {options.minimum_pairs} are needed"}

    def step(done: int, planned: int, loss: float) -> None:
        progress(Progress("train", done, planned, f"Preference: step {done} of {planned}, loss {loss:.3f}", loss))

    return asdict(
        prefer(
            tuned,
            data.pairs,
            options=options.preference,
            budget_seconds=budget_seconds,
            run_folder=run_folder,
            device=device,
            progress=step,
            cancelled=cancelled,
        )
    )


def _load(base_folder: Path, anchor: Shipped | None, options: NightOptions) -> tuple[Any, str]:
    """The base with its anchor merged in, and the device it is on."""
    import torch

    set_threads(options.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return load_network(base_folder, [anchor.folder] if anchor is not None else [], device=device), device


def _before(
    model: Any, champion: Adapter | None, data: Data, device: str, tick: Callable[[int], None]
) -> tuple[Measured, Measured]:
    """What is served now, on the later examples and on the same with wrong targets. `model` is left bare."""
    if champion is None:
        return measure(model, data.later, device, tick), measure(model, data.wrong, device, tick)
    from peft import PeftModel

    adapted = PeftModel.from_pretrained(model, champion.folder, local_files_only=True)
    figures = measure(adapted, data.later, device, tick), measure(adapted, data.wrong, device, tick)
    adapted.unload()
    return figures


def _run_key(base: str, anchor: Shipped | None, champion: Adapter | None, data: Data, options: NightOptions) -> str:
    """What makes two nights the same: base, anchor, champion, data and training; not how long it may take."""
    below = check_folder(anchor.folder) if anchor is not None else None
    parts: list[Any] = [base, below, _name(champion), data_hash(data.training), data_hash(data.later)]
    parts += [asdict(options.sft), *([asdict(options.preference), len(data.pairs)] if prefers(data, options) else [])]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _run_folder(registry: Registry, key: str) -> Path:
    """Where this night keeps its checkpoint. What earlier nights left that were never finished is removed."""
    runs, mine = registry.folder / RUNS_FOLDER, key[:16]
    for other in runs.iterdir() if runs.exists() else ():
        if other.name != mine:
            shutil.rmtree(other)
    return runs / mine


def _same_night(registry: Registry, key: str) -> str | None:
    """The adapter whose night was this one. Measuring the same data again and again would promote luck one day."""
    return next((each.name for each in registry.list() if registry.record(each.name).get("key") == key), None)


def _figures(gain: Improvement, trained: Trained, before: Measured, after: Measured) -> dict[str, Any]:
    return {
        "steps": trained.steps,
        "planned_steps": trained.planned,
        "resumed_at": trained.resumed_at,
        "first_loss": trained.losses[0],
        "last_loss": float(np.mean(trained.losses[-3:])),
        "losses": [round(loss, 4) for loss in trained.losses],
        "training_seconds": trained.seconds,
        "tokens_per_second": trained.tokens_per_second,
        "later_before": gain.before,
        "later_after": gain.after,
        "gain": gain.mean,
        "gain_lower": _finite(gain.lower),
        "gain_upper": _finite(gain.upper),
        "exact_before": int(before.exact.sum()),
        "exact_after": int(after.exact.sum()),
    }


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _keep(tuned: Any, run_folder: Path, record: dict[str, Any], registry: Registry, base: str) -> Adapter:
    """Write adapter and record into the run folder, then move them into the registry as one candidate."""
    finished = run_folder / "adapter"
    shutil.rmtree(finished, ignore_errors=True)  # a night that was killed here left a part of it
    tuned.save_pretrained(finished)
    config = json.loads((finished / CONFIG_FILE).read_text())
    config["base_model_name_or_path"] = base  # a name, where peft wrote this machine's folder
    write_atomically(finished / CONFIG_FILE, (json.dumps(config, indent=2, sort_keys=True) + "\n").encode())
    (finished / "README.md").unlink(missing_ok=True)  # peft's form for a model hub; record.md takes its place
    write_atomically(finished / "record.md", page(record).encode())
    write_atomically(finished / RECORD_FILE, (json.dumps(record, indent=2) + "\n").encode())
    candidate = registry.add_candidate(finished, base=base)
    shutil.rmtree(run_folder)
    return candidate


def _name(adapter: Adapter | None) -> str | None:
    return adapter.name if adapter is not None else None


def _called(adapter: Adapter | None) -> str:
    return adapter.name if adapter is not None else "the base as it came"
