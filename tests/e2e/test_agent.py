"""`inkling.agent.fix` through the real server, the real ruff, and an editor that applies edits."""

from pathlib import Path

from lsprotocol import types as lsp

from tests.e2e.conftest import Connect, open_document, pull, run


async def test_unsaved_text_is_linted_not_the_file_on_disk(connect: Connect, project: Path):
    client, uri = await connect(project), (project / "shapes.py").as_uri()
    open_document(client, uri, "import os\nimport sys\n\nprint(sys.argv)\n")
    assert [diagnostic.code for diagnostic in await pull(client, uri)] == ["F401"]


async def test_a_finding_is_mended_through_an_edit_of_the_workspace(connect: Connect, project: Path):
    client, uri = await connect(project), (project / "shapes.py").as_uri()
    asked: list[lsp.ApplyWorkspaceEditParams] = []
    client.protocol.fm.features.pop(lsp.WORKSPACE_APPLY_EDIT)

    @client.feature(lsp.WORKSPACE_APPLY_EDIT)
    def apply(params: lsp.ApplyWorkspaceEditParams) -> lsp.ApplyWorkspaceEditResult:
        asked.append(params)
        return lsp.ApplyWorkspaceEditResult(applied=True)

    open_document(client, uri, "import os\nimport sys\n\nprint(sys.argv)\n", version=4)
    answer = await run(client, "inkling.agent.fix", uri, 0, "F401")
    assert answer["fixed"], answer
    (change,) = asked[0].edit.document_changes
    assert isinstance(change, lsp.TextDocumentEdit)
    assert change.text_document.version == 4
    (edit,) = change.edits
    assert edit.new_text == ""
    assert (edit.range.start, edit.range.end) == (lsp.Position(0, 0), lsp.Position(1, 0))


async def test_an_editor_that_does_not_apply_the_repair_is_said(connect: Connect, project: Path):
    client, uri = await connect(project), (project / "shapes.py").as_uri()
    client.protocol.fm.features.pop(lsp.WORKSPACE_APPLY_EDIT)
    client.feature(lsp.WORKSPACE_APPLY_EDIT)(lambda params: lsp.ApplyWorkspaceEditResult(applied=False))
    open_document(client, uri, "import os\nimport sys\n\nprint(sys.argv)\n")
    answer = await run(client, "inkling.agent.fix", uri, 0, "F401")
    assert (answer["fixed"], answer["message"]) == (False, "The editor did not apply the edit.")


async def test_what_cannot_be_mended_is_said_and_nothing_is_changed(connect: Connect, project: Path):
    client, uri = await connect(project), (project / "shapes.py").as_uri()
    open_document(client, uri, "print(undefined_name)\n")
    answer = await run(client, "inkling.agent.fix", uri)
    assert not answer["fixed"]
    assert "F821" in answer["message"]


async def test_a_clean_document_and_an_unknown_one_have_nothing_to_mend(connect: Connect, project: Path):
    client, uri = await connect(project), (project / "shapes.py").as_uri()
    open_document(client, uri, "print(1)\n")
    assert not (await run(client, "inkling.agent.fix", uri))["fixed"]
    assert not (await run(client, "inkling.agent.fix", "file:///never.py"))["fixed"]
