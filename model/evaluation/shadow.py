"""An adapter on trial, measured in the shadow: on feedback that settled after it was made, beside what it is held
against. Nothing of it is shown to anybody.

What always holds: nothing that its night trained or measured on counts, so that the figures are those of new work.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from feedback.examples import Example
from model.adapters import Registry, Trial
from model.evaluation.comparison import Improvement, improvement, measure
from model.evaluation.live import Figure, LiveVerdict
from model.lineage import fits
from model.shipped import Shipped
from model.training.dataset import encoded, fingerprint
from model.training.network import load_network
from model.training.serving import serving_format

_MOST = 24  # newest examples: each is read twice, which a night can afford before its own work
_LEAST = 8
_MOST_TOKENS = 1024


def shadow(
    trial: Trial,
    registry: Registry,
    base_folder: Path,
    examples: Sequence[Example],
    anchor: Shipped | None = None,
    tick: Callable[[int], None] = lambda done: None,
) -> LiveVerdict | None:
    """None where too little has settled since. `worse` only if the whole 95% interval says so; never `good`, as new
    losses are no use yet. It is judged by the loss that nights train on. `tick` may raise to stop."""
    sides = [registry.get(name) for name in (trial.against, trial.adapter) if name is not None]
    if not all(fits(registry, side, anchor) for side in sides):
        return None  # such an adapter is not served
    record = registry.record(trial.adapter)
    known = {*record.get("training_examples", ()), *record.get("later_examples", ())}
    fresh = _fresh(examples, known, registry.get(trial.adapter).at)
    sequences, _ = encoded(fresh[-_MOST:], serving_format(base_folder, anchor), maximum_tokens=_MOST_TOKENS)
    groups = {example.id: example.group for example in fresh}
    if len(sequences) < _LEAST:
        return None
    below = [anchor.folder] if anchor is not None else []
    losses = []
    for name in (trial.against, trial.adapter):
        folders = [*below, registry.get(name).folder] if name is not None else below
        losses.append(measure(load_network(base_folder, folders), sequences, tick=tick).robust)
    return _verdict(improvement(losses[0], losses[1], [groups[sequence.example] for sequence in sequences]))


def _fresh(examples: Sequence[Example], known: set[str], made: float) -> list[Example]:
    """What settled since `made` and is not `known`, oldest first. A clock that was ahead says nothing of when it was
    made: then all counts whose text its night did not see."""
    if made > time.time():
        seen = {fingerprint(one) for one in examples if one.id in known}
        fresh = [one for one in examples if fingerprint(one) not in seen]
    else:
        fresh = [one for one in examples if one.at > made and one.id not in known]
    return sorted(fresh, key=lambda one: (one.at, one.id))


def _verdict(gain: Improvement) -> LiveVerdict:
    worse = gain.upper < 0
    loss = Figure("robust loss", "", gain.after, gain.before, -gain.mean, -gain.upper, -gain.lower, worse)
    reason = (
        f"on {gain.examples} regions that settled since, its robust loss is {gain.after:.3f} where "
        f"{gain.before:.3f} were usual (95% interval of the change {-gain.upper:+.3f} to {-gain.lower:+.3f})"
    )
    return LiveVerdict("worse" if worse else "waiting", reason, (gain.examples, gain.examples), [loss])
