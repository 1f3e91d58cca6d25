"""A session that ends, however it ends, leaves its facts in the database."""

import asyncio
import uuid

import pytest

from feedback.database import find_database
from feedback.history import show
from feedback.records import Decision, Outcome, Suggestion
from feedback.regions import Edit
from inkling import folders
from server.session import Session
from tests.unit.server.conftest import WORKSPACE

URI = "file:///home/me/project/a.py"


def accept(session: Session) -> str:
    """Offer something in a document and take it over; the suggestion's id."""
    now, id = session.learning.clock.now(), uuid.uuid4().hex
    made = Suggestion(id, now, WORKSPACE, "a.py", "python", 1, 0, 4, "x = ", "", "foo()", (), (), "smol", None, 0.01)
    session.learning.offered(made, Decision(id, now, True, 0.5, 1.0, "rule-balanced"), URI, 4, "x = ")
    session.learning.changed(URI, [Edit(4, 4, "foo()")], 2, "x = foo()")
    return id


def outcome(id: str) -> Outcome | None:
    engine = find_database(folders.feedback_database())
    assert engine is not None
    try:
        return show(engine, id).outcome
    finally:
        engine.dispose()


def test_what_was_accepted_just_before_the_client_vanished_is_recorded(session: Session):
    async def until_it_vanishes() -> str:
        session.start()
        return accept(session)

    id = asyncio.run(until_it_vanishes())
    session.close_at_once()
    found = outcome(id)
    assert found is not None
    assert found.kind == "accepted"
    assert session.learning.recorder.status().queued == 0


def test_a_part_that_cannot_be_ended_keeps_no_other_from_ending(session: Session, monkeypatch: pytest.MonkeyPatch):
    ended: list[str] = []

    def broken() -> None:
        raise OSError("the disk is gone")

    with monkeypatch.context() as patched:
        patched.setattr(session.learning, "close", broken)
        patched.setattr(session.context, "close", broken)
        patched.setattr(session.engine, "close", lambda: ended.append("engine"))
        session.close_at_once()
        session.close_at_once()
    session.learning.close()
    assert ended == ["engine"]
