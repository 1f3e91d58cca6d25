"""`inkling mcp` as an agent meets it: the official client over standard input and output, real search, real ruff."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.types import CallToolResult, TextContent

from inkling.process import command, environment


@asynccontextmanager
async def connected(root: Path, *options: str) -> AsyncIterator[ClientSession]:
    program, *arguments = command("mcp", "--root", str(root), *options)
    parameters = StdioServerParameters(command=program, args=arguments, env=environment())
    async with stdio_client(parameters) as (source, sink), ClientSession(source, sink) as session:
        await session.initialize()
        yield session


def said(result: CallToolResult) -> str:
    return "\n".join(part.text for part in result.content if isinstance(part, TextContent))


async def test_every_tool_says_that_it_only_reads(project: Path):
    async with connected(project) as session:
        tools = (await session.list_tools()).tools
    assert {tool.name for tool in tools} == {"semantic_search", "diagnostics", "read_file"}
    assert all(tool.annotations and tool.annotations.read_only_hint for tool in tools)
    assert all(tool.description for tool in tools)


@pytest.mark.weights
async def test_search_finds_by_meaning_what_no_word_names(project: Path):
    async with connected(project) as session:
        found = await session.call_tool("semantic_search", {"query": "surface of something round", "limit": 2})
        assert not found.is_error
        assert said(found).startswith("shapes.py:")
        (project / "volcano.py").write_text("def erupt() -> str:\n    return 'lava'\n")  # noticed without a restart
        assert "volcano.py" in said(await session.call_tool("semantic_search", {"query": "erupt lava"}))


async def test_findings_come_with_their_place(project: Path):
    (project / "loose.py").write_text("import os\n\nprint(undefined_name)\n")
    async with connected(project) as session:
        lines = said(await session.call_tool("diagnostics", {"path": "loose.py"})).splitlines()
        clean = said(await session.call_tool("diagnostics", {"path": "shapes.py"}))
    assert [line.split(":")[0] for line in lines] == ["1", "3"]
    assert "F401" in lines[0]
    assert clean == "No findings."


REFUSED = {
    "../secret.txt": "no path inside the project",
    "/etc/passwd": "no path inside the project",
    "outside.txt": "leads out of the project",
    ".env": "may hold secrets",
    "notes.txt": "leads to a file that may hold secrets",
    "missing.py": "There is no file missing.py",
}


async def test_nothing_outside_and_nothing_secret_is_read(project: Path, tmp_path: Path):
    (tmp_path / "secret.txt").write_text("a secret")
    (project / "outside.txt").symlink_to(tmp_path / "secret.txt")
    (project / ".env").write_text("TOKEN=a secret")
    (project / "notes.txt").symlink_to(".env")
    async with connected(project) as session:
        for path, why in REFUSED.items():
            for tool in ("read_file", "diagnostics"):
                answer = await session.call_tool(tool, {"path": path})
                assert answer.is_error
                assert why in said(answer)
                assert "a secret" not in said(answer)
