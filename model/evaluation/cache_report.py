"""What the measured losses and times say: gains, the gap that is recovered, ratios, and the figures people look at.

Pure arithmetic on literal numbers; it runs nothing. Losses are nats per token. An interval is the percentile bootstrap
over cases (Efron 1979), all arms resampled together, as the same cases stand behind all of them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inkling.errors import UserError
from model.evaluation.cache_arms import ARMS
from model.evaluation.cache_timing import Timings

RESAMPLES = 2000
Marks = Sequence[Sequence[bool]]
_EVENTS = {
    "keystroke": "one character typed",
    "line": "one character and a line of 12 tokens",
    "edit_here": "a line edited in the middle of the tail",
    "edit_elsewhere": "a document edited in its middle",
    "refresh": "the rest of the tail sees that edit (idle)",
    "swap": "a document swapped for a cached one",
    "cold_from_disk": "after a restart, from disk",
    "cold_documents": "of that, the documents",
    "first_time": "nothing cached",
    "reference_prefill": "transformers: full prefill, any of these",
}


class NoPlotError(UserError):
    """No picture can be drawn."""


@dataclass(frozen=True)
class ArmLosses:
    """One arm: nats of each token of each case's continuation."""

    name: str
    losses: tuple[NDArray[np.float64], ...]


def gap_recovered(none: float, full: float, arm: float) -> float:
    """(none - arm) / (none - full): the share of what the whole context brings. NaN where it brings nothing."""
    return (none - arm) / (none - full) if none > full else math.nan


def arm_figures(arms: Sequence[ArmLosses], elsewhere: Marks, *, seed: int = 0) -> dict[str, dict[str, Any]]:
    """Per arm: `loss`, `elsewhere_loss`, `gain`, `gap_recovered` with `gap_recovered_95`, and more.

    `gain` is the loss without documents in the same place (transformers or ours) minus the arm's. `gap_recovered`
    holds every arm against transformers without documents and with all of them, so that what quantised weights lose
    counts against us; `gap_recovered_same_runtime` divides the arm's own gain by the gain in transformers.
    """
    by_name = {arm.name: arm.losses for arm in arms}
    about = {arm.name: arm for arm in ARMS}
    marks = [np.asarray(one, dtype=bool) for one in elsewhere]
    figures: dict[str, dict[str, Any]] = {}
    for name, losses in by_name.items():
        bare = name.startswith("bare_")
        ours = about[name].where == "inkling"
        first = "bare_none" if bare else "none" if ours else "reference_none"
        strict = ("bare_none", "bare_full") if bare else ("reference_none", "reference_full")
        none = by_name[first]
        found: dict[str, Any] = {"where": about[name].where, "what": about[name].what}
        found["loss"] = _pooled(losses)
        found["elsewhere_loss"] = _pooled([one[mark] for one, mark in zip(losses, marks, strict=True)])
        found["gain"] = _pooled(none) - found["loss"]
        found["elsewhere_gain"] = (
            _pooled([one[mark] for one, mark in zip(none, marks, strict=True)]) - found["elsewhere_loss"]
        )
        if set(strict) <= set(by_name) and name not in strict[:1]:
            reference, full = by_name[strict[0]], by_name[strict[1]]
            gap = _pooled(reference) - _pooled(full)
            found["gap_recovered"] = gap_recovered(_pooled(reference), _pooled(full), found["loss"])
            found["gap_recovered_95"] = _interval(reference, full, losses, seed)
            found["gap_recovered_same_runtime"] = found["gain"] / gap if gap > 0 else math.nan
        figures[name] = found
    return figures


def timing_figures(timings: Timings) -> dict[str, Any]:
    """Per event `p50_ms`, `p95_ms`, `tokens_p50`, `tokens_p95` and `samples`; `decode` in tokens per second."""
    events = {
        event: {
            "p50_ms": 1000 * timings.seconds(event, 50),
            "p95_ms": 1000 * timings.seconds(event, 95),
            "tokens_p50": timings.tokens(event, 50),
            "tokens_p95": timings.tokens(event, 95),
            "samples": len(timings.samples[event]),
        }
        for event in _EVENTS
        if event in timings.samples
    }
    decode = {
        event: {
            "tokens_per_second": timings.rate(event),
            "drafted": timings.drafted[event],
            "accepted": timings.accepted[event],
        }
        for event in ("reference_decode", "decode", "decode_drafts", "decode_edits")
        if event in timings.samples
    }
    drafts = {"compared_tokens": timings.compared, "differing_continuations": timings.differing}
    return {"events": events, "decode": decode, "drafts_against_plain": drafts}


