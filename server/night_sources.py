"""What a night may read: examples, decisions and commits of workspaces whose owner allows recording, as plain values.

It asks the database and git, and knows no model. What always holds: what was recorded with consent is left out once
the consent of its workspace was withdrawn.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from sqlalchemy import Engine

from feedback.changes import Change, changes
from feedback.consent import Consent, list_consents
from feedback.database import Place, find_database
from feedback.decisions import Decided, decided, rewarded
from feedback.examples import Example, load_examples
from feedback.redaction import holds_secret
from index.files import is_secret


def allowed_examples(database: Place) -> list[Example]:
    """The examples in the database, without those of workspaces whose owner has switched consent off since."""
    with _reading(database) as (engine, withdrawn):
        if engine is None:
            return []
        return [example for example in load_examples(engine) if example.workspace not in withdrawn]


def allowed_decisions(database: Place, until: float) -> list[Decided]:
    """The newest decisions of the gate up to a time with outcomes and rewards, oldest first, by the same rule."""
    with _reading(database) as (engine, withdrawn):
        return rewarded(engine, decided(engine, without=withdrawn, until=until)) if engine is not None else []


def allowed_changes(examples: Iterable[Example], until: float) -> list[Change]:
    """What commits before a time changed in the workspaces of these examples, without secret files and secrets."""
    found = []
    for root in sorted({example.workspace for example in examples if example.workspace}):
        found += [
            change
            for change in changes(root, until, skip=is_secret)
            if not holds_secret([change.before, change.after], change.path)
        ]
    return found


@contextmanager
def _reading(place: Place) -> Iterator[tuple[Engine | None, frozenset[str]]]:
    """The database, if there is one, and the workspaces whose consent was withdrawn."""
    engine = find_database(place)
    if engine is None:
        yield None, frozenset()
        return
    try:
        yield engine, frozenset(root for root, value in list_consents(place).items() if value is Consent.OFF)
    finally:
        engine.dispose()
