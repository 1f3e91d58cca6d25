"""What served adapters came to, request by request: kept characters, acceptance, latency; numbers only, no texts.

It reads the newest requests of each adapter and judges nothing. What always holds: a request that is still open is
left out, for every adapter alike.
"""

from dataclasses import dataclass

from sqlalchemy import Engine, Select, and_, func, select

from feedback import schema
from feedback.records import group_of

_TAKEN = ("accepted", "partial")
_UNDECIDED = ("superseded", "invalidated")
_SETTLING_SECONDS = 700.0  # a request is looked at when its last survival is known


@dataclass(frozen=True)
class Request:
    """One request that a model answered. `group`: requests of the same file and day are alike.

    `taken` is None where nothing was decided: it was hidden, or overtaken before the user could see it. `kept` counts
    characters that were taken over and survived the last look, 0 for what was hidden. `seconds`: request to answer.
    """

    group: str
    shown: bool
    taken: bool | None
    kept: float
    seconds: float


def requests_of(
    engine: Engine, base: str, adapter: str | None, *, now: float, since: float = 0.0, newest: int = 5000
) -> list[Request]:
    """The newest requests that `adapter` (None: none of the user's) answered on `base` since then."""
    with engine.connect() as connection:
        rows = connection.execute(_chosen(base, adapter, since, now - _SETTLING_SECONDS, newest))
        return [
            Request(
                group=group_of(workspace, path, at),
                shown=bool(shown),
                taken=None if not shown or kind in _UNDECIDED else kind in _TAKEN,
                kept=float(length) * _share(kept, unreverted) if kind in _TAKEN else 0.0,
                seconds=float(seconds),
            )
            for workspace, path, at, seconds, shown, kind, length, kept, unreverted in rows
            if kind is not None or not shown
        ]


def _share(*survived: float | None) -> float:
    return min((value for value in survived if value is not None), default=1.0)


def _chosen(
    base: str, adapter: str | None, since: float, until: float, newest: int
) -> Select[str, str, float, float, bool, str, int, float, float]:
    s, d, o, v = schema.suggestions.c, schema.decisions.c, schema.outcomes.c, schema.survival.c
    ages = schema.survival.alias("ages").c
    last = select(func.max(ages.age)).where(ages.suggestion == s.id).correlate(schema.suggestions).scalar_subquery()
    return (
        select(s.workspace, s.path, s.at, s.seconds, d.shown, o.kind, o.length, v.kept, v.unreverted)
        .select_from(
            schema.suggestions.join(schema.decisions, d.suggestion == s.id)
            .outerjoin(schema.outcomes, o.suggestion == s.id)
            .outerjoin(schema.survival, and_(v.suggestion == s.id, v.age == last))
        )
        .where(s.base == base, s.adapter == adapter if adapter is not None else s.adapter.is_(None))
        .where(s.at >= since, s.at < until)
        .order_by(s.at.desc())
        .limit(newest)
    )