def summary(figures: Mapping[str, Mapping[str, Any]], timings: Timings, served: str) -> dict[str, float]:
    """The figures that the project promises; `served` is the arm of the position scheme that is served.

    `ttft_speedup_p50`: median full prefill in transformers over our median for a typed character. `decode_speedup`:
    our tokens per second over transformers' eager greedy ones, `decode_speedup_edits` with drafts on edits.
    `full_context_gain`, `cache_gain` and `wrong_repo_gain`: loss without documents minus loss with all of them in one
    full prefill in transformers, with them from the cache, and with another package's from the cache.
    """
    plain = timings.rate("reference_decode")

    def figure(arm: str, name: str) -> float:
        return float(figures.get(arm, {}).get(name, math.nan))

    return {
        "ttft_speedup_p50": timings.seconds("reference_prefill", 50) / timings.seconds("keystroke", 50),
        "decode_speedup": timings.rate("decode") / plain,
        "decode_speedup_edits": timings.rate("decode_edits") / plain,
        "full_context_gain": figure("reference_full", "gain"),
        "cache_gain": figure(served, "gain"),
        "wrong_repo_gain": figure("wrong", "gain"),
        "gap_recovered": figure(served, "gap_recovered"),
        "gap_recovered_same_runtime": figure(served, "gap_recovered_same_runtime"),
        "line_ms_p95": 1000 * timings.seconds("line", 95),
    }


def without_nan(value: Any) -> Any:
    """The same with None for every number that is not finite, as JSON knows no NaN."""
    if isinstance(value, Mapping):
        return {name: without_nan(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def event_names() -> Mapping[str, str]:
    """What the events are, for people."""
    return dict(_EVENTS)


def plot(report: Mapping[str, Any], target: Path) -> None:
    """Losses by arm and times by event as a picture. Raises NoPlotError where matplotlib is missing."""
    require_plot(target)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 5.5), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    _plot_losses(left, report["arms"])
    _plot_times(right, report["timing"]["events"])
    settings = report["settings"]
    figure.suptitle(f"{settings['base']}, {', '.join(settings['packages'])}: {settings['cases']} cases", fontsize=10)
    figure.savefig(target, dpi=130)


def _plot_losses(axes: Any, arms: Mapping[str, Any]) -> None:
    """Points, as what matters is the distance between arms and not that to zero."""
    names = list(arms)
    for key, label, marker in (("loss", "all tokens", "o"), ("elsewhere_loss", "names only in other files", "x")):
        points = [(arms[name][key], row) for row, name in enumerate(names) if arms[name][key] is not None]
        if points:
            axes.scatter(*zip(*points, strict=True), marker=marker, label=label)
        for value, row in points:
            axes.annotate(f"{value:.3f}", (value, row), (6, 4), textcoords="offset points", fontsize=7)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_xlabel("loss, nats per token")
    axes.legend(fontsize=8)
    _laid_out(axes)


def _plot_times(axes: Any, events: Mapping[str, Any]) -> None:
    names = [name for name, event in events.items() if event["p50_ms"] is not None]
    for row, name in enumerate(names):
        median, late = events[name]["p50_ms"], events[name]["p95_ms"]
        color = "tab:gray" if name.startswith("reference") else "tab:blue"
        axes.plot([median, max(median, late)], [row, row], color=color, linewidth=1.5)
        axes.plot([median], [row], "o", color=color)
        axes.annotate(f"{median:,.0f} ms", (median, row), (0, 6), textcoords="offset points", fontsize=7)
    axes.set_yticks(range(len(names)), [_EVENTS[name] for name in names], fontsize=8)
    axes.set_xscale("log")
    axes.set_xlabel("ms to the first token: p50, line to p95")
    _laid_out(axes)


def _laid_out(axes: Any) -> None:
    """The first row on top, room for what is written beside the points, and lines to read along."""
    axes.margins(x=0.12, y=0.06)
    axes.invert_yaxis()
    axes.grid(axis="x", which="major", linewidth=0.3)


def require_plot(target: Path) -> None:
    """Raise NoPlotError if no picture can be drawn, or written there: before anything is measured."""
    from importlib.util import find_spec

    if find_spec("matplotlib") is None:
        raise NoPlotError("--plot needs matplotlib: `pip install matplotlib`, or leave --plot out.")
    if not target.resolve().parent.is_dir():
        raise NoPlotError(f"--plot needs a folder that is there: {target.resolve().parent} is not.")


def _pooled(losses: Sequence[NDArray[np.float64]]) -> float:
    """Mean over all tokens of all cases; NaN over none."""
    together = np.concatenate(list(losses)) if losses else np.empty(0)
    return float(together.mean()) if len(together) else math.nan


def _interval(
    none: Sequence[NDArray[np.float64]],
    full: Sequence[NDArray[np.float64]],
    arm: Sequence[NDArray[np.float64]],
    seed: int,
) -> tuple[float, float]:
    """95% interval of the gap recovered; NaN for fewer than two cases, or where the gap itself is in doubt."""
    sums = np.array([[one.sum() for one in losses] for losses in (none, full, arm)])
    count = sums.shape[1]
    if count < 2:
        return math.nan, math.nan
    draws = np.random.default_rng(seed).integers(0, count, (RESAMPLES, count))
    gap = (sums[0] - sums[1])[draws].sum(axis=1)
    gained = (sums[0] - sums[2])[draws].sum(axis=1)
    if (gap <= 0).mean() > 0.025:
        return math.nan, math.nan
    shares = gained[gap > 0] / gap[gap > 0]
    return float(np.quantile(shares, 0.025)), float(np.quantile(shares, 0.975))
