"""Training manifests: which adapter was trained or measured on which suggestions, and what of that was erased since.

A manifest is rows beside the suggestions, so that what is erased leaves the manifest in the same moment; that an
adapter had seen it stays as a number. An adapter cannot unlearn: whoever erases is told which adapters to retire.
"""

import time
from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, Engine, Select, func, insert, select

from feedback import schema
from feedback.database import insert_once, write

_BATCH = 500


def note_training(database: Engine, adapter: str, suggestions: Iterable[str]) -> int:
    """Write the manifest of an adapter; how many of the suggestions are (still) stored."""
    written = 0
    with write(database).begin() as connection:
        wanted = list(suggestions)
        for start in range(0, len(wanted), _BATCH):
            ids = wanted[start : start + _BATCH]
            known = connection.execute(select(schema.suggestions.c.id).where(schema.suggestions.c.id.in_(ids)))
            for id in known.scalars().all():
                row = {"adapter": adapter, "suggestion": id, "at": time.time()}
                written += insert_once(connection, schema.trainings, row)
    return written


def manifest(database: Engine, adapter: str) -> list[str]:
    """The suggestions that an adapter has seen and that are still stored."""
    t = schema.trainings.c
    with database.connect() as connection:
        return list(
            connection.execute(select(t.suggestion).where(t.adapter == adapter).order_by(t.suggestion)).scalars()
        )


def erased_rows(database: Engine) -> dict[str, int]:
    """How many of the rows that each adapter had seen were erased afterwards."""
    e = schema.erasures.c
    with database.connect() as connection:
        rows = connection.execute(select(e.adapter, func.sum(e.rows)).group_by(e.adapter).order_by(e.adapter)).all()
    return {adapter: int(count) for adapter, count in rows}


def note_erasure(connection: Connection, chosen: Select[str]) -> dict[str, int]:
    """What is about to be erased, by adapter that saw it; noted for good. Call before the rows go."""
    t = schema.trainings.c
    seen: Sequence[tuple[str, int]] = [
        (adapter, count)
        for adapter, count in connection.execute(
            select(t.adapter, func.count()).where(t.suggestion.in_(chosen)).group_by(t.adapter).order_by(t.adapter)
        )
    ]
    for adapter, count in seen:
        connection.execute(insert(schema.erasures).values(adapter=adapter, at=time.time(), rows=count))
    return dict(seen)
