"""What losses and texts of the completion measurement say: figures by task and arm, and those that people look at.

Pure arithmetic on numbers and texts; it runs nothing. Losses are nats per token over all tokens together. An interval
is the percentile bootstrap over cases (Efron 1979), the arms of a figure resampled together; where cases come in groups
that were treated as one, groups are drawn first and cases within them (Davison & Hinkley 1997, section 3.8).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

from model.evaluation.completion_arms import ADAPTER, ARMS, BASE
from model.evaluation.completion_cases import CompletionCase
from model.evaluation.completion_spans import TASKS
from model.evaluation.completion_writing import Times

RESAMPLES = 2000
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Reading:
    """An arm at one cursor: nats of all tokens of the middle, how many those are, and what was written, if it was."""

    nats: float
    tokens: int
    text: str | None = None


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95% interval; NaN where nothing was measured, the interval also for fewer than two cases."""

    value: float = math.nan
    lower: float = math.nan
    upper: float = math.nan


Readings = Mapping[str, Sequence[Reading]]  # by arm, in the order of the cases


def estimate(
    columns: Sequence[Sequence[float]], formula: Callable[..., Any], seed: int = 0, groups: Sequence[str] = ()
) -> Estimate:
    """A figure that `formula` makes of the sums of columns, each with one number per case.

    `formula` takes floats or arrays of them. Resamples in which it is not finite are left out of the interval; it is
    NaN where these are more than one in forty. `groups`: the group of each case; without two of them cases are drawn.
    """
    table = np.array(columns, dtype=np.float64)
    count = table.shape[1]
    if not count:
        return Estimate()
    with np.errstate(invalid="ignore", divide="ignore"):
        value = float(formula(*table.sum(axis=1)))
        found = np.asarray(formula(*_resampled(table, groups, np.random.default_rng(seed))), dtype=np.float64)
    finite = found[np.isfinite(found)]
    if count < 2 or len(finite) < 0.975 * RESAMPLES or not math.isfinite(value):
        return Estimate(value)
    return Estimate(value, float(np.quantile(finite, 0.025)), float(np.quantile(finite, 0.975)))


def _resampled(table: Array, groups: Sequence[str], draw: np.random.Generator) -> Array:
    """The sums of the columns in every resample: [columns, RESAMPLES]."""
    count = table.shape[1]
    members = [np.flatnonzero(np.array(groups) == group) for group in dict.fromkeys(groups)]
    if len(members) < 2:
        return table[:, draw.integers(0, count, (RESAMPLES, count))].sum(axis=2)
    sums = np.zeros((len(table), RESAMPLES))
    for chosen in draw.integers(0, len(members), (len(members), RESAMPLES)):
        for number, cases in enumerate(members):
            here = np.flatnonzero(chosen == number)
            drawn = cases[draw.integers(0, len(cases), (len(here), len(cases)))]
            sums[:, here] += table[:, drawn].sum(axis=2)
    return sums


def exact(text: str, middle: str) -> bool:
    """Whether the text is the middle, blanks at its end aside."""
    return text.rstrip() == middle.rstrip()


def similarity(text: str, middle: str) -> float:
    """1 - Levenshtein distance / length of the longer one, blanks at the end aside. From 0 to 1."""
    return float(Levenshtein.normalized_similarity(text.rstrip(), middle.rstrip()))


def mask_gap(alone: Any, masked: Any, full: Any) -> Any:
    """1 - (alone - masked) / (alone - full): the share of context's gain that the document mask loses.

    Losses, or sums of nats over the same tokens, as floats or arrays. NaN where full attention gains nothing.
    """
    gain = np.subtract(alone, full)
    return np.where(gain > 0, 1 - np.subtract(alone, masked) / np.where(gain > 0, gain, 1.0), math.nan)


def task_figures(cases: Sequence[CompletionCase], readings: Readings, seed: int = 0) -> dict[str, Any]:
    """By task and over `all`: `cases`, `tokens`, `copied` (middles that a document spells), and `arms`.

    Each arm has `loss`, and where texts were written `em` and `similarity`, each with an interval `..._95`.
    """
    found = {}
    for task in (*TASKS, "all"):
        chosen = [index for index, case in enumerate(cases) if task in (case.task, "all")]
        first = next(iter(readings.values()))
        found[task] = {
            "cases": len(chosen),
            "tokens": sum(first[index].tokens for index in chosen),
            "copied": sum(cases[index].copied for index in chosen),
            "arms": {
                arm.name: _arm(
                    [cases[index] for index in chosen], [readings[arm.name][index] for index in chosen], seed
                )
                for arm in ARMS
                if arm.name in readings
            },
        }
    return found


