"""A person sees, takes along and really erases what was stored; training reads the same."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, event, func, select

from feedback import schema
from feedback.consent import Consent, Consents
from feedback.database import open_database
from feedback.examples import load_examples
from feedback.held import hold, release
from feedback.history import Erased, Selection, erase, explanation, export, listing, show, statistics
from feedback.recorder import Recorder
from feedback.records import ContextDocument, Decision, Outcome, Report, Settled, Signal, Suggestion, Survival
from feedback.retention import Keep, prune
from inkling.errors import UserError
from tests.unit.feedback.postgres_server import BOTH_STORES

Make = Callable[..., Suggestion]
pytestmark = BOTH_STORES


@pytest.fixture
def database(place: Path, recorder: Recorder, suggestion: Make) -> Iterator[Engine]:
    """Four suggestions: accepted, rejected, redacted, and one that is not decided yet."""
    facts = [
        suggestion("accepted", at=1.0, text="ACCEPTED()"),
        Decision("accepted", 1, True, 0.9, 1.0, "threshold"),
        Outcome("accepted", 2, "accepted", 10, "client", 1.0),
        Survival("accepted", 7, 5, 1.0),
        Survival("accepted", 32, 30, 0.5),
        Settled("accepted", 40, "ACCEPTED(1)"),
        suggestion("rejected", at=2.0, path="src/deep/b.py", text="REJECTED()", suffix=")  # why\nlast"),
        Decision("rejected", 2, True, 0.4, 1.0, "threshold"),
        Outcome("rejected", 3, "rejected", 0, "dismissed", 1.0),
        Settled("rejected", 20, "other(1))  # why"),
        suggestion("redacted", at=3.0, text="'AKIAIOSFODNN7EXAMPLE'"),
        Outcome("redacted", 4, "ignored", 0, "timeout", 0.7),
        suggestion("open", at=4.0, text="OPEN()"),
    ]
    for fact in facts:
        recorder.record(fact)
    assert recorder.flush(20)
    engine = open_database(place)
    yield engine
    engine.dispose()


def test_statistics_count(database: Engine) -> None:
    counted = statistics(database)
    assert (counted.suggestions, counted.shown, counted.hidden, counted.open) == (4, 2, 0, 1)
    assert counted.outcomes == {"accepted": 1, "rejected": 1, "ignored": 1}
    assert (counted.characters, counted.settled, counted.without_texts) == (10, 2, 1)
    assert (counted.first, counted.last) == (1.0, 4.0)
    assert counted.acceptance == pytest.approx(1 / 3)


def test_the_newest_are_listed_first(database: Engine) -> None:
    assert [entry.id for entry in listing(database, limit=3)] == ["open", "redacted", "rejected"]
    assert [entry.id for entry in listing(database, Selection(outcome="rejected"))] == ["rejected"]


def test_one_that_is_not_there_is_named(database: Engine) -> None:
    with pytest.raises(UserError, match="nobody"):
        show(database, "nobody")


def test_how_an_id_begins_is_enough_where_no_other_begins_so(database: Engine) -> None:
    assert show(database, "acc").id == "accepted"
    with pytest.raises(UserError, match="Several suggestions begin with 're'"):
        show(database, "re")  # rejected and redacted
    with pytest.raises(UserError, match="There is no suggestion"):
        show(database, "")


def test_an_export_is_one_json_object_per_line(database: Engine) -> None:
    lines = [json.loads(line) for line in export(database)]
    assert [line["id"] for line in lines] == ["accepted", "rejected", "redacted", "open"]
    assert lines[0]["reward"]["total"] == pytest.approx(4.5)
    assert lines[0]["survival"][1]["kept"] == 0.5
    assert lines[2]["text"] is None


def test_examples_are_what_settled_oldest_first(database: Engine) -> None:
    assert [(one.id, one.at, one.target) for one in load_examples(database)] == [
        ("rejected", 20.0, "other(1)"),
        ("accepted", 40.0, "ACCEPTED(1)"),
    ]


@pytest.mark.parametrize("rule", ["changed_by_agent", "changed_by_extension"])
def test_what_others_may_have_written_is_no_example(
    database: Engine, recorder: Recorder, suggestion: Make, rule: str
) -> None:
    recorder.record(suggestion("theirs"))
    recorder.record(Outcome("theirs", 1, "invalidated", 0, rule, 0.8))
    recorder.record(Settled("theirs", 50, "total = 0"))
    assert recorder.flush()
    assert "theirs" not in [one.id for one in load_examples(database)]


def test_a_document_that_many_examples_have_is_in_memory_once(database: Engine) -> None:
    one, other = load_examples(database)
    assert one.documents[0] is other.documents[0]


def test_examples_can_be_split_by_time_without_overlap(database: Engine) -> None:
    assert [one.id for one in load_examples(database, until=40)] == ["rejected"]
    assert [one.id for one in load_examples(database, since=40)] == ["accepted"]
    assert load_examples(database, workspace="/another") == []


def test_prefix_target_and_suffix_are_the_users_text(database: Engine, recorder: Recorder, suggestion: Make) -> None:
    for id, text in (("kept", "a)"), ("changed", "a]")):
        recorder.record(suggestion(id, prefix="f(", suffix=")\r\nlast"))
        recorder.record(Outcome(id, 1, "ignored", 0, "r", 1))
        recorder.record(Settled(id, 50, text))
    assert recorder.flush(20)
    texts = {one.id: (one.target, one.suffix) for one in load_examples(database, since=50)}
    assert texts == {"kept": ("a", ")\r\nlast"), "changed": ("a]", "\r\nlast")}


def test_blank_targets_teach_nothing(database: Engine, recorder: Recorder, suggestion: Make) -> None:
    recorder.record(suggestion("blank"))
    recorder.record(Outcome("blank", 1, "ignored", 0, "r", 1))
    recorder.record(Settled("blank", 50, "  "))
    assert recorder.flush(20)
    assert load_examples(database, since=50) == []


@pytest.mark.parametrize(
    ("selection", "left"),
    [
        (Selection(ids=("open",)), {"accepted", "rejected", "redacted"}),
        (Selection(path="src/deep"), {"accepted", "redacted", "open"}),
        (Selection(path="src/a.py"), {"rejected"}),
        (Selection(path="sr"), {"accepted", "rejected", "redacted", "open"}),
        (Selection(workspace="/home/me/project"), set()),
        (Selection(before=3.0), {"redacted", "open"}),
    ],
)
def test_erasing_takes_what_was_meant(database: Engine, selection: Selection, left: set[str]) -> None:
    assert erase(database, selection).suggestions == 4 - len(left)
    assert {entry.id for entry in listing(database)} == left


def test_what_is_erased_is_in_no_file_any_more(database: Engine, place: Path | str) -> None:
    if isinstance(place, str):
        pytest.skip("a server's files are its own")

    def everything() -> bytes:
        return b"".join(file.read_bytes() for file in place.parent.iterdir())

    assert b"REJECTED()" in everything()
    erase(database, Selection(ids=("rejected",)))
    assert b"REJECTED()" not in everything()
    assert b"other(1)" not in everything()
    assert b"ACCEPTED()" in everything()


def test_a_path_that_is_erased_goes_from_beside_suggestions_in_other_files(
    database: Engine, consents: Consents, recorder: Recorder, suggestion: Make
) -> None:
    consents.set("/another", Consent.LOCAL)
    documents = [ContextDocument(path, f"text of {path}") for path in ("src/deep/b.py", "src/other.py", "newest.py")]
    for id, workspace in (("here", "/home/me/project"), ("there", "/another")):
        recorder.record(suggestion(id, workspace=workspace, documents=tuple(documents)))
    assert recorder.flush(20)
    gone = erase(database, Selection(path="src/deep", workspace="/home/me/project"), mixed=("newest",))
    assert gone.suggestions == 1
    assert show(database, "here").documents == (documents[1],)
    assert show(database, "there").documents == tuple(documents)
    assert show(database, "accepted").documents[0].path == "src/b.py"


def test_a_text_that_only_a_path_had_is_in_the_database_no_more(
    database: Engine, recorder: Recorder, suggestion: Make
) -> None:
    recorder.record(suggestion("other", documents=(ContextDocument("src/deep/b.py", "what b.py holds"),)))
    assert recorder.flush(20)
    assert erase(database, Selection(path="src/deep/b.py", since=50.0)).suggestions == 0
    with database.connect() as connection:
        assert "what b.py holds" not in set(connection.execute(select(schema.texts.c.text)).scalars())


def test_texts_that_others_use_stay(database: Engine) -> None:
    erase(database, Selection(ids=("rejected",)))
    assert show(database, "accepted").documents[0].text == "def foo(): ..."


def test_erasing_everything_must_be_meant(database: Engine, consents: Consents) -> None:
    with pytest.raises(UserError, match="--all"):
        erase(database, Selection())
    assert erase(database, Selection(), everything=True) == Erased(4, 0)
    with database.connect() as connection:
        for table in schema.metadata.sorted_tables:
            count = connection.execute(select(func.count()).select_from(table)).scalar_one()
            assert count == (1 if table is schema.consents else 0)


def test_signals_are_counted_exported_and_erased_with_their_place(database: Engine, recorder: Recorder) -> None:
    recorder.record(Signal("1", 5.0, "/home/me/project", "searched", "src/deep/c.py", "semantic", text="where"))
    recorder.record(Signal("2", 6.0, "/home/me/project", "lint_fixed", "src/a.py", "F401"))
    assert recorder.flush(20)
    assert statistics(database).signals == {"searched": 1, "lint_fixed": 1}
    assert [json.loads(line)["signal"]["id"] for line in list(export(database))[-2:]] == ["1", "2"]
    assert erase(database, Selection(path="src/deep")).signals == 1
    assert erase(database, Selection(ids=("open",))).signals == 0
    assert statistics(database).signals == {"lint_fixed": 1}


def test_reports_are_compared_with_what_the_edits_said(database: Engine, recorder: Recorder) -> None:
    recorder.record(Report("accepted", 5.0, "accepted", "accepted", "inserted_at_once", 0.98))
    recorder.record(Report("rejected", 5.0, "rejected", "ignored", "timeout", 0.7))
    assert recorder.flush(20)
    found = statistics(database)
    assert (found.reported, found.confirmed) == (2, 1)


def test_statistics_hold_for_a_part(database: Engine) -> None:
    found = statistics(database, Selection(path="src/deep"))
    assert (found.suggestions, found.shown, found.outcomes, found.first) == (1, 1, {"rejected": 1}, 2.0)
    assert statistics(database, Selection(outcome="accepted")).characters == 10


def test_a_part_that_is_the_whole_is_counted_alike(database: Engine) -> None:
    assert statistics(database, Selection(since=0.0)) == statistics(database)


def test_an_explanation_is_the_sum_then_the_advantage_then_what_was_written_instead(database: Engine) -> None:
    lines = explanation(database, "rejected")
    assert [line.split(":")[0] for line in lines[-4:]] == [
        "reward (version 2)",
        "baseline",
        "advantage",
        "written instead",
    ]
    assert lines[-1] == "written instead: 'other(1)'"
    total = sum(float(line.split(": ")[1].split(" ")[0]) for line in lines[:8])
    assert lines[8] == f"reward (version 2): {total:+.2f} characters"
    assert explanation(database, "rejected", version=1)[-2] == "reward (version 1): -4.11 characters"
    assert "no outcome" in explanation(database, "open")[0]


def test_texts_go_after_their_days_and_numbers_stay(database: Engine, recorder: Recorder) -> None:
    recorder.record(Signal("1", 1.5, "/home/me/project", "searched", "", "semantic", text="an old query"))
    assert recorder.flush(20)
    assert prune(database, Keep(days=1), now=86_402.5) == 3
    before = show(database, "accepted")
    assert (before.text, before.settled, before.documents, before.length) == (None, None, (), 10)
    assert show(database, "open").text == "OPEN()"
    assert statistics(database).outcomes == {"accepted": 1, "rejected": 1, "ignored": 1}
    with database.connect() as connection:
        texts = set(connection.execute(select(schema.texts.c.text)).scalars())
    assert texts == {"OPEN()", "x = ", "\nlast\n", "def foo(): ..."}
    assert prune(database, Keep(days=1), now=86_402.5) == 0


def test_the_oldest_texts_go_first_when_the_database_is_too_large(database: Engine) -> None:
    if database.dialect.name != "sqlite":
        pytest.skip("a server's size is its administrator's")
    assert prune(database, Keep(days=0, megabytes=1000), now=1e12) == 0
    assert prune(database, Keep(days=0, megabytes=0.0001), now=10.0) == 3
    assert [entry.text for entry in listing(database)] == [None] * 4


def test_no_text_goes_while_a_night_may_learn_from_it(database: Engine) -> None:
    hold(80_000.0, ["accepted", "rejected"])
    assert prune(database, Keep(days=1), now=86_402.5) == 0
    assert show(database, "accepted").text == "ACCEPTED()"
    release()
    assert prune(database, Keep(days=1), now=86_402.5) == 2


def test_a_file_that_cannot_be_made_smaller_now_is_left_as_it_is(database: Engine) -> None:
    if database.dialect.name != "sqlite":
        pytest.skip("a server's size is its administrator's")

    def refuse(action: int, *about: object) -> int:
        return sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_ATTACH else sqlite3.SQLITE_OK  # as VACUUM needs it

    event.listen(database, "checkout", lambda connection, *known: connection.set_authorizer(refuse))
    assert prune(database, Keep(days=0, megabytes=0.0001), now=10.0) == 3
    assert [entry.text for entry in listing(database)] == [None] * 4
