"""An adapter's live figures against those of what was served before: is it worse, may it stay, or is it too early?

It knows requests as numbers and no registry. What always holds: nothing is called worse before both sides have enough
requests, and only where the whole interval says so.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from feedback.live import Request

Status = Literal["waiting", "worse", "good"]
_RESAMPLES = 2000


@dataclass(frozen=True)
class LiveRules:
    """When live figures decide. Intervals are of 99%, as they are looked at again and again.

    `requests`, `decided`, `groups`: the fewest per side for a verdict; `enough`: with so many per side and nothing
    against it an adapter stays; so it does after `days`, as it has already won on later feedback. `slower`: so many
    times the median latency are too many.
    """

    requests: int = 150
    decided: int = 30
    groups: int = 6
    enough: int = 1000
    days: float = 3.0
    slower: float = 1.25
    confidence: float = 0.99
    seed: int = 0


@dataclass(frozen=True)
class Figure:
    """One figure of both sides and their difference (of latency: their ratio), with its interval."""

    name: str
    unit: str
    new: float
    old: float
    difference: float
    lower: float
    upper: float
    worse: bool


@dataclass(frozen=True)
class LiveVerdict:
    """`requests`: how many were counted, new side first."""

    status: Status
    reason: str
    requests: tuple[int, int]
    figures: list[Figure] = field(default_factory=list)

    @property
    def values(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def judge_live(
    new: Sequence[Request], old: Sequence[Request], *, age_days: float, rules: LiveRules | None = None
) -> LiveVerdict:
    """`new`: requests that the adapter on trial answered, `old`: those of what it is held against."""
    rules = rules or LiveRules()
    counts = (len(new), len(old))
    told = f"after {counts[0]} requests against {counts[1]}"
    if min(counts) >= rules.requests and min(_groups(new), _groups(old)) >= rules.groups:
        figures = _figures(new, old, rules)
        if worse := [figure for figure in figures if figure.worse]:
            return LiveVerdict("worse", f"{'; '.join(map(_in_words, worse))}, {told}", counts, figures)
        if min(counts) >= rules.enough:
            return LiveVerdict("good", f"nothing speaks against it {told}", counts, figures)
    else:
        figures = []
    if age_days >= rules.days:
        return LiveVerdict("good", f"nothing spoke against it in {rules.days:g} days, {told}", counts, figures)
    return LiveVerdict("waiting", f"too early to tell, {told}", counts, figures)


def _figures(new: Sequence[Request], old: Sequence[Request], rules: LiveRules) -> list[Figure]:
    found = [_of_means("kept characters per request", "", new, old, lambda one: one.kept, rules)]
    decided = [[one for one in side if one.taken is not None] for side in (new, old)]
    if min(map(len, decided)) >= rules.decided:
        new_decided, old_decided = decided
        found.append(_of_means("accepted", "%", new_decided, old_decided, lambda one: 100.0 * bool(one.taken), rules))
    found.append(_latency(new, old, rules))
    return found


def _of_means(
    name: str,
    unit: str,
    new: Sequence[Request],
    old: Sequence[Request],
    value: Callable[[Request], float],
    rules: LiveRules,
) -> Figure:
    """A mean per request; its difference by the bootstrap over groups, as requests of one file are alike
    (Field & Welsh 2007, "Bootstrapping clustered data")."""
    draws, means = [], []
    for number, side in enumerate((new, old)):
        sums: dict[str, list[float]] = {}
        for one in side:
            held = sums.setdefault(one.group, [0.0, 0.0])
            held[0] += value(one)
            held[1] += 1.0
        table = np.array(list(sums.values()))  # (groups, 2)
        chosen = np.random.default_rng([rules.seed, number]).integers(0, len(table), (_RESAMPLES, len(table)))
        drawn = table[chosen].sum(axis=1)
        draws.append(drawn[:, 0] / drawn[:, 1])
        means.append(float(table[:, 0].sum() / table[:, 1].sum()))
    lower, upper = _interval(draws[0] - draws[1], rules)
    return Figure(name, unit, means[0], means[1], means[0] - means[1], lower, upper, upper < 0)


def _latency(new: Sequence[Request], old: Sequence[Request], rules: LiveRules) -> Figure:
    """The ratio of median seconds."""
    draws, medians = [], []
    for number, side in enumerate((new, old)):
        seconds = np.array([one.seconds for one in side])[:1000]
        chosen = np.random.default_rng([rules.seed, 2 + number]).integers(0, len(seconds), (_RESAMPLES, len(seconds)))
        draws.append(np.maximum(np.median(seconds[chosen], axis=1), 1e-6))
        medians.append(max(float(np.median(seconds)), 1e-6))
    lower, upper = _interval(draws[0] / draws[1], rules)
    ratio = medians[0] / medians[1]
    return Figure("median latency", "x", medians[0], medians[1], ratio, lower, upper, lower > rules.slower)


def _interval(draws: "np.ndarray[Any, np.dtype[np.float64]]", rules: LiveRules) -> tuple[float, float]:
    tail = (1 - rules.confidence) / 2
    return float(np.quantile(draws, tail)), float(np.quantile(draws, 1 - tail))


def _groups(side: Sequence[Request]) -> int:
    return len({one.group for one in side})


def _in_words(figure: Figure) -> str:
    interval = f"99% interval of the change {figure.lower:+.2f} to {figure.upper:+.2f}{figure.unit}"
    if figure.unit == "x":
        interval = f"99% interval of the ratio {figure.lower:.2f} to {figure.upper:.2f}"
        return f"a suggestion takes {1000 * figure.new:.0f} ms, {1000 * figure.old:.0f} ms were usual ({interval})"
    return f"{figure.name} fell from {figure.old:.2f}{figure.unit} to {figure.new:.2f}{figure.unit} ({interval})"
