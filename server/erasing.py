"""Erasing everywhere: the database, the training manifests of adapters, recorded traces, facts that still wait.

An adapter's manifest is its night's record, which names the examples it was trained and measured on. What is erased
leaves the record, and a note stays how many rows the adapter had seen: an adapter cannot unlearn. Always: manifests
go first, so that a run that was cut short can be made again and misses nothing; and once more behind the rows, for the
adapter of a night that ended meanwhile.
"""

import logging
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from feedback.consent import Consents
from feedback.database import Place, find_database
from feedback.history import Erased, Selection, erase, ids_of
from feedback.recorder import Recorder
from feedback.records import OF_EDITS
from index.files import is_secret
from inkling.folders import data_folder
from model.adapters import Adapter, Registry, RegistryError

log = logging.getLogger(__name__)

MANIFESTS = ("training_examples", "later_examples")  # of a record: ids of suggestions
_WAIT_SECONDS = 30.0


@dataclass(frozen=True)
class ErasedEverywhere:
    """What went from the database, and how many of the rows each adapter had seen, by its name.

    `unreadable`: adapters of which that cannot be told, as their record is damaged. It may still name rows, by ids.
    """

    rows: Erased
    adapters: dict[str, int]
    unreadable: tuple[str, ...] = ()


def store_what_waits(place: Place) -> None:
    """Facts that processes left behind come into the database, so that they can be found there."""
    consents = Consents(place)
    Recorder(place, consents, is_secret, journal=data_folder() / "waiting").close(_WAIT_SECONDS)
    consents.close()


def erase_everywhere(
    database: Engine, selection: Selection, everything: bool, registry: Registry, traces: Path
) -> ErasedEverywhere:
    """Erase what is meant. Traces cannot be told apart by suggestion: all of them go.

    An adapter whose record cannot be read keeps it, and nothing of the rest waits for it. Raises UserError if nothing
    says what is meant.
    """
    meant = everything or selection != Selection()
    ids = set(ids_of(database, selection)) if meant else set()
    adapters = forget_examples(registry, ids)
    rows = erase(database, selection, everything, mixed=OF_EDITS)
    adapters |= forget_examples(registry, ids)
    shutil.rmtree(traces, ignore_errors=True)
    return ErasedEverywhere(
        rows, adapters, tuple(each.name for each in registry.list() if not _readable(registry, each))
    )


def forget_examples(registry: Registry, ids: set[str]) -> dict[str, int]:
    """Take these examples out of every adapter's manifest; how many each of them had seen."""
    readable = [adapter for adapter in registry.list() if _readable(registry, adapter)]
    found = {adapter.name: _forget(registry, adapter.name, ids) for adapter in readable}
    return {name: count for name, count in found.items() if count}


def forget_erased(registry: Registry, adapter: str, place: Place) -> int:
    """Take out of one adapter's manifest what was erased while its night held it in memory; how many rows."""
    seen = _seen(registry.record(adapter))
    if not seen:
        return 0
    left: set[str] = set()
    database = find_database(place)
    if database is not None:
        try:
            left = set(ids_of(database, Selection(ids=tuple(seen))))
        finally:
            database.dispose()
    return _forget(registry, adapter, seen - left)


def _readable(registry: Registry, adapter: Adapter) -> bool:
    try:
        registry.record(adapter.name)
    except RegistryError as error:
        log.warning("the rows that %s had seen cannot be told: %s", adapter.name, error)
        return False
    return True


def _forget(registry: Registry, adapter: str, ids: set[str]) -> int:
    """Take these examples out of the manifest and leave the note; how many were there."""
    gone = 0

    def without(record: dict[str, Any]) -> dict[str, Any]:
        nonlocal gone
        gone = len(_seen(record) & ids)
        if not gone:
            return record
        left = {name: [id for id in record.get(name, ()) if id not in ids] for name in MANIFESTS}
        hashes = {id: row for id, row in record.get("row_hashes", {}).items() if id not in ids}
        erased = [*record.get("erased", ()), {"at": time.time(), "rows": gone}]
        return {**record, **left, "row_hashes": hashes, "erased": erased}

    registry.amend(adapter, without)
    return gone


def _seen(record: Mapping[str, Any]) -> set[str]:
    return {id for name in MANIFESTS for id in record.get(name, ())}
