"""The record of a night as a page for people: verdict, losses, what was measured, guards, stages, live figures.

Pure: record in, HTML out. It shows numbers, names and dates, no code and no files of the user's. A figure that a record
does not have (an older one, or an imported adapter) is left out.
"""

from collections.abc import Mapping
from html import escape
from typing import Any

from server.charts import Interval, intervals, line
from server.nights.planning import COUNTS
from server.pages import page, plot, table

PAGE_FILE = "record.html"  # beside the record, in the adapter's folder
_STAGES = ("gate", "relevance", "preference", "section")


def record_page(record: Mapping[str, Any], name: str) -> str:
    """The whole page."""
    figures = record.get("figures", {})
    parts = [
        f"<h1>{escape(name)}</h1>",
        f"<p>{escape(str(record.get('reason', 'This adapter came without a record of a night.')))}</p>",
        _facts(record, figures),
        _losses(figures),
        _gain(figures),
        _guards(figures.get("guards", ())),
        _data(figures),
        _stages(figures),
        _live(record.get("live", ())),
        _settings(record),
    ]
    return page(f"Inkling: {name}", "".join(parts))


def _facts(record: Mapping[str, Any], figures: Mapping[str, Any]) -> str:
    steps = f"{figures['steps']} of {figures['planned_steps']}" if "steps" in figures else None
    speed = f"{figures['tokens_per_second']:.0f} tokens/s" if "tokens_per_second" in figures else None
    rows = [
        ("verdict", _words(record, "status", "code")),
        ("base", record.get("base")),
        ("compared with", record.get("champion") or "the base as it came"),
        ("started", record.get("started")),
        ("seconds", record.get("seconds")),
        ("steps", steps),
        ("speed", speed),
    ]
    return table(("", ""), [(label, str(value)) for label, value in rows if value is not None])


def _losses(figures: Mapping[str, Any]) -> str:
    losses = figures.get("losses", ())
    if not losses:
        return ""
    points = [(f"step {number}", float(loss)) for number, loss in enumerate(losses, 1)]
    return plot("Loss in training, nats per target token", line(points, "Loss in training"))


def _gain(figures: Mapping[str, Any]) -> str:
    if figures.get("gain") is None:
        return ""
    gains: list[Interval] = [
        (told, figures.get(f"{name}_lower"), figures[name], figures.get(f"{name}_upper"))
        for name, told in (("gain", "loss"), ("robust_gain", "robust loss, which decides"))
        if name in figures
    ]
    rows = [
        ("loss on later feedback", _number(figures.get("later_before")), _number(figures.get("later_after"))),
        ("targets written whole", _number(figures.get("exact_before")), _number(figures.get("exact_after"))),
        ("margin over wrong targets", _number(figures.get("margin_before")), _number(figures.get("margin_after"))),
    ]
    measured = f"<p>On {figures.get('later')} later examples, with a 95% interval; above zero is better.</p>"
    drawn = intervals(gains, "Gain on later feedback", " nats")
    return plot("Gain on later feedback, nats per token", drawn) + measured + table(("", "before", "after"), rows)


def _guards(guards: Any) -> str:
    rows = [
        (str(guard["name"]), f"{guard['value']:.3g}", str(guard["rule"]), "yes" if guard["passed"] else "no")
        for guard in guards
    ]
    return "<h2>Guards</h2>" + table(("guard", "value", "rule", "held"), rows) if rows else ""


def _data(figures: Mapping[str, Any]) -> str:
    rows = [(label, f"{figures[name]:,}") for name, label in COUNTS.items() if isinstance(figures.get(name), int)]
    rows += [(f"in {language}", f"{count:,}") for language, count in figures.get("languages", {}).items()]
    for side in ("dropped", "dropped_training", "dropped_later", "dropped_pairs"):
        rows += [(f"left out: {why}".replace("_", " "), f"{n:,}") for why, n in figures.get(side, {}).items() if n]
    return "<h2>Data</h2>" + table(("", "count"), rows) if rows else ""


def _stages(figures: Mapping[str, Any]) -> str:
    parts = []
    for stage in _STAGES:
        found = figures.get(stage)
        if not isinstance(found, Mapping):
            continue
        told = f"left out: {found['skipped']}" if "skipped" in found else found.get("reason", "done")
        parts.append(f"<h2>Stage {stage}</h2><p>{escape(str(told or 'done'))}</p>")
        if stage == "preference" and found.get("losses"):
            points = [(f"step {number}", float(loss)) for number, loss in enumerate(found["losses"], 1)]
            parts.append(line(points, "Loss of preference"))
        if stage == "section" and found.get("steps"):
            points = [(f"step {number}", float(step["reward"])) for number, step in enumerate(found["steps"], 1)]
            parts.append(line(points, "Reward of sections"))
            before, after = found.get("held_before", {}), found.get("held_after", {})
            rows = [(name, _number(before[name]), _number(after.get(name))) for name in before]
            parts.append(table(("on sections that were held back", "before", "after"), rows))
    return "".join(parts)


def _live(entries: Any) -> str:
    """What happened once it was served."""
    parts = []
    for entry in entries:
        parts.append(f"<p>{escape(str(entry['decision']))}: {escape(str(entry['reason']))}</p>")
        rows = [
            (str(f["name"]), _number(f["new"]), _number(f["old"]), f"{_number(f['lower'])} to {_number(f['upper'])}")
            for f in entry.get("figures", ())
        ]
        if rows:
            parts.append(table(("in use", "it", "before", "99% interval of the change"), rows))
    return "<h2>In use</h2>" + "".join(parts) if parts else ""


def _settings(record: Mapping[str, Any]) -> str:
    options = record.get("options", {}).get("sft", {})
    rows = [(name.replace("_", " "), str(value)) for name, value in options.items()]
    rows += [(f"version of {name}", str(value)) for name, value in record.get("versions", {}).items()]
    if "data_hash" in record:
        rows.append(("data hash", str(record["data_hash"])[:16]))
    return "<h2>How it was made</h2>" + table(("", ""), rows) if rows else ""


def _words(found: Mapping[str, Any], name: str, more: str) -> str | None:
    if found.get(name) is None:
        return None
    return f"{found[name]} ({found[more]})" if found.get(more) else str(found[name])


def _number(value: Any) -> str:
    return "" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)
