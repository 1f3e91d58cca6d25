"""Decisions of the gate with what came of them, read for fitting, for judging other gates and for calibration."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Engine, select, true

from feedback import schema
from feedback.reading import read
from feedback.records import Decision, OutcomeKind, group_of

_TAKEN = ("accepted", "partial", "typed_through")
_REFUSED = ("rejected", "ignored")


@dataclass(frozen=True)
class Decided:
    """A decision; `outcome` is None where nothing was shown or nothing is known yet, `reward` where none was read.

    `group`: decisions of one file and day are alike.
    """

    decision: Decision
    outcome: OutcomeKind | None
    reward: float | None = None
    group: str = ""

    @property
    def taken(self) -> bool | None:
        """True if the user wanted the text, False if not, None where that cannot be said."""
        if self.outcome in _TAKEN:
            return True
        return False if self.outcome in _REFUSED else None


@dataclass(frozen=True)
class Bin:
    """Decisions with a p(accept) in a range: what was promised on average, and what came."""

    promised: float
    taken: float
    count: int


def decided(
    database: Engine, limit: int = 20_000, without: Collection[str] = (), until: float | None = None
) -> list[Decided]:
    """The newest decisions, oldest of them first, save those in the workspaces `without`.

    `until`: those from later (Unix seconds), of a clock that was ahead, are left out too.
    """
    d, o = schema.decisions, schema.outcomes
    with database.connect() as connection:
        rows = connection.execute(
            select(d, o.c.kind, schema.suggestions.c.workspace, schema.suggestions.c.path)
            .outerjoin(o, o.c.suggestion == d.c.suggestion)
            .join(schema.suggestions, schema.suggestions.c.id == d.c.suggestion)
            .where(schema.suggestions.c.workspace.not_in(list(without)))
            .where(d.c.at <= until if until is not None else true())
            .order_by(schema.suggestions.c.at.desc())
            .limit(limit)
        ).mappings()
        found = []
        for row in rows:
            values = dict(row)
            kind, group = values.pop("kind"), group_of(values.pop("workspace"), values.pop("path"), values["at"])
            values["features"] = values["features"] or {}
            found.append(Decided(Decision(**values), kind, group=group))
    return found[::-1]


def rewards_of(database: Engine, ids: Sequence[str]) -> dict[str, float]:
    """The rewards of these suggestions, where they have one."""
    entries = read(database, schema.suggestions.c.id.in_(ids))
    return {entry.id: value.total for entry in entries if (value := entry.reward) is not None}


def rewarded(database: Engine, decisions: Sequence[Decided]) -> list[Decided]:
    """The same decisions with the rewards of those that were shown, where they have one."""
    rewards = rewards_of(database, [one.decision.suggestion for one in decisions if one.decision.shown])
    return [replace(one, reward=rewards.get(one.decision.suggestion)) for one in decisions]


def calibration(decisions: Sequence[Decided], bins: int = 10) -> list[Bin]:
    """What the gate that decided had promised; only what was shown and is decided counts."""
    return binned(
        (
            (one.decision.p_accept, one.taken)
            for one in decisions
            if one.decision.shown and one.decision.p_accept is not None and one.taken is not None
        ),
        bins,
    )


def binned(pairs: Iterable[tuple[float, bool]], bins: int = 10) -> list[Bin]:
    """Equally wide ranges of p(accept), empty ones left out, from promises and what came of them."""
    held: dict[int, list[tuple[float, bool]]] = {}
    for p, taken in pairs:
        held.setdefault(min(int(p * bins), bins - 1), []).append((p, taken))
    return [
        Bin(sum(p for p, _ in each) / len(each), sum(taken for _, taken in each) / len(each), len(each))
        for _, each in sorted(held.items())
    ]


def calibration_error(bins: Sequence[Bin]) -> float | None:
    """The expected calibration error: the mean gap between promise and outcome, by the number of decisions."""
    total = sum(one.count for one in bins)
    return sum(one.count * abs(one.promised - one.taken) for one in bins) / total if total else None
