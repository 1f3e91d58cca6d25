"""Search through the real server and its real indexing process."""

import asyncio
import os
import signal
import subprocess
from pathlib import Path

import pytest
from lsprotocol import types as lsp

from server.protocol import plain
from tests.e2e.conftest import Connect, ask, status, until

pytestmark = [pytest.mark.weights, pytest.mark.slow]
SEARCHING = {"completion": {"enabled": False}}


def phase(found: dict, ready: str) -> bool:
    return found["workspaces"][0]["index"].get("ready") == ready


def worker_of(server: int) -> int:
    """The process id of a server's indexing process."""
    asked = ["pgrep", "-P", str(server), "-f", "--", "--worker"]
    return int(subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()[0])


async def test_words_meaning_and_names_are_found(connect: Connect, project: Path):
    client = await connect(project, SEARCHING)
    await until(client, lambda found: phase(found, "meaning"))
    (best, *_) = (await ask(client, "inkling/search", query="how big is the disc", limit=3))["hits"]
    assert best["path"] in ("shapes.py", "report.py")
    assert "meaning" in best["matched"]
    (symbol, *_) = await client.workspace_symbol_async(lsp.WorkspaceSymbolParams("describe"))
    assert symbol.name == "describe"
    assert symbol.location.uri == (project / "report.py").as_uri()
    assert symbol.location.range.start == lsp.Position(3, 4)


async def test_words_are_reported_before_the_whole_answer(connect: Connect, project: Path):
    client = await connect(project, SEARCHING)
    await until(client, lambda found: phase(found, "meaning"))
    asked = {"query": "describe the disc", "partialResultToken": "search-1"}
    early: list[lsp.ProgressParams] = []  # the client of pytest-lsp knows only progress of work
    client.protocol.fm.features[lsp.PROGRESS] = early.append
    hits = (await ask(client, "inkling/search", **asked))["hits"]
    assert [params.token for params in early] == ["search-1"]
    assert {match for hit in plain(early[0].value)["hits"] for match in hit["matched"]} == {"words"}
    assert "meaning" in {match for hit in hits for match in hit["matched"]}


async def test_a_saved_file_is_found_without_a_restart(connect: Connect, project: Path):
    client = await connect(project, SEARCHING)
    await until(client, lambda found: phase(found, "meaning"))
    new = project / "tariff.py"
    new.write_text("def postage_for_parcels(weight: float) -> float:\n    return 3 + 2 * weight\n")
    client.text_document_did_save(lsp.DidSaveTextDocumentParams(lsp.TextDocumentIdentifier(new.as_uri())))
    for _ in range(400):
        hits = (await ask(client, "inkling/search", query="postage_for_parcels"))["hits"]
        if hits and hits[0]["path"] == "tariff.py":
            break
        await status(client)
    assert hits[0]["name"] == "postage_for_parcels"


async def test_without_weights_search_goes_by_words(connect: Connect, project: Path):
    client = await connect(project, SEARCHING | {"index": {"embedding": f"path:{project / 'nowhere'}"}})
    found = await until(client, lambda found: phase(found, "words"))
    assert any("Search goes by words only" in message for message in found["told"])
    assert (await ask(client, "inkling/search", query="describe circle"))["hits"]


async def test_what_is_left_out_of_the_index_is_told(connect: Connect, project: Path):
    client = await connect(project, SEARCHING | {"index": {"maxFiles": 1}})
    found = await until(client, lambda found: phase(found, "meaning"))
    assert sum("index.maxFiles" in message for message in found["told"]) == 1


async def test_a_killed_indexing_process_is_started_again(connect: Connect, project: Path):
    client = await connect(project, SEARCHING)
    await until(client, lambda found: phase(found, "meaning"))
    os.kill(await asyncio.to_thread(worker_of, client._server.pid), signal.SIGKILL)
    found = await until(client, lambda found: found["workspaces"][0]["index"]["restarts"] == 1)
    found = await until(client, lambda found: phase(found, "meaning") or phase(found, "words"))
    assert found["workspaces"][0]["index"]["restarts"] == 1


async def test_two_servers_share_one_data_folder(connect: Connect, project: Path):
    one, two = await connect(project, SEARCHING), await connect(project, SEARCHING)
    await until(
        one, lambda found: "ready" in found["workspaces"][0]["index"] or "phase" in found["workspaces"][0]["index"]
    )
    for client in (one, two):
        for _ in range(400):
            hits = (await ask(client, "inkling/search", query="describe circle"))["hits"]
            if hits:
                break
            await status(client)
        assert "report.py" in {hit["path"] for hit in hits}


async def test_every_line_of_progress_that_was_begun_is_ended(connect: Connect, project: Path):
    client = await connect(project, SEARCHING)
    await until(client, lambda found: phase(found, "meaning"))
    assert client.progress_reports
    for _ in range(100):
        begun = [reports for reports in client.progress_reports.values() if reports]
        if all(isinstance(reports[-1], lsp.WorkDoneProgressEnd) for reports in begun):
            return
        await status(client)
    raise AssertionError(begun)
