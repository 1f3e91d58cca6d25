"""What is erased is gone from the database, from adapters' manifests, from traces and from what still waits."""

import json
from pathlib import Path

import pytest

from feedback.consent import Consent, Consents, set_consent
from feedback.database import open_database
from feedback.history import Selection, listing
from feedback.journal import Journal
from feedback.recorder import Recorder
from feedback.records import ContextDocument, Suggestion
from feedback.store import Prepared
from inkling.errors import UserError
from model.adapters import Registry
from server.erasing import erase_everywhere, store_what_waits

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


def test_nothing_is_touched_unless_it_is_said_what_to_erase(place: Path, tmp_path: Path) -> None:
    registry = adapters(tmp_path / "adapters", {"one": ["a", "b"]})
    engine = open_database(place)
    with pytest.raises(UserError, match="--all"):
        erase_everywhere(engine, Selection(), False, registry, tmp_path / "traces")
    assert registry.record("one")["training_examples"] == ["a"]
    assert len(listing(engine)) == 3
    engine.dispose()


def test_what_still_waits_is_found_as_well(place: Path, tmp_path: Path) -> None:
    journal = Journal(place.parent / "waiting")
    journal.append([Prepared(suggestion("waited"), False, 5)])
    journal.close()
    store_what_waits(place)
    engine = open_database(place)
    assert {entry.id for entry in listing(engine)} == {"a", "b", "c", "waited"}
    erase_everywhere(engine, Selection(), True, adapters(tmp_path / "adapters", {}), tmp_path / "traces")
    assert listing(engine) == []
    assert list((place.parent / "waiting").glob("*.jsonl")) == []
    engine.dispose()
