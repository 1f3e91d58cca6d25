"""A real client of a real server process, and small repositories to open in it."""

import asyncio
import json
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import pytest
from lsprotocol import types as lsp
from lsprotocol.converters import get_converter
from pytest_lsp import ClientServerConfig, LanguageClient

from inkling.process import command, environment
from server.protocol import plain

HERE = Path(__file__).parent
QUIET: dict[str, Any] = {"completion": {"enabled": False}, "index": {"enabled": False}}


class Connect(Protocol):
    """Starts a server and shakes hands with it."""

    def __call__(
        self, root: Path | None, settings: Mapping[str, Any] | None = None, capabilities: str = "editor"
    ) -> Awaitable[LanguageClient]: ...


@pytest.fixture
async def connect(inkling_home: Path) -> AsyncIterator[Connect]:
    """Start servers; they are shut down after the test, and must go without being killed."""
    clients: list[LanguageClient] = []

    async def start(
        root: Path | None, settings: Mapping[str, Any] | None = None, capabilities: str = "editor"
    ) -> LanguageClient:
        config = ClientServerConfig(server_command=command("serve"), server_env=environment())
        client = await config.start()
        assert isinstance(client, LanguageClient)
        clients.append(client)
        client.feature(lsp.WORKSPACE_APPLY_EDIT)(lambda params: lsp.ApplyWorkspaceEditResult(applied=True))
        client.feature(lsp.CLIENT_REGISTER_CAPABILITY)(lambda params: None)
        can = json.loads((HERE / "capabilities" / f"{capabilities}.json").read_text())
        folders = [lsp.WorkspaceFolder(root.as_uri(), root.name)] if root else None
        announced = await client.initialize_session(
            lsp.InitializeParams(
                capabilities=get_converter().structure(can, lsp.ClientCapabilities),
                root_uri=root.as_uri() if root else None,
                workspace_folders=folders,
                initialization_options=dict(QUIET if settings is None else settings),
            )
        )
        client.announced = announced.capabilities  # what the server said that it can do
        return client

    yield start
    for client in clients:
        process = client._server
        assert process is not None
        if process.returncode is None:
            await asyncio.wait_for(client.shutdown_session(), 30)
            assert await asyncio.wait_for(process.wait(), 30) == 0
        await client.stop()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A small git repository with two Python files that belong together."""
    root = tmp_path / "project"
    root.mkdir()
    (root / "shapes.py").write_text(
        "import math\n\n\nclass Circle:\n    def __init__(self, radius: float) -> None:\n"
        "        self.radius = radius\n\n    def area(self) -> float:\n        return math.pi * self.radius**2\n"
    )
    (root / "report.py").write_text(
        "from shapes import Circle\n\n\ndef describe(circle: Circle) -> str:\n"
        '    """Say in words how large a circle is."""\n    return f"{circle.area():.1f} square metres"\n'
    )
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    return root


def open_document(client: LanguageClient, uri: str, text: str, language: str = "python", version: int = 1) -> None:
    """Open a document."""
    client.text_document_did_open(lsp.DidOpenTextDocumentParams(lsp.TextDocumentItem(uri, language, version, text)))


def insert(client: LanguageClient, uri: str, version: int, line: int, character: int, text: str) -> None:
    """Insert a text at a position."""
    change_range(client, uri, version, (line, character), (line, character), text)


def change_range(
    client: LanguageClient, uri: str, version: int, start: tuple[int, int], end: tuple[int, int], text: str
) -> None:
    """Replace a range by a text."""
    span = lsp.Range(lsp.Position(*start), lsp.Position(*end))
    client.text_document_did_change(
        lsp.DidChangeTextDocumentParams(
            lsp.VersionedTextDocumentIdentifier(version, uri),
            [lsp.TextDocumentContentChangePartial(range=span, text=text)],
        )
    )


async def complete(
    client: LanguageClient, uri: str, line: int, character: int, *, by_hand: bool = False
) -> list[lsp.InlineCompletionItem]:
    """Ask for ghost text."""
    kind = lsp.InlineCompletionTriggerKind.Invoked if by_hand else lsp.InlineCompletionTriggerKind.Automatic
    answer = await client.text_document_inline_completion_async(
        lsp.InlineCompletionParams(
            context=lsp.InlineCompletionContext(kind),
            text_document=lsp.TextDocumentIdentifier(uri),
            position=lsp.Position(line, character),
        )
    )
    return list(answer.items if isinstance(answer, lsp.InlineCompletionList) else answer or [])


async def pull(client: LanguageClient, uri: str) -> list[lsp.Diagnostic]:
    """Pull the diagnostics of a document."""
    report = await client.text_document_diagnostic_async(lsp.DocumentDiagnosticParams(lsp.TextDocumentIdentifier(uri)))
    assert isinstance(report, lsp.RelatedFullDocumentDiagnosticReport)
    return list(report.items)


async def run(client: LanguageClient, name: str, *arguments: Any) -> Any:
    """Run a command of the server."""
    answer = await client.workspace_execute_command_async(lsp.ExecuteCommandParams(name, list(arguments)))
    return plain(answer)


async def ask(client: LanguageClient, method: str, **parameters: Any) -> Any:
    """Send one of our own requests."""
    return plain(await client.protocol.send_request_async(method, parameters))


async def status(client: LanguageClient) -> dict[str, Any]:
    """What the server says about itself."""
    answer: dict[str, Any] = await ask(client, "inkling/status")
    return answer


async def until(
    client: LanguageClient, reached: Callable[[dict[str, Any]], bool], seconds: float = 90
) -> dict[str, Any]:
    """Ask for the status until it is as wanted."""
    deadline = time.monotonic() + seconds
    while not reached(found := await status(client)):
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.05)
    return found
