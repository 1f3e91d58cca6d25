"""Diagnostics of the open documents: pulled by clients that can, pushed to those that cannot.

The unsaved text is linted, by the linters of the folder that holds the document. While the user types, a push
waits until the text has been still for a moment; a newer text makes an older answer worthless.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lsprotocol import types as lsp

from agent.findings import Lint
from agent.shadow import lines_of
from server.documents import OpenDocument, path_of
from server.linters.diagnostics import report_of
from server.linters.hub import Linters
from server.linters.settings import LinterSettings
from server.workspaces import Workspaces

_STILL_SECONDS = 0.3


class Diagnostics:
    """Lints documents and hands the findings to the client."""

    def __init__(
        self,
        workspaces: Workspaces,
        settings: LinterSettings,
        report: Callable[[str], None],
        publish: Callable[[lsp.PublishDiagnosticsParams], None] | None,
    ) -> None:
        self._workspaces = workspaces
        self._settings = settings
        self._report = report
        self._publish = publish
        self._linters: dict[Path | None, Linters] = {}
        self._waiting: dict[str, asyncio.Task[None]] = {}

    def refresh(self, document: OpenDocument) -> None:
        """The document was opened or changed: push its findings soon, if this client wants them pushed."""
        if self._publish is None:
            return
        self._drop(document.uri)
        self._waiting[document.uri] = asyncio.create_task(self._push_soon(document), name="push diagnostics")

    async def forget(self, uri: str) -> None:
        """The document was closed."""
        self._drop(uri)
        if self._publish is not None:
            self._publish(lsp.PublishDiagnosticsParams(uri, []))  # what was pushed would stay in the editor's list
        await self._linters_for(uri).forget(uri)

    def files_changed(self, paths: Sequence[Path]) -> None:
        """Files changed on disk: the linters' own settings may be among them."""
        for linters in self._linters.values():
            linters.files_changed([str(path) for path in paths])

    async def of(self, document: OpenDocument) -> list[lsp.Diagnostic]:
        """The diagnostics of the text as it stands now."""
        text, encoding = document.text, document.encoding.value
        linters = self._linters_for(document.uri)
        findings = await linters.lint(document.uri, document.language, text, version=document.version)
        return report_of(findings, lines_of(text), encoding)

    def checker(self, uri: str, language: str) -> Lint:
        """Lints any text under the name of a document, and fails rather than answer with less than everything."""
        return self._linters_for(uri).checker(language)

    async def close_folder(self, root: Path) -> None:
        """The folder was closed: its linters end."""
        linters = self._linters.pop(root, None)
        if linters is not None:
            await linters.close()

    def status(self) -> list[dict[str, Any]]:
        """What each linter does, per folder; `root` is null for documents outside of every folder."""
        return [
            {"root": str(root) if root else None, "linters": dict(linters.status())}
            for root, linters in self._linters.items()
        ]

    async def close(self) -> None:
        """Stop the linters."""
        for uri in list(self._waiting):
            self._drop(uri)
        await asyncio.gather(*(linters.close() for linters in self._linters.values()))

    def _linters_for(self, uri: str) -> Linters:
        """The linters of the folder that holds the document; those of no folder for what lies elsewhere."""
        place = self._workspaces.of(path_of(uri))
        root = place[0].root if place else None
        if root not in self._linters:
            self._linters[root] = Linters(root, self._settings, self._report)
        return self._linters[root]

    def _drop(self, uri: str) -> None:
        """Forget a push that is waiting."""
        task = self._waiting.pop(uri, None)
        if task is not None:
            task.cancel()

    async def _push_soon(self, document: OpenDocument) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(_STILL_SECONDS)
            version = document.version
            found = await self.of(document)
            if document.version == version and self._publish is not None:
                self._publish(lsp.PublishDiagnosticsParams(document.uri, found, version))
