"""Facts that a member sent become rows, under that member's name.

It trusts nothing of what comes in: every field is checked for its type, texts are looked through for secrets again,
and a fact counts only for a suggestion of the same member. What always holds: lines are stored all or none; the same
lines sent twice are stored once.
"""

import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import Engine

from feedback.consent import Consent, Consents
from feedback.database import write
from feedback.records import Fact, Settled, Signal, Suggestion
from feedback.store import Prepared, Stored, line_before, prepared, store, workspace_of
from feedback.wire import KINDS
from index.files import is_secret
from inkling.errors import UserError

MOST_LINES = 20_000
LONGEST_TEXT = 200_000  # characters of one text
_LONGEST_NAME = 4_000  # of a path or another short text
_TEXTS = ("prefix", "suffix", "text")

_checked: dict[str, TypeAdapter[Any]] = {name: TypeAdapter(kind) for name, kind in KINDS.items()}


class BadFactsError(UserError):
    """A line is no fact."""


def facts_in(body: bytes) -> list[Prepared]:
    """The facts of a body of lines. Raises BadFactsError with the number of the first line that is none."""
    found = []
    for number, line in enumerate(body.splitlines(), start=1):
        if number > MOST_LINES:
            raise BadFactsError(f"More than {MOST_LINES} lines: send less at once.")
        try:
            values = json.loads(line)
            fact: Fact = _checked[values["kind"]].validate_python(values["fact"])
            _bound(fact)
            found.append(_clean(fact, bool(values["bare"]), max(0, int(values["length"]))))
        except (ValueError, TypeError, KeyError, RecursionError, OverflowError) as error:
            why = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
            raise BadFactsError(f"Line {number} is no fact: {why}.") from error
    return found


def ingest(database: Engine, consents: Consents, member: str, facts: list[Prepared]) -> dict[str, int]:
    """Store them; how many were written, written without their texts, and skipped."""
    counts: Counter[str] = Counter()
    seen: set[str] = set()
    with write(database).begin() as connection:
        for one in facts:
            fact = one.fact
            if isinstance(fact, Suggestion | Signal):
                workspace = f"{member}/{fact.workspace}"
                seen.add(workspace)
                counts[store(connection, replace(one, fact=replace(fact, workspace=workspace))).value] += 1
                continue
            owner = workspace_of(connection, fact.suggestion)
            if owner is None or not owner.startswith(f"{member}/"):
                counts[Stored.SKIPPED.value] += 1
                continue
            if isinstance(fact, Settled) and not one.bare:
                one = prepared(fact, is_secret, line_before(connection, fact.suggestion))
            counts[store(connection, one).value] += 1
    known = consents.all()
    for workspace in sorted(seen - known.keys()):
        consents.set(workspace, Consent.TEAM)
    return {fate.value: counts[fate.value] for fate in Stored}


def _clean(fact: Fact, bare: bool, length: int) -> Prepared:
    """Without texts where the sender took them away, or where they hold a secret after all."""
    if isinstance(fact, Suggestion | Signal) and is_secret(fact.path):
        raise ValueError("it is about a file that is never shared")
    if not bare:  # what a settled text holds is told only with what stands before it: see `ingest`
        return Prepared(fact) if isinstance(fact, Settled) else prepared(fact, is_secret)
    if isinstance(fact, Suggestion):
        fact = replace(fact, prefix="", suffix="", text="", documents=())
    elif isinstance(fact, Settled):
        fact = replace(fact, text="")
    elif isinstance(fact, Signal):
        fact = replace(fact, text=None)
    return Prepared(fact, True, length)


def _bound(fact: object) -> None:
    """Raise ValueError for texts that are too long and numbers that are none."""
    for name, value in _values(fact):
        if isinstance(value, str) and len(value) > (LONGEST_TEXT if name in _TEXTS else _LONGEST_NAME):
            raise ValueError(f"{name} is too long")
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{name} is no number")


def _values(thing: object, name: str = "") -> Iterator[tuple[str, object]]:
    if is_dataclass(thing):
        for field in fields(thing):
            yield from _values(getattr(thing, field.name), field.name)
    elif isinstance(thing, list | tuple):
        for each in thing:
            yield from _values(each, name)
    elif isinstance(thing, dict):
        for key, each in thing.items():
            yield "values", key
            yield from _values(each, "values")
    else:
        yield name, thing
