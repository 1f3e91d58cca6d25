"""Figures over time for people: offers, acceptance, retained characters, by day, language and model; latency; reports.

Reads the newest days only, row by row, so that years of history cost nothing. Days are those of this machine's clock.
Always: a rate without anything to rate is None, never 0.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Engine, and_, func, select

from feedback import schema
from feedback.decisions import Bin, calibration, calibration_error, decided

_NEUTRAL = ("superseded", "invalidated")
_TAKEN = ("accepted", "partial")
_DAY = 86_400.0


@dataclass
class Tally:
    """Counts of one day, language or model."""

    offers: int = 0
    shown: int = 0
    decided: int = 0
    taken: int = 0
    retained: float = 0.0  # characters

    @property
    def acceptance(self) -> float | None:
        return self.taken / self.decided if self.decided else None

    def values(self) -> dict[str, Any]:
        return {**vars(self), "acceptance": self.acceptance}


@dataclass
class Insights:
    """Everything that the page shows. Latencies are in seconds, from request to answer."""

    days: dict[date, Tally] = field(default_factory=dict)
    languages: dict[str, Tally] = field(default_factory=dict)
    models: dict[str, Tally] = field(default_factory=dict)
    outcomes: Counter[str] = field(default_factory=Counter)
    latency: dict[str, float] = field(default_factory=dict)  # by percentile: p50, p95, p99
    latency_by_day: dict[date, float] = field(default_factory=dict)  # medians
    calibration: list[Bin] = field(default_factory=list)
    calibration_error: float | None = None
    reports: dict[str, int] = field(default_factory=dict)  # "accepted as accepted": count
    signals: dict[str, int] = field(default_factory=dict)

    def values(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "days": {day.isoformat(): tally.values() for day, tally in self.days.items()},
            "languages": {name: tally.values() for name, tally in self.languages.items()},
            "models": {name: tally.values() for name, tally in self.models.items()},
            "outcomes": dict(self.outcomes),
            "latencySeconds": self.latency,
            "latencySecondsByDay": {day.isoformat(): value for day, value in self.latency_by_day.items()},
            "calibration": [vars(one) for one in self.calibration],
            "calibrationError": self.calibration_error,
            "reports": self.reports,
            "signals": self.signals,
        }


def insights(database: Engine, now: float, days: int = 30) -> Insights:
    """The figures of the last so many days, today included."""
    today = datetime.fromtimestamp(now).date()
    first = today - timedelta(days=days - 1)
    since = datetime(first.year, first.month, first.day).timestamp()
    found = Insights(days={first + timedelta(days=number): Tally() for number in range(days)})
    languages: dict[str, Tally] = defaultdict(Tally)
    models: dict[str, Tally] = defaultdict(Tally)
    seconds: dict[date, list[float]] = defaultdict(list)
    s, d, o = schema.suggestions.c, schema.decisions.c, schema.outcomes.c
    kept = _last_survival()
    with database.connect() as connection:
        rows = connection.execution_options(yield_per=2000).execute(
            select(s.at, s.language, s.base, s.adapter, s.seconds, d.shown, o.kind, o.length, kept.c.kept)
            .outerjoin(schema.decisions, d.suggestion == s.id)
            .outerjoin(schema.outcomes, o.suggestion == s.id)
            .outerjoin(kept, kept.c.suggestion == s.id)
            .where(s.at >= since)
        )
        for at, language, base, adapter, took, shown, kind, length, share in rows:
            day = datetime.fromtimestamp(at).date()
            seconds[day].append(took)
            if kind is not None:
                found.outcomes[kind] += 1
            model = f"{base} + {adapter}" if adapter else base
            for tally in (found.days.setdefault(day, Tally()), languages[language], models[model]):
                _count(tally, shown is not False, kind, length, share)
        found.reports = _reports(connection, since)
        found.signals = _signals(connection, since)
    found.languages = _largest_first(languages)
    found.models = _largest_first(models)
    everything = sorted(value for values in seconds.values() for value in values)
    found.latency = {f"p{share}": _percentile(everything, share / 100) for share in (50, 95, 99) if everything}
    found.latency_by_day = {day: _percentile(sorted(values), 0.5) for day, values in sorted(seconds.items())}
    found.calibration = calibration(decided(database))
    found.calibration_error = calibration_error(found.calibration)
    return found


def _count(tally: Tally, shown: bool, kind: str | None, length: int | None, kept: float | None) -> None:
    tally.offers += 1
    tally.shown += shown
    if kind is None or kind in _NEUTRAL or not shown:
        return
    tally.decided += 1
    if kind in _TAKEN:
        tally.taken += 1
        tally.retained += (length or 0) * (1.0 if kept is None else kept)


def _last_survival() -> Any:
    """What was left at the last look, by suggestion."""
    v = schema.survival.c
    last = select(v.suggestion, func.max(v.age).label("age")).group_by(v.suggestion).subquery()
    return (
        select(v.suggestion, v.kept).join(last, and_(last.c.suggestion == v.suggestion, last.c.age == v.age)).subquery()
    )


def _reports(connection: Any, since: float) -> dict[str, int]:
    r = schema.reports.c
    rows = connection.execute(
        select(r.reported, r.inferred, func.count()).where(r.at >= since).group_by(r.reported, r.inferred)
    )
    return {f"{reported} as {inferred}": count for reported, inferred, count in rows}


def _signals(connection: Any, since: float) -> dict[str, int]:
    g = schema.signals.c
    rows = connection.execute(select(g.kind, func.count()).where(g.at >= since).group_by(g.kind))
    return {kind: count for kind, count in rows}  # noqa: C416 - rows are no pairs to a type checker


def _largest_first(tallies: dict[str, Tally]) -> dict[str, Tally]:
    return dict(sorted(tallies.items(), key=lambda item: -item[1].offers))


def _percentile(ordered: list[float], share: float) -> float:
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]