def summary(
    cases: Sequence[CompletionCase],
    readings: Readings,
    humaneval: Mapping[str, Sequence[bool]],
    seed: int = 0,
) -> dict[str, Any]:
    """The figures that the project promises, each with its interval as `..._95`, and how many cursors they stand on.

    `base_loss`, `adapter_loss`: of all middles with documents; the base from left to right under full attention, the
    adapter filling in under the document mask. `base_em`, `adapter_em`: of single lines, likewise.
    `left_to_right_loss_change`: adapter minus base without documents and suffix. `humaneval`: exact or not per cursor,
    by `base` and `adapter`.
    """
    none: list[float] = [math.nan] * len(cases)

    def nats(arm: str) -> list[float]:
        return [reading.nats for reading in readings[arm]] if arm in readings else none

    def lines(arm: str) -> list[float]:
        chosen = zip(cases, readings.get(arm, ()), strict=False)
        return [float(exact(reading.text or "", case.middle)) for case, reading in chosen if case.task == "line"]

    tokens = [float(reading.tokens) for reading in next(iter(readings.values()))]
    figures = {
        "base_loss": estimate([nats(BASE), tokens], _per_token, seed),
        "adapter_loss": estimate([nats(ADAPTER), tokens], _per_token, seed),
        "base_em": _share(lines(BASE), seed),
        "adapter_em": _share(lines(ADAPTER), seed),
        "mask_gap": estimate([nats("adapter"), nats(ADAPTER), nats("adapter_documents_plain")], mask_gap, seed),
        "humaneval_single_line_em": _share([float(one) for one in humaneval.get("adapter", ())], seed),
        "base_humaneval_single_line_em": _share([float(one) for one in humaneval.get("base", ())], seed),
        "left_to_right_loss_change": estimate(
            [nats("adapter_left_to_right"), nats("base"), tokens],
            lambda adapter, base, count: (adapter - base) / count,
            seed,
        ),
    }
    found: dict[str, Any] = {name: figure.value for name, figure in figures.items()}
    found |= {f"{name}_95": [figure.lower, figure.upper] for name, figure in figures.items()}
    found["cases"] = len(cases)
    found["single_line_cases"] = sum(case.task == "line" for case in cases)
    found["middle_tokens"] = int(sum(tokens))
    found["humaneval_cases"] = len(humaneval.get("base", ()))
    return found


def latency_figures(times: Sequence[Times]) -> dict[str, Any]:
    """`cold` (nothing cached) and `keystroke` (one more character): `p50_ms` and `p95_ms`; and `samples`."""
    found: dict[str, Any] = {"samples": len(times)}
    for name in ("cold", "keystroke"):
        seconds = [getattr(one, name) for one in times]
        found[name] = {
            f"p{percent}_ms": 1000 * float(np.percentile(seconds, percent)) if seconds else math.nan
            for percent in (50, 95)
        }
    return found


def _arm(cases: Sequence[CompletionCase], readings: Sequence[Reading], seed: int) -> dict[str, Any]:
    loss = estimate([[one.nats for one in readings], [float(one.tokens) for one in readings]], _per_token, seed)
    found: dict[str, Any] = {"loss": loss.value, "loss_95": [loss.lower, loss.upper]}
    written = [(one.text, case.middle) for one, case in zip(readings, cases, strict=True) if one.text is not None]
    if written:
        for name, measure in (("em", exact), ("similarity", similarity)):
            share = _share([float(measure(text, middle)) for text, middle in written], seed)
            found |= {name: share.value, f"{name}_95": [share.lower, share.upper]}
    return found


def _share(values: Sequence[float], seed: int) -> Estimate:
    """The mean."""
    return estimate([values, [1.0] * len(values)], _per_token, seed)


def _per_token(total: Any, count: Any) -> Any:
    return total / count
