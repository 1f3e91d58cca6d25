"""`inkling insights`: what the user's suggestions came to, as a local page of plots, or as JSON.

The page is one file without scripts that loads nothing. It names no code and no files: only languages, models, days.
"""

import time
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from inkling.errors import UserError
from server.charts import Interval, Point, bars, calibration, intervals, line
from server.commands.models import AsJson
from server.commands.printing import out, print_json
from server.pages import page as whole_page
from server.pages import plot, table

if TYPE_CHECKING:
    from feedback.insights import Insights, Tally
    from model.adapters import Registry


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(insights)


def insights(
    days: Annotated[int, typer.Option("--days", min=1, max=3660, help="The last so many days.")] = 30,
    output: Annotated[Path | None, typer.Option("--output", help="Write the page here.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write a page of plots about your suggestions: offers, acceptance, what was kept, latency, the gate, nights.

    Examples:

      inkling insights

      inkling insights --days 90 --json
    """
    from feedback.database import find_database
    from feedback.insights import insights as figures
    from inkling.folders import cache_folder
    from server.settings import feedback_place

    database = find_database(feedback_place())
    if database is None:
        raise UserError("Nothing was recorded yet. `inkling consent local` allows it for the current folder.")
    found, held = figures(database, time.time(), days), nights()
    if as_json:
        print_json({**found.values(), "nights": held})
        return
    target = output or cache_folder() / "insights.html"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(page(found, held, days), encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"The page cannot be written to {target} ({error.strerror}): choose another --output."
        ) from error
    out.print(str(target.resolve()), highlight=False, markup=False, soft_wrap=True)


def nights() -> list[dict[str, Any]]:
    """The nights whose adapters are kept, oldest first: what they gained, and their verdicts."""
    from inkling.folders import adapters_folder
    from model.adapters import Registry

    return nights_of(Registry(adapters_folder()))


def nights_of(registry: "Registry") -> list[dict[str, Any]]:
    """The same of one registry."""
    found = []
    for adapter in reversed(registry.list()):
        record = registry.record(adapter.name)
        figures = record.get("figures", {})
        deciding = "robust_gain" if "robust_gain" in figures else "gain"  # of nights before it decided
        found.append(
            {
                "adapter": adapter.name,
                "state": adapter.state,
                "at": adapter.at,
                "verdict": record.get("status"),
                "reason": record.get("reason"),
                "gain": figures.get(deciding),
                "gainLower": figures.get(f"{deciding}_lower"),
                "gainUpper": figures.get(f"{deciding}_upper"),
            }
        )
    return found


def page(found: "Insights", held: Sequence[Mapping[str, Any]], days: int) -> str:
    """The whole page."""
    total = sum(tally.offers for tally in found.days.values())
    intro = (
        f"<h1>What your suggestions came to</h1><p>{total:,} suggestions in the last {days} days. "
        "This page was made on this machine and sent nowhere.</p>"
    )
    return whole_page("Inkling: insights", intro + body(found, held))


def body(found: "Insights", held: Sequence[Mapping[str, Any]]) -> str:
    """Its plots and tables."""
    tallies = [(day.strftime("%b %d"), tally) for day, tally in sorted(found.days.items())]
    shown: list[Point] = [(name, float(tally.shown)) for name, tally in tallies]
    latency: list[Point] = [(day.strftime("%b %d"), 1000 * value) for day, value in found.latency_by_day.items()]
    parts = [
        plot("Suggestions shown per day", bars(shown, "Suggestions shown per day")),
        plot(
            "Accepted, of those that were decided", line([(n, t.acceptance) for n, t in tallies], "Acceptance", top=1)
        ),
        plot("Characters that stayed", bars([(n, t.retained) for n, t in tallies], "Retained characters per day")),
        _table("By language", "language", found.languages),
        _table("By model", "model", found.models),
        plot("Median time to a suggestion", line(latency, "Latency per day", " ms")),
        f"<p>{_latency(found.latency)}</p>",
        _gate(found),
        _reports(found.reports),
        _nights(held),
    ]
    return "".join(parts)


def _table(title: str, first: str, tallies: "Mapping[str, Tally]") -> str:
    rows = [
        (name, f"{t.offers:,}", f"{t.shown:,}", _share(t.acceptance), f"{t.retained:,.0f}")
        for name, t in tallies.items()
    ]
    return f"<h2>{escape(title)}</h2>" + table((first, "made", "shown", "accepted", "characters kept"), rows)


def _latency(latency: Mapping[str, float]) -> str:
    return escape(", ".join(f"{name} {1000 * value:.0f} ms" for name, value in latency.items()) or "Nothing yet.")


def _gate(found: "Insights") -> str:
    points = [(one.promised, one.taken, one.count) for one in found.calibration]
    error = found.calibration_error
    told = "Nothing was decided yet." if error is None else f"Expected calibration error {error:.3f}."
    return plot("What the gate promised, and what was taken", calibration(points, "Calibration")) + f"<p>{told}</p>"


def _reports(reports: Mapping[str, int]) -> str:
    rows = [(name, f"{count:,}") for name, count in sorted(reports.items())]
    return "<h2>What editors reported, and what the edits alone said</h2>" + table(
        ("reported as inferred", "count"), rows
    )


def _nights(held: Sequence[Mapping[str, Any]]) -> str:
    gains: list[Interval] = [
        (str(n["adapter"]), n["gainLower"], n["gain"], n["gainUpper"])
        for n in held
        if None not in (n["gainLower"], n["gain"], n["gainUpper"])
    ]
    rows = [(str(n["adapter"]), str(n["state"]), _gain(n["gain"]), str(n["reason"] or "")) for n in held]
    drawn = intervals(gains, "Gain of nights, with 95% intervals") if gains else ""
    return "<h2>Nights</h2>" + drawn + table(("adapter", "state", "gain", "verdict"), rows)


def _gain(value: float | None) -> str:
    return "" if value is None else f"{value:+.3f}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"
