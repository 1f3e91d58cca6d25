"""The document cache behind a real server: other files are read, kept over a restart, and shown by `inkling status`."""

import asyncio
import json
import subprocess
from pathlib import Path

import pytest
from pytest_lsp import LanguageClient

from inkling.process import command, environment
from tests.e2e.conftest import Connect, complete, insert, open_document, status, until

pytestmark = [pytest.mark.weights, pytest.mark.slow]
SETTINGS = {"completion": {"mode": "eager", "maxTokens": 12}, "index": {"embedding": "none"}}
TEXT = "from shapes import Circle\n\n\ndef total(circles: list[Circle]) -> float:\n    return sum(circle.\n"


async def attending(connect: Connect, project: Path) -> tuple[LanguageClient, str, dict]:
    """A server that has an open file and attends to the other file of the project."""
    client, uri = await connect(project, SETTINGS), (project / "total.py").as_uri()
    await until(client, lambda found: found["model"]["state"] == "ready")
    await until(client, lambda found: found["workspaces"][0]["index"].get("ready") in ("words", "meaning"))
    open_document(client, uri, TEXT)
    version = 1
    for _ in range(60):
        await complete(client, uri, 4, 22)
        found = await status(client)
        if found["model"].get("last", {}).get("documents"):
            return client, uri, found
        version += 2
        insert(client, uri, version, 5, 0, "\n")  # another text, so that nothing is answered from memory
        await asyncio.sleep(0.2)
    raise AssertionError(found)


async def test_another_file_is_read_and_a_key_prefills_only_what_was_typed(connect: Connect, project: Path):
    client, uri, found = await attending(connect, project)
    assert found["model"]["resident"]["documents"] >= 1
    await until(client, lambda found: found["model"]["resident"]["staleTokens"] == 0)
    insert(client, uri, 1000, 4, 22, "a")
    await complete(client, uri, 4, 23)
    last = (await status(client))["model"]["last"]
    assert last["prefilledTokens"] <= 4
    assert last["documents"] >= 1


async def test_after_a_restart_documents_are_not_encoded_again(connect: Connect, project: Path):
    client, _, found = await attending(connect, project)
    assert found["model"]["cache"]["encodedTokens"] > 0
    await client.shutdown_session()
    assert client._server is not None
    await asyncio.wait_for(client._server.wait(), 30)
    _, _, again = await attending(connect, project)
    cache = again["model"]["cache"]
    assert cache["disk"]["hits"] > 0
    assert cache["encodedTokens"] < found["model"]["cache"]["encodedTokens"] / 2 + 1


async def test_the_shell_sees_what_a_running_server_holds(connect: Connect, project: Path):
    def shell(*arguments: str) -> str:
        return subprocess.run(
            command("status", *arguments), env=environment(), capture_output=True, text=True, check=True
        ).stdout

    assert json.loads(shell("--json")) == {"servers": []}
    assert "No server is running" in shell()
    client, _, _ = await attending(connect, project)
    for _ in range(100):
        (server,) = json.loads(await asyncio.to_thread(shell, "--json"))["servers"]
        if server["model"].get("cache", {}).get("encodedTokens"):
            break
        await asyncio.sleep(0.2)
    tiers = server["model"]["cache"]
    for tier in ("accelerator", "host", "disk"):
        assert {"budgetBytes", "bytes", "entries", "hits", "misses", "evictions"} <= set(tiers[tier])
    assert tiers["encodedTokens"] > 0
    assert "Encoded documents" in await asyncio.to_thread(shell)
    await client.shutdown_session()
    assert client._server is not None
    await asyncio.wait_for(client._server.wait(), 30)
    assert json.loads(await asyncio.to_thread(shell, "--json")) == {"servers": []}
