"""What a night learns from is held until it is over: while it runs, and while it can be gone on with, texts stay.

A file of ids; it knows neither texts nor nights. What always holds: a hold ends by itself after LONGEST; one that
cannot be read holds nothing.
"""

import contextlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from inkling.folders import data_folder

LONGEST = 3 * 86_400.0  # seconds


@dataclass(frozen=True)
class Hold:
    """The examples of a night that learns from what had settled by `until` (Unix seconds)."""

    until: float
    examples: frozenset[str]


def hold(until: float, examples: Iterable[str]) -> None:
    """Hold these, and nothing that was held before. Raises OSError if the disk refuses."""
    file = _file()
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = file.with_suffix(".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
        json.dump({"until": until, "examples": list(examples)}, opened)
    new.replace(file)


def held(now: float) -> Hold | None:
    """What is held; None if nothing is."""
    try:
        found = json.loads(_file().read_text(encoding="utf-8"))
        one = Hold(float(found["until"]), frozenset(found["examples"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return one if 0 <= now - one.until < LONGEST else None


def release() -> None:
    """Hold nothing any more."""
    with contextlib.suppress(OSError):
        _file().unlink()


def _file() -> Path:
    return data_folder() / "held.json"
