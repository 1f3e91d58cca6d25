"""Old tasks: code that is none of the user's, which a candidate must read about as well as what is served.

It is the standard library of the Python that runs, which is there on every machine: read and cut as text, never run.
What always holds: the same Python gives the same cursors; those that a candidate is measured on are in other packages
than those that a night looks at while it trains; a network that reads them no better than by chance has nothing to
forget.
"""

import math
from collections.abc import Callable, Sequence
from functools import cache
from itertools import zip_longest
from random import Random
from typing import Any

import numpy as np

from feedback.examples import Example
from model.evaluation.comparison import Guard, Measured, measure
from model.evaluation.completion_spans import spans
from model.evaluation.packages import SourcePackage
from model.evaluation.replay_sources import general_packages, old_packages
from model.training.dataset import TrainingSequence

COUNT = 24
_SMALLEST = 600  # characters of a file
Look = Callable[[], tuple[list[Guard], dict[str, Any]]]
_LEAST_STRENGTH = 0.25  # of an adapter: with less of it, next to nothing of what it learned is left
_MOST_LOOKS = 3
_GROWTH = 1.5  # the exponent by which forgetting was seen to grow with the strength, 1.5 to 4 (docs/benchmarks.md)
_SURE = 0.95  # of the strength that would forget exactly what is allowed


@cache
def old_examples(count: int = COUNT) -> tuple[Example, ...]:
    """Some lines of a function in each of so many files, the packages in turn; fewer where there are fewer."""
    return _examples(old_packages(), count)


@cache
def general_examples(count: int) -> tuple[Example, ...]:
    """The same of other packages, for `model.training.retention`."""
    return _examples(general_packages(), count)


def _examples(packages: Sequence[SourcePackage], count: int) -> tuple[Example, ...]:
    texts = [[file for file in package.files.items() if len(file[1]) >= _SMALLEST] for package in packages]
    found: list[Example] = []
    for path, text in (file for around in zip_longest(*texts) for file in around if file is not None):
        if len(found) == count:
            break
        span = next(iter(spans("lines", text, Random(path))), None)
        if span is not None:
            found.append(
                Example(
                    id=f"old-{path}", at=0.0, workspace="/python", path=path, language="python",
                    prefix=text[: span.start], suffix=text[span.stop :], target=text[span.start : span.stop],
                    offered="", outcome="ignored", reward=0.0,
                )
            )  # fmt: skip
    return tuple(found)


def settled_strength(model: Any, look: Look) -> tuple[list[Guard], dict[str, Any], float]:
    """What `look` tells of the LoRA in `model` (see `still_known`), and how much of its strength that has.

    One that forgot too much is taken back, for good, to the share of itself that forgets as much as is allowed: between
    a network and what fine-tuning made of it, most of what was learned outlives most of what was forgotten (Wortsman et
    al. 2022, "Robust fine-tuning of zero-shot models"). Where the guard still fails, or would below `_LEAST_STRENGTH`,
    it stays failed. The figures of one that was weakened hold its `strength` and `whole`, the loss at all of it.
    """
    guards, figures = look()
    whole, strength = figures.get("after"), 1.0
    for _ in range(_MOST_LOOKS - 1):
        if not guards or guards[0].passed:
            break
        share = _SURE * (guards[0].bound / guards[0].value) ** (1 / _GROWTH)
        if strength * share < _LEAST_STRENGTH:
            break
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.data.mul_(share)
        strength *= share
        guards, figures = look()
    return guards, figures if strength == 1.0 else {**figures, "whole": whole, "strength": strength}, strength


def still_known(
    model: Any,
    rows: Sequence[TrainingSequence],
    before: Measured,
    device: str,
    bound: float,
    tick: Callable[[int], None] = lambda done: None,
) -> tuple[list[Guard], dict[str, Any]]:
    """The guard on old tasks and the figures of both: `before` is what is served on the same rows, `model` the
    candidate. No guard where there is nothing to compare. `tick` may raise to stop."""
    if not rows:
        return [], {}
    was = _per_token(rows, before)
    chance = math.log(model.config.vocab_size)
    if was >= chance:
        return [], {"skipped": f"a loss of {was:.2f} nats per token is no better than chance, which is {chance:.2f}"}
    now = _per_token(rows, measure(model, rows, device, tick))
    return [old_tasks_guard(was, now, bound)], {"before": was, "after": now}


def old_tasks_guard(before: float, after: float, bound: float) -> Guard:
    """Losses in nats per token. A share of the loss, as how hard old tasks are differs between bases."""
    worse = after / before - 1
    return Guard("old tasks", worse, bound, worse <= bound, f"loss on the standard library rises by <= {bound:.0%}")


def _per_token(rows: Sequence[TrainingSequence], measured: Measured) -> float:
    """Over all tokens of all rows: means of single rows of some tokens would be two thirds noise."""
    return float(np.average(measured.losses, weights=[row.targets for row in rows]))
