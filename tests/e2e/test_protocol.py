"""The protocol, and clients that do not keep to it: whatever they say, the server answers and stays."""

import asyncio
import json
from pathlib import Path

import pytest
from lsprotocol import types as lsp

from tests.e2e.conftest import Connect, ask, change_range, complete, insert, open_document, pull, status, until


async def test_what_the_server_can_do_is_announced(connect: Connect, project: Path):
    client = await connect(project)
    can = client.announced
    assert can.inline_completion_provider
    assert can.diagnostic_provider
    assert can.workspace_symbol_provider
    assert can.execute_command_provider
    assert {"inkling.accept", "inkling.dismiss", "inkling.night", "inkling.agent.fix"} <= set(
        can.execute_command_provider.commands
    )


async def test_a_document_that_was_never_opened_gets_nothing_and_the_reason_is_kept(connect: Connect, project: Path):
    client = await connect(project)
    assert await complete(client, "file:///never/opened.py", 0, 0) == []
    assert (await status(client))["lastRefusal"]["reason"] == "not_open"
    assert await pull(client, "file:///never/opened.py") == []


@pytest.mark.parametrize(
    ("uri", "text"),
    [
        ("untitled:Untitled-1", "print(1)\n"),
        ("file:///nowhere/unsaved.py", "x = 1\n"),
        ("file:///nowhere/empty.py", ""),
        ("file:///nowhere/bom.py", "\ufeffx = 1\r\ny = 2\r\n"),
        ("file:///nowhere/tabs.py", "def f():\n\treturn '😀👩‍👩‍👧e\u0301'\n"),
        ("file:///nowhere/binary.bin", "\x00\x01\ufffd\n" * 50),
        ("file:///nowhere/sp%20ace/%E2%98%83.py", "x = '☃'\n"),
        ("git:/odd/scheme.py?ref=HEAD", "x = 1\n"),
        ("not a uri at all", "x = 1\n"),
    ],
)
async def test_any_document_can_be_opened_asked_about_and_closed(connect: Connect, project: Path, uri: str, text: str):
    client = await connect(project)
    open_document(client, uri, text)
    last = text.count("\n")
    assert await complete(client, uri, last, 0) == []
    await pull(client, uri)
    client.text_document_did_close(lsp.DidCloseTextDocumentParams(lsp.TextDocumentIdentifier(uri)))
    assert (await status(client))["openDocuments"] == 0


async def test_a_file_of_five_megabytes_can_be_opened_and_typed_in(connect: Connect, project: Path):
    client, uri = await connect(project), (project / "big.py").as_uri()
    open_document(client, uri, "value = 1  # a line of some length, over and over\n" * 100_000)
    for version in range(2, 12):
        insert(client, uri, version, 50_000, 0, "x")
    assert await complete(client, uri, 50_000, 3) == []
    assert (await status(client))["openDocuments"] == 1


async def test_positions_past_the_end_are_clamped(connect: Connect, project: Path):
    client, uri = await connect(project), (project / "shapes.py").as_uri()
    open_document(client, uri, "x = 1\n")
    change_range(client, uri, 2, (700, 9), (900, 3), "y = 2\n")
    assert await complete(client, uri, 100_000, 100_000) == []
    assert "E999" not in {diagnostic.code for diagnostic in await pull(client, uri)}


async def test_changing_or_closing_what_was_never_opened_is_harmless(connect: Connect, project: Path):
    client = await connect(project)
    insert(client, "file:///never.py", 7, 0, 0, "x")
    client.text_document_did_close(lsp.DidCloseTextDocumentParams(lsp.TextDocumentIdentifier("file:///never.py")))
    client.text_document_did_save(lsp.DidSaveTextDocumentParams(lsp.TextDocumentIdentifier("file:///never.py")))
    assert (await status(client))["openDocuments"] == 0


async def test_a_file_may_vanish_and_a_folder_be_renamed_while_it_is_open(connect: Connect, project: Path):
    client, file = await connect(project), project / "shapes.py"
    open_document(client, file.as_uri(), file.read_text())
    await asyncio.to_thread(file.unlink)
    await asyncio.to_thread(project.rename, project.with_name("renamed"))
    insert(client, file.as_uri(), 2, 0, 0, "import os\n")
    assert await pull(client, file.as_uri()) is not None
    assert (await status(client))["openDocuments"] == 1


async def test_a_client_with_no_capabilities_at_all_gets_pushed_diagnostics(connect: Connect, project: Path):
    client = await connect(project, capabilities="bare")
    uri = (project / "shapes.py").as_uri()
    open_document(client, uri, "import os\n")
    await client.wait_for_notification(lsp.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
    assert [diagnostic.code for diagnostic in client.diagnostics[uri]] == ["F401"]
    assert await complete(client, uri, 1, 0) == []


async def test_a_client_without_any_folder_is_served(connect: Connect):
    client = await connect(None)
    open_document(client, "untitled:a", "x = 1\n")
    assert (await ask(client, "inkling/search", query="anything"))["hits"] == []


async def test_a_setting_that_is_wrong_is_said_once_and_the_default_is_used(connect: Connect, project: Path):
    wrong = {"completion": {"enabled": False, "maxTokens": "lots"}, "index": {"enabled": False}}
    client = await connect(project, wrong)
    await status(client)
    said = [message.message for message in client.messages]
    assert len([text for text in said if "inkling.completion.maxTokens" in text]) == 1


async def test_nothing_but_the_protocol_is_written_to_standard_output(connect: Connect, project: Path):
    client, uri = await connect(project), (project / "shapes.py").as_uri()
    open_document(client, uri, "import os\n")
    await pull(client, uri)
    assert json.dumps(await status(client))  # a single stray byte before it would have broken the framing


async def test_an_unknown_request_is_an_error_and_an_unknown_command_too(connect: Connect, project: Path):
    client = await connect(project)
    for request in (
        client.protocol.send_request_async("inkling/noSuchThing", {}),
        client.workspace_execute_command_async(lsp.ExecuteCommandParams("inkling.noSuchThing")),
    ):
        with pytest.raises(Exception, match=r"(?i)not"):
            await request
    assert (await status(client))["openDocuments"] == 0


async def test_closing_a_document_takes_its_pushed_diagnostics_away(connect: Connect, project: Path):
    client, uri = await connect(project, capabilities="bare"), (project / "shapes.py").as_uri()
    open_document(client, uri, "import os\n")
    await client.wait_for_notification(lsp.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
    assert client.diagnostics[uri]
    client.text_document_did_close(lsp.DidCloseTextDocumentParams(lsp.TextDocumentIdentifier(uri)))
    await client.wait_for_notification(lsp.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
    assert not client.diagnostics[uri]


async def test_a_folder_that_is_closed_is_gone_with_its_linters(connect: Connect, project: Path):
    client, uri = await connect(project), (project / "shapes.py").as_uri()
    open_document(client, uri, "import os\n")
    assert await pull(client, uri)
    assert [entry["root"] for entry in (await status(client))["linters"]] == [str(project)]
    gone = lsp.WorkspaceFoldersChangeEvent(added=[], removed=[lsp.WorkspaceFolder(project.as_uri(), project.name)])
    client.workspace_did_change_workspace_folders(lsp.DidChangeWorkspaceFoldersParams(gone))
    found = await until(client, lambda found: not found["workspaces"])
    assert found["linters"] == []
