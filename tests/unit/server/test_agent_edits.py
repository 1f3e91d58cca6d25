"""Edits of the agent are undone, changed or left, and each is told once."""

from server.agent_edits import AgentEdits, Fate

BEFORE, AFTER = "import os\nx = 1\n", "import json\nimport os\nx = 1\n"
PLACE = ("/w", "a.py")


def edits() -> AgentEdits:
    made = AgentEdits()
    made.made("a", (BEFORE, AFTER), "offer", PLACE, 100.0)
    return made


def test_an_edit_that_is_taken_back_is_undone_and_told_once():
    made = edits()
    assert made.changed("a", AFTER + "y") is None
    assert made.changed("a", BEFORE) == Fate("agent_undone", "offer", "/w", "a.py", 0.0)
    assert made.changed("a", BEFORE) is None
    assert not made.due(1e9)


def test_an_edit_that_stands_or_whose_surroundings_changed_is_no_news():
    for now in (AFTER, AFTER + "more = 2\n"):
        made = edits()
        assert not made.due(650.0)
        assert made.due(700.0)
        assert made.tick(700.0, {"a": now}) == []
        assert not made.due(1e9)


def test_an_edit_that_was_changed_tells_how_much_is_left():
    (fate,) = edits().tick(700.0, {"a": AFTER.replace("import json", "import yaml")})
    assert fate.kind == "agent_changed"
    assert 0.0 < fate.kept < 1.0


def test_line_ends_that_the_editor_gave_what_was_inserted_are_no_change():
    for before in ("", BEFORE):
        made = AgentEdits()
        made.made("a", (before, AFTER), "offer", PLACE, 100.0)
        assert made.tick(700.0, {"a": AFTER.replace("\n", "\r\n")}) == []
    undone = edits().changed("a", BEFORE.replace("\n", "\r\n"))
    assert undone is not None
    assert undone.kind == "agent_undone"


def test_a_document_that_was_closed_tells_nothing():
    assert edits().tick(700.0, {}) == []


def test_only_so_many_are_followed():
    made = AgentEdits()
    for number in range(200):
        made.made(str(number), (BEFORE, AFTER), "offer", PLACE, 100.0)
    assert made.changed("0", BEFORE) is None
    assert made.changed("199", BEFORE) is not None
