"""Consent from the editor: per folder, and never for a folder that is not open."""

from pathlib import Path

from inkling.folders import feedback_database
from tests.e2e.conftest import Connect, run, status


async def test_consent_is_given_for_one_open_folder_and_told_with_the_place_of_the_record(
    connect: Connect, project: Path
):
    client = await connect(project)
    before = await status(client)
    (folder,) = before["workspaces"]
    assert folder["consent"] == "off"
    assert before["places"]["feedback"] == str(feedback_database())

    answer = await run(client, "inkling.consent", "local", folder["root"])
    assert answer == {"consent": "local", "workspaces": [folder["root"]]}
    assert (await status(client))["workspaces"][0]["consent"] == "local"


async def test_consent_for_a_folder_that_is_not_open_is_refused(connect: Connect, project: Path, tmp_path: Path):
    client = await connect(project)
    answer = await run(client, "inkling.consent", "local", str(tmp_path / "elsewhere"))
    assert "elsewhere" in answer["error"]
    assert (await status(client))["workspaces"][0]["consent"] == "off"
