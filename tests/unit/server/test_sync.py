"""What the editor says of its documents counts in the order in which it says it."""

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

import pytest
from lsprotocol import types as lsp

from server.features import sync
from server.session import Session
from tests.unit.server.conftest import WORKSPACE

URI = f"file://{WORKSPACE}/a.py"


class Server:
    """Hands notifications on as pygls does: a coroutine is a task, which begins once nothing else is to be read."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._handlers: dict[str, Callable[[Any], Any]] = {}
        sync.register(self)  # type: ignore[arg-type]

    def feature(self, name: str) -> Callable[[Callable[[Any], Any]], Callable[[Any], Any]]:
        return lambda handler: self._handlers.setdefault(name, handler)

    def open(self, version: int, text: str) -> None:
        item = lsp.TextDocumentItem(URI, "python", version, text)
        self._tell(lsp.TEXT_DOCUMENT_DID_OPEN, lsp.DidOpenTextDocumentParams(item))

    def close(self) -> None:
        self._tell(lsp.TEXT_DOCUMENT_DID_CLOSE, lsp.DidCloseTextDocumentParams(lsp.TextDocumentIdentifier(URI)))

    def _tell(self, name: str, params: Any) -> None:
        if inspect.isawaitable(done := self._handlers[name](params)):
            self.last = asyncio.ensure_future(done)


async def everything_done() -> None:
    while others := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.gather(*others, return_exceptions=True)  # a push that is overtaken is cancelled


async def test_a_document_that_is_closed_and_opened_at_once_is_open(
    session: Session, published: list[lsp.PublishDiagnosticsParams], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("server.diagnostics._STILL_SECONDS", 0.0)
    server = Server(session)
    server.open(7, "old")
    await everything_done()
    server.close()
    server.open(1, "new")
    await everything_done()
    document = session.documents.get(URI)
    assert document is not None
    assert document.text == "new"
    assert [found.version for found in published] == [7, None, 1]
    await session.close()


async def test_a_document_that_is_closed_has_no_findings(
    session: Session, published: list[lsp.PublishDiagnosticsParams]
):
    server = Server(session)
    server.open(1, "x = 1")
    server.close()
    await everything_done()
    assert session.documents.get(URI) is None
    assert published == [lsp.PublishDiagnosticsParams(URI, [])]
    await session.close()
