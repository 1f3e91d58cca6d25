"""Texts do not stay for ever: they go after some days, and earlier where the database grows too large. Numbers stay.

Run now and then by whoever writes. Always: a suggestion loses all of its texts or none, the oldest first; what a
younger suggestion still needs stays, and everything while a night may still learn from it; the database is never locked
for longer than one small batch. Copies from before migrations go once they are as old as texts may be.
"""

import logging
import sqlite3
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Engine, Select, delete, exists, select, text, update

from feedback import schema
from feedback.database import backups, write
from feedback.held import held

log = logging.getLogger(__name__)

_DAY = 86_400.0
_BATCH = 500
_FULL = 0.9  # of the size that is allowed: from there on the oldest texts go
_MOST_BATCHES = 200  # in one run; the next one goes on


@dataclass(frozen=True)
class Keep:
    """For how many days texts are kept (0: for ever), and how large the database may grow (0: as it likes)."""

    days: float = 180.0
    megabytes: float = 1800.0


def prune(database: Engine, keep: Keep, now: float | None = None) -> int:
    """Take the texts away from what is too old, or too much; how many suggestions and signals lost theirs.

    None do while a night holds what it learns from: without them it could not be gone on with.
    """
    now = time.time() if now is None else now
    cutoff = now - keep.days * _DAY if keep.days else float("-inf")
    _drop_backups(database, cutoff)
    if held(now) is not None:
        return 0
    pruned = 0
    for _ in range(_MOST_BATCHES):
        limit = float("inf") if _over(database, keep) else cutoff
        with write(database).begin() as connection:
            found = _prune_before(connection, limit)
        pruned += found
        if found == 0:
            break
    if pruned and keep.megabytes and _file_size(database) > keep.megabytes * 1e6:
        _shrink(database)
    return pruned


def used_bytes(database: Engine) -> int:
    """What the rows and indexes take; pages that are free again are not counted. 0 for a server's database."""
    if database.dialect.name != "sqlite":
        return 0
    with database.connect() as connection:
        pages, free, size = (
            connection.execute(text(f"PRAGMA {name}")).scalar_one()
            for name in ("page_count", "freelist_count", "page_size")
        )
    return int((pages - free) * size)


def erase_texts(connection: Connection, hashes: Iterable[str]) -> None:
    """Delete those of these texts that nothing refers to any more."""
    wanted = sorted(set(hashes))
    for start in range(0, len(wanted), _BATCH):
        some = wanted[start : start + _BATCH]
        unused = [~exists().where(column == schema.texts.c.hash) for column in schema.TEXT_COLUMNS]
        connection.execute(delete(schema.texts).where(schema.texts.c.hash.in_(some), *unused))


def _over(database: Engine, keep: Keep) -> bool:
    return bool(keep.megabytes) and used_bytes(database) > _FULL * keep.megabytes * 1e6


def _prune_before(connection: Connection, limit: float) -> int:
    """One batch of the oldest that have texts and are older than `limit`."""
    s, d, e, g = schema.suggestions, schema.documents, schema.settled, schema.signals
    rows = connection.execute(
        select(s.c.id, s.c.prefix, s.c.suffix, s.c.text)
        .where(s.c.prefix.is_not(None), s.c.at < limit)  # as the index has it
        .order_by(s.c.at)
        .limit(_BATCH)
    ).all()
    ids = [row[0] for row in rows]
    hashes = {hash for row in rows for hash in row[1:] if hash}
    hashes |= _taken(connection, select(d.c.text).where(d.c.suggestion.in_(ids)))
    hashes |= _taken(connection, select(e.c.text).where(e.c.suggestion.in_(ids)))
    connection.execute(update(s).where(s.c.id.in_(ids)).values(prefix=None, suffix=None, text=None))
    connection.execute(delete(d).where(d.c.suggestion.in_(ids)))
    connection.execute(update(e).where(e.c.suggestion.in_(ids)).values(text=None))
    old = connection.execute(
        select(g.c.id, g.c.text).where(g.c.text.is_not(None), g.c.at < limit).order_by(g.c.at).limit(_BATCH)
    ).all()
    connection.execute(update(g).where(g.c.id.in_([row[0] for row in old])).values(text=None))
    erase_texts(connection, hashes | {row[1] for row in old})
    return len(ids) + len(old)


def _taken(connection: Connection, hashes: Select[str]) -> set[str]:
    return {hash for hash in connection.execute(hashes).scalars() if hash}


def _drop_backups(database: Engine, cutoff: float) -> None:
    file = _file(database)
    for copy in backups(file) if file is not None else ():
        if copy.stat().st_mtime < cutoff:
            copy.unlink(missing_ok=True)


def _file_size(database: Engine) -> int:
    file = _file(database)
    return file.stat().st_size if file is not None else 0


def _file(database: Engine) -> Path | None:
    name = database.url.database
    return Path(name) if database.dialect.name == "sqlite" and name else None


def _shrink(database: Engine) -> None:
    """Give the space back, or leave that to the next time where another process reads or the disk is full. VACUUM
    writes the whole file into the log first, so that the log has to be emptied too."""
    connection = database.raw_connection()
    try:
        cursor = connection.cursor()
        try:
            cursor.execute("VACUUM")
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.Error as error:
            log.info("the feedback database could not be made smaller now: %s", error)
        finally:
            cursor.close()
    finally:
        connection.close()
