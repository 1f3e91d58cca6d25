"""What is erased is gone from the database, from adapters' manifests, from traces and from what still waits."""

import json
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from sqlalchemy import event

from feedback.consent import Consent, Consents, set_consent
from feedback.database import open_database
from feedback.history import Selection, listing, show
from feedback.journal import Journal
from feedback.recorder import Recorder
from feedback.records import ContextDocument, Suggestion
from feedback.store import Prepared
from inkling.errors import UserError
from inkling.folders import data_folder
from model.adapters import RECORD_FILE, Registry
from server.erasing import erase_everywhere, forget_erased, forget_examples, store_what_waits

WORKSPACE = "/home/me/project"


def adapters(folder: Path, records: dict[str, list[str]]) -> Registry:
    """A registry with an adapter for each record; the last id is one that it was measured on."""
    registry = Registry(folder)
    for name, ids in records.items():
        source = folder / ".runs" / name
        source.mkdir(parents=True)
        (source / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA"}))
        (source / "adapter_model.safetensors").write_bytes(b"weights")
        record = {"training_examples": ids[:-1], "later_examples": ids[-1:], "reason": "kept"}
        (source / "record.json").write_text(json.dumps(record))
        registry.add_candidate(source, base="smol", name=name)
    return registry


def suggestion(id: str) -> Suggestion:
    return Suggestion(
        id, 1.0, WORKSPACE, "a.py", "python", 1, 0, 0, "x = ", "", "foo()", (ContextDocument("b", "c"),), (), "smol",
        None, 0.1,
    )  # fmt: skip


@pytest.fixture
def place(tmp_path: Path) -> Path:
    place = tmp_path / "feedback.sqlite"
    set_consent(WORKSPACE, Consent.LOCAL, place)
    consents = Consents(place)
    recorder = Recorder(place, consents, lambda path: False)
    for id in "abc":
        recorder.record(suggestion(id))
    assert recorder.close(20)
    consents.close()
    return place


def test_manifests_lose_what_is_erased_and_keep_a_note(place: Path, tmp_path: Path) -> None:
    registry = adapters(tmp_path / "adapters", {"one": ["a", "b", "z"], "two": ["z", "a"], "three": ["z"]})
    traces = tmp_path / "traces"
    traces.mkdir()
    (traces / "trace.jsonl").write_text("{}")
    engine = open_database(place)
    gone = erase_everywhere(engine, Selection(ids=("a", "b")), False, registry, traces)
    assert (gone.rows.suggestions, gone.adapters) == (2, {"one": 2, "two": 1})
    record = registry.record("one")
    assert (record["training_examples"], record["later_examples"], record["reason"]) == ([], ["z"], "kept")
    assert [note["rows"] for note in record["erased"]] == [2]
    assert "erased" not in registry.record("three")
    assert not traces.exists()
    assert [entry.id for entry in listing(engine)] == ["c"]
    engine.dispose()


def test_a_damaged_record_keeps_nothing_from_being_erased(place: Path, tmp_path: Path) -> None:
    registry = adapters(tmp_path / "adapters", {"broken": ["a"], "whole": ["a", "z"]})
    (registry.get("broken").folder / RECORD_FILE).write_text('{"training_examples": ["a"')
    engine = open_database(place)
    gone = erase_everywhere(engine, Selection(ids=("a",)), False, registry, tmp_path / "traces")
    assert (gone.rows.suggestions, gone.adapters, gone.unreadable) == (1, {"whole": 1}, ("broken",))
    assert "a" not in [entry.id for entry in listing(engine)]
    engine.dispose()


def test_what_was_erased_while_a_night_held_it_leaves_its_manifest(place: Path, tmp_path: Path) -> None:
    engine = open_database(place)
    erase_everywhere(engine, Selection(ids=("a", "b")), False, Registry(tmp_path / "adapters"), tmp_path / "traces")
    engine.dispose()
    registry = adapters(tmp_path / "adapters", {"tonight": ["a", "b", "c"]})  # it had read them before
    assert forget_erased(registry, "tonight", place) == 2
    record = registry.record("tonight")
    assert (record["training_examples"], record["later_examples"]) == ([], ["c"])
    assert [note["rows"] for note in record["erased"]] == [2]
    assert forget_erased(registry, "tonight", place) == 0
    assert len(registry.record("tonight")["erased"]) == 1


def test_an_adapter_that_came_while_rows_were_deleted_loses_them_too(place: Path, tmp_path: Path) -> None:
    engine = open_database(place)
    registry = Registry(tmp_path / "adapters")

    def come(connection: Any, cursor: Any, statement: str, values: Any, context: Any, many: bool) -> None:
        if statement.startswith("DELETE FROM suggestions") and not registry.list():
            adapters(registry.folder, {"late": ["a", "c"]})

    event.listen(engine, "before_cursor_execute", come)
    gone = erase_everywhere(engine, Selection(ids=("a",)), False, registry, tmp_path / "traces")
    engine.dispose()
    assert gone.adapters == {"late": 1}
    assert registry.record("late")["training_examples"] == []


def test_erasing_waits_for_who_writes_a_record(place: Path, tmp_path: Path) -> None:
    registry = adapters(tmp_path / "adapters", {"one": ["a", "b", "z"]})
    writers = [Thread(target=registry.note_live, args=("one", {"number": number})) for number in range(6)]
    writers += [Thread(target=forget_examples, args=(registry, {id})) for id in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    record = registry.record("one")
    assert (len(record["live"]), len(record["erased"]), record["training_examples"]) == (6, 2, [])


def test_what_was_written_in_a_path_and_stood_elsewhere_among_the_newest_edits_goes(
    place: Path, tmp_path: Path
) -> None:
    documents = (ContextDocument("recent_edits.py", "# secrets.py\nkey = 1\n"), ContextDocument("b.py", "b = 2\n"))
    consents = Consents(place)
    recorder = Recorder(place, consents, lambda path: False)
    recorder.record(replace(suggestion("d"), documents=documents))
    assert recorder.close(20)
    consents.close()
    engine = open_database(place)
    selection = Selection(path="secrets.py", workspace=WORKSPACE)
    erase_everywhere(engine, selection, False, Registry(tmp_path / "adapters"), tmp_path / "traces")
    assert show(engine, "d").documents == documents[1:]
    engine.dispose()


def test_nothing_is_touched_unless_it_is_said_what_to_erase(place: Path, tmp_path: Path) -> None:
    registry = adapters(tmp_path / "adapters", {"one": ["a", "b"]})
    engine = open_database(place)
    with pytest.raises(UserError, match="--all"):
        erase_everywhere(engine, Selection(), False, registry, tmp_path / "traces")
    assert registry.record("one")["training_examples"] == ["a"]
    assert len(listing(engine)) == 3
    engine.dispose()


def test_what_still_waits_is_found_as_well(place: Path, tmp_path: Path) -> None:
    assert place.parent != data_folder()
    journal = Journal(data_folder() / "waiting")  # where servers let facts wait, wherever the database is
    journal.append([Prepared(suggestion("waited"), False, 5)])
    journal.close()
    store_what_waits(place)
    engine = open_database(place)
    assert {entry.id for entry in listing(engine)} == {"a", "b", "c", "waited"}
    erase_everywhere(engine, Selection(), True, adapters(tmp_path / "adapters", {}), tmp_path / "traces")
    assert listing(engine) == []
    assert list((data_folder() / "waiting").glob("*.jsonl")) == []
    engine.dispose()
