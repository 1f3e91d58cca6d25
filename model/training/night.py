"""One night: split by time, train a fresh adapter, measure it on later examples, promote it or say why not.

It gets examples as plain values and knows no database and no editor. What always holds: nothing is promoted that did
not beat the served adapter on later examples with the lower 95% bound above zero and every guard held; a candidate
is kept with its record either way; a night that was killed goes on where its checkpoint stands.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from feedback.changes import Change
from feedback.examples import Example
from index.relevance import install
from model.adapters import Adapter, Registry
from model.evaluation.comparison import (
    Guard,
    Measured,
    certainty_guard,
    context_guard,
    distance,
    distance_guard,
    exact_guard,
    improvement,
    knowledge_guard,
    loss_guard,
    measure,
    measure_beside,
)
from model.lineage import fits
from model.shipped import Shipped, shipped
from model.threads import set_threads
from model.training.network import load_for_training
from model.training.night_data import DISTANCE_EXAMPLES, Data, NightOptions, affordable, lacking, prepare
from model.training.night_record import (
    Run,
    each_of,
    figures_of,
    keep,
    name_of,
    run_folder,
    run_key,
    same_night,
    write_adapter,
)
from model.training.night_stages import Machine, outlook, train_stages
from model.training.old_tasks import settled_strength, still_known
from model.training.progress import Progress, Report
from model.training.relevance import night_relevance
from model.training.runners import Cluster
from model.training.sections import Checks
from model.training.sentinel import Sentinel
from model.training.serving import NIGHT_BUDGET
from model.training.sft import TrainingCancelledError
from model.training.verdict import Verdict, guard_figures, judged

_RELEVANCE_SHARE = 0.05  # of the budget, for reading the context that was offered
_WATCHED_SHARE = 0.04  # of the budget, for the sentinel to let either adapter write


def run_night(
    examples: Sequence[Example],
    *,
    base: str,
    base_folder: Path,
    registry: Registry,
    anchor: Shipped | None = None,
    options: NightOptions | None = None,
    gate: Mapping[str, Any] | None = None,
    changes: Sequence[Change] = (),
    checks: Checks | None = None,
    progress: Report = lambda step: None,
    cancelled: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.monotonic,
    promote: Callable[[str], object] | None = None,
    cluster: Cluster | None = None,
    relevance: Path | None = None,
) -> Verdict:
    """Run the night on the base weights in `base_folder`, named `base` in the registry.

    `anchor` is the adapter that every other one is served on, and so is trained on; by default the shipped one.
    `gate` is what the gate's stage came to, for the record (`model.training.gate`). `changes` of commits and `checks`
    are for the section stage. `clock` counts the seconds that are spent from the budget. `promote` serves a
    candidate of this name; by default as champion, at once. `relevance` is the file of the weights by which context is
    chosen, where they are to be learned too. One night at a time per registry: `server.night` holds the
    lock.

    Raises RegistryError before any work if the registry is damaged, TrainingCancelledError if `cancelled()` became
    true (the same call goes on from the checkpoint), TrainingDivergedError if the loss is not a number any more.
    """
    options = options or NightOptions()
    started = time.time()
    began = clock()
    registered = registry.champion(base)
    progress(Progress("prepare", 0, len(examples), f"Reading {len(examples)} settled regions"))
    anchor = anchor or shipped(base)
    # One that was trained on top of something else is not served either: the bare base is what there is to beat.
    champion = registered if registered is not None and fits(registry, registered, anchor) else None
    data = prepare(examples, base_folder, anchor, champion, registry, options, changes)
    refusal = lacking(data, options)
    if refusal is not None:
        return refusal
    plan = (
        f"train on {len(data.training)} examples ({data.figures['training_tokens']} tokens), measure on "
        f"{len(data.later)} later ones against {_called(champion)}, within {options.budget_seconds:.0f} s"
    )
    if options.dry_run:
        return Verdict("planned", "dry_run", f"Would {plan}.", None, {**data.figures, "stages": outlook(data, options)})
    promote = promote or registry.promote
    key = run_key(base, anchor, champion, data, options)
    known = same_night(registry, key, promote)
    if known is not None:
        return known

    def watch(stage: str, total: int) -> Callable[[int], None]:
        def tick(done: int) -> None:
            if cancelled():
                raise TrainingCancelledError(f"Cancelled while the loss was being measured ({stage}).")
            progress(Progress("measure", done, total, f"Measuring {stage}: {done} of {total}"))

        return tick

    model, device = _load(base_folder, anchor, options)
    data = affordable(model, data, device, options)
    reading = clock()
    before, before_wrong, before_old = _before(model, champion, data, device, partial(watch, _called(champion)))
    reading = clock() - reading
    # The candidate is measured as the champion was, and some examples twice more for its distance to the base.
    read, again = (
        sum(len(each.row) for each in rows) for rows in (data.later + data.old, data.later[-DISTANCE_EXAMPLES:])
    )
    spent = clock() - began + reading * (1 + 2 * again / read)
    share = 1 - 2 * _WATCHED_SHARE - (_RELEVANCE_SHARE if relevance is not None else 0.0)
    left = max(1.0, share * options.budget_seconds - spent)
    run = Run(base, key, run_folder(registry, key), champion, anchor, options, started)
    machine = Machine(base_folder, anchor, device, run.folder, progress, cancelled, clock, base, cluster)
    tuned, trained, stages = train_stages(model, data, options, machine, left, checks)
    remembered, old_tasks, strength = settled_strength(
        tuned,
        lambda: still_known(
            tuned, data.old, before_old, device, options.old_bound, watch("the candidate on old tasks", len(data.old))
        ),
    )
    after, after_wrong = measure_beside(tuned, data.later, data.wrong, device, watch("the candidate", len(data.later)))
    gain = improvement(before.losses, after.losses, data.groups, seed=options.sft.seed)
    decisive = improvement(before.robust, after.robust, data.groups, seed=options.sft.seed)
    margins = _margins(data, (before, before_wrong), (after, after_wrong))
    # A part of what was learned from noise forgets little, too; but only true text makes right tokens likelier.
    guards = [
        loss_guard(gain),
        exact_guard(before, after),
        certainty_guard(before, after, options.certainty_loss if strength == 1.0 else 0.0),
        *_context_guards(margins, gain.mean, options, strength),
        distance_guard(distance(tuned, data.later[-DISTANCE_EXAMPLES:], device), options.distance_bound),
        *remembered,
    ]
    write_adapter(tuned, run)
    drifted, behaviour = _watched(data, run, base_folder, watch("what would be offered", len(data.watched)), clock)
    guards += drifted
    seconds = _RELEVANCE_SHARE * options.budget_seconds
    learned = None
    if relevance is not None:
        name = f"night-{int(started)}"
        learned = night_relevance(
            examples, tuned, base_folder, anchor, device, name, seconds, cancelled, clock, relevance
        )
    if cancelled():
        raise TrainingCancelledError("Cancelled before the verdict.")
    progress(Progress("judge", 0, 1, "Comparing with what is served"))
    status, code, reason = judged(gain, decisive, guards, least_later=options.least_later, against=_called(champion))
    if strength < 1.0:
        rise = old_tasks["whole"] / old_tasks["before"] - 1
        reason += f" It has {strength:.0%} of its strength: whole, the loss on the standard library rose by {rise:.1%}."
    served = registry.champion(base)
    if status == "promoted" and name_of(served) != name_of(registered):
        status, code = "refused", "champion_changed"
        reason = f"Refused: {_called(served)} became champion while this night ran; run it again."
    figures = {
        **figures_of(data, gain, decisive, trained, before, after, margins),
        "guards": guard_figures(guards),
        "behaviour": behaviour,
        "old_tasks": {**data.figures["old_tasks"], **old_tasks},
        "gate": dict(gate) if gate is not None else {"skipped": "not asked for"},
        "relevance": learned.plain if learned is not None else {"skipped": "not asked for"},
        **stages,
    }
    said = {"status": status, "code": code, "reason": reason, "figures": figures, "each": each_of(data, before, after)}
    candidate = keep(run, data, said, clock() - began, registry)
    if learned is not None and learned.relevance is not None:
        install(learned.relevance, relevance)
    if status == "promoted":
        promote(candidate.name)
    progress(Progress("judge", 1, 1, reason))
    return Verdict(status, code, reason, candidate.name, figures)


def _load(base_folder: Path, anchor: Shipped | None, options: NightOptions) -> tuple[Any, str]:
    """The base with its anchor merged in, and the device it is on."""
    import torch

    set_threads(options.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return load_for_training(base_folder, [anchor.folder] if anchor is not None else [], device=device), device


def _before(
    model: Any, champion: Adapter | None, data: Data, device: str, watch: Callable[[int], Callable[[int], None]]
) -> list[Measured]:
    """What is served now: on later examples, on the same with wrong targets, on old tasks. `model` is left bare."""

    def look(served: Any) -> list[Measured]:
        later = measure_beside(served, data.later, data.wrong, device, watch(len(data.later)))
        return [*later, measure(served, data.old, device, watch(len(data.old)))]

    if champion is None:
        return look(model)
    from peft import PeftModel

    adapted = PeftModel.from_pretrained(model, champion.folder, local_files_only=True)
    figures = look(adapted)
    adapted.unload()
    return figures


def _margins(data: Data, before: tuple[Measured, Measured], after: tuple[Measured, Measured]) -> dict[str, np.ndarray]:
    """Loss of a wrong target minus that of the true one, per later example; where both are the same text, none."""
    pairs = zip(data.later, data.wrong, strict=True)
    differ = np.array([own.row.tokens != other.row.tokens for own, other in pairs], dtype=bool)
    return {when: (wrong.losses - own.losses)[differ] for when, (own, wrong) in (("before", before), ("after", after))}


def _context_guards(
    margins: Mapping[str, np.ndarray], gain: float, options: NightOptions, strength: float
) -> list[Guard]:
    """What the margins over wrong targets say. Where all targets are one text, there is none that could have changed,
    and knowledge of the context was not shown. A part of a candidate may lose the same part of what it all may."""
    known = knowledge_guard(margins["before"], margins["after"], gain, options.context_share)
    if not len(margins["after"]):
        return [known]
    return [context_guard(margins["before"], margins["after"], options.context_loss * strength), known]


def _watched(
    data: Data, run: Run, base_folder: Path, tick: Callable[[int], None], clock: Callable[[], float]
) -> tuple[list[Guard], dict[str, Any]]:
    """The sentinel's guards and figures on the newest later cursors."""
    options = run.options
    sentinel = Sentinel(
        base_folder, run.anchor, NIGHT_BUDGET, threads=options.threads, bounds=options.drift,
        seconds=_WATCHED_SHARE * options.budget_seconds, clock=clock,
    )  # fmt: skip
    served = run.champion.folder if run.champion is not None else None
    return sentinel.watch(data.watched, served, run.adapter, tick)


def _called(adapter: Adapter | None) -> str:
    return adapter.name if adapter is not None else "the base as it came"
