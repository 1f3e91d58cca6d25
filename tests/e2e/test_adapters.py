"""Adapters as an editor lists, promotes, rolls back and notes them, through the real server."""

import json
from pathlib import Path

from inkling.folders import adapters_folder
from model.adapters import CONFIG_FILE, RECORD_FILE, WEIGHTS_FILE, Registry
from tests.e2e.conftest import Connect, run

BASE = "smollm2-135m-instruct"


def candidate(name: str, at: float) -> None:
    """Register an adapter with a night's record. Its weights are never read: completions are off."""
    folder = adapters_folder() / "made"
    folder.mkdir(parents=True)
    (folder / CONFIG_FILE).write_text(json.dumps({"peft_type": "LORA"}))
    (folder / WEIGHTS_FILE).write_bytes(name.encode())
    (folder / RECORD_FILE).write_text(json.dumps({"status": "refused", "reason": f"{name} is no better."}))
    Registry(adapters_folder()).add_candidate(folder, base=BASE, name=name, at=at)


async def test_the_verdict_comes_with_the_adapter_and_choices_by_hand_can_be_taken_back(
    connect: Connect, project: Path
):
    candidate("first", 1.0)
    candidate("second", 2.0)
    client = await connect(project)
    found = await run(client, "inkling.adapters")
    assert (found["base"], found["served"], found["canRollBack"]) == (BASE, None, False)
    assert [(one["name"], one["state"], one["reason"]) for one in found["adapters"]] == [
        ("second", "candidate", "second is no better."),
        ("first", "candidate", "first is no better."),
    ]
    assert "champion" in (await run(client, "inkling.adapters.promote", "first"))["message"]
    await run(client, "inkling.adapters.promote", "second")
    found = await run(client, "inkling.adapters")
    assert (found["served"], found["before"]) == ("second", "first")
    assert "with first" in (await run(client, "inkling.adapters.rollback"))["message"]
    assert "bare" in (await run(client, "inkling.adapters.rollback"))["message"]
    assert "nothing to roll back" in (await run(client, "inkling.adapters.rollback"))["error"]


async def test_a_note_stays_with_its_adapter(connect: Connect, project: Path):
    candidate("first", 1.0)
    client = await connect(project)
    assert await run(client, "inkling.adapters.note", "first", "Better at tests ✓") == {"message": ""}
    (found,) = (await run(client, "inkling.adapters"))["adapters"]
    assert found["note"] == "Better at tests ✓"
    await run(client, "inkling.adapters.note", "first", " ")
    assert (await run(client, "inkling.adapters"))["adapters"][0]["note"] == ""
    assert "no adapter other" in (await run(client, "inkling.adapters.note", "other", "x"))["error"]
    assert "no adapter other" in (await run(client, "inkling.adapters.promote", "other"))["error"]
