"""Erasing everywhere: the database, the training manifests of adapters, recorded traces, facts that still wait.

An adapter's manifest is its night's record, which names the examples it was trained and measured on. What is erased
leaves the record, and a note stays how many rows the adapter had seen: an adapter cannot unlearn. Always: manifests
go first, so that a run that was cut short can be made again and misses nothing.
"""

import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from feedback.consent import Consents
from feedback.database import Place
from feedback.history import Erased, Selection, erase, ids_of
from feedback.recorder import Recorder
from index.files import is_secret
from model.adapters import RECORD_FILE, Registry, write_atomically

_MANIFESTS = ("training_examples", "later_examples")
_WAIT_SECONDS = 30.0


@dataclass(frozen=True)
class ErasedEverywhere:
    """What went from the database, and how many of the rows each adapter had seen, by its name."""

    rows: Erased
    adapters: dict[str, int]


def store_what_waits(place: Place) -> None:
    """Facts that processes left behind come into the database, so that they can be found there."""
    consents = Consents(place)
    Recorder(place, consents, is_secret).close(_WAIT_SECONDS)
    consents.close()


def erase_everywhere(
    database: Engine, selection: Selection, everything: bool, registry: Registry, traces: Path
) -> ErasedEverywhere:
    """Erase what is meant. Traces cannot be told apart by suggestion: all of them go.

    Raises UserError if nothing says what is meant, RegistryError if an adapter's record cannot be read.
    """
    meant = everything or selection != Selection()
    adapters = forget_examples(registry, set(ids_of(database, selection))) if meant else {}
    rows = erase(database, selection, everything)
    shutil.rmtree(traces, ignore_errors=True)
    return ErasedEverywhere(rows, adapters)


def forget_examples(registry: Registry, ids: set[str]) -> dict[str, int]:
    """Take these examples out of every adapter's manifest; how many each of them had seen."""
    found: dict[str, int] = {}
    for adapter in registry.list():
        record = registry.record(adapter.name)
        seen = {id for name in _MANIFESTS for id in record.get(name, ()) if id in ids}
        if not seen:
            continue
        for name in _MANIFESTS:
            record[name] = [id for id in record.get(name, ()) if id not in seen]
        record["erased"] = [*record.get("erased", ()), {"at": time.time(), "rows": len(seen)}]
        write_atomically(adapter.folder / RECORD_FILE, json.dumps(record, indent=2).encode())
        found[adapter.name] = len(seen)
    return found
