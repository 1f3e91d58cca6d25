"""An editor without a screen: it opens, types, asks and accepts over stdio, as a real one would.

It keeps its own copy of every buffer and sends incremental changes, so that what the server believes about a text
can be compared with what the editor knows. Positions are UTF-16, as in VS Code.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lsprotocol import types as lsp
from pygls.lsp.client import LanguageClient

from feedback.regions import Edit
from inkling.process import command, environment
from server.documents import OpenDocument
from server.protocol import plain


class Editor:
    """One client of one server process."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.buffers: dict[str, OpenDocument] = {}
        self.messages: list[str] = []
        self._client = LanguageClient("inkling-tour", "1")
        self._stderr: asyncio.Task[bytes] | None = None
        self._client.feature(lsp.WORKSPACE_APPLY_EDIT)(lambda params: self._apply_edit(params))
        self._client.feature(lsp.WINDOW_SHOW_MESSAGE)(lambda params: self.messages.append(params.message))
        for asked in (lsp.WINDOW_WORK_DONE_PROGRESS_CREATE, lsp.CLIENT_REGISTER_CAPABILITY):
            self._client.feature(asked)(lambda params: None)
        for told in (lsp.PROGRESS, lsp.WINDOW_LOG_MESSAGE, lsp.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS):
            self._client.feature(told)(lambda params: None)

    async def start(self, settings: Mapping[str, Any], variables: Mapping[str, str]) -> lsp.InitializeResult:
        """Start the server as a child process and shake hands."""
        await self._client.start_io(*command("serve"), env=environment(variables), cwd=str(self.root))
        process = self._client._server
        assert process is not None
        assert process.stderr is not None
        self._stderr = asyncio.create_task(process.stderr.read())
        result = await self._client.initialize_async(
            lsp.InitializeParams(
                capabilities=capabilities(),
                root_uri=self.root.as_uri(),
                workspace_folders=[lsp.WorkspaceFolder(self.root.as_uri(), self.root.name)],
                initialization_options=dict(settings),
            )
        )
        self._client.initialized(lsp.InitializedParams())
        return result

    async def stop(self) -> int:
        """Shut the server down; its exit code."""
        process = self._client._server
        assert process is not None
        with contextlib.suppress(Exception):  # a server that is gone already is told by its exit code
            await asyncio.wait_for(self._client.shutdown_async(None), 20)
            self._client.exit(None)
        try:
            code = await asyncio.wait_for(process.wait(), 20)
        except TimeoutError:
            process.kill()
            code = await process.wait()
        await self._client.stop()
        return code

    def open(self, path: Path, language: str, text: str | None = None) -> OpenDocument:
        """Open a file in a buffer, with a text of its own if given."""
        content = path.read_text(encoding="utf-8") if text is None else text
        buffer = OpenDocument(path.as_uri(), language, 1, content, lsp.PositionEncodingKind.Utf16)
        self.buffers[buffer.uri] = buffer
        item = lsp.TextDocumentItem(buffer.uri, language, 1, content)
        self._client.text_document_did_open(lsp.DidOpenTextDocumentParams(item))
        return buffer

    def close(self, buffer: OpenDocument) -> None:
        """Close a buffer without saving."""
        del self.buffers[buffer.uri]
        identifier = lsp.TextDocumentIdentifier(buffer.uri)
        self._client.text_document_did_close(lsp.DidCloseTextDocumentParams(identifier))

    def replace(self, buffer: OpenDocument, start: int, end: int, text: str) -> None:
        """Change a buffer, in one edit, and tell the server."""
        span = lsp.Range(buffer.position(start), buffer.position(end))
        change = lsp.TextDocumentContentChangePartial(range=span, text=text)
        edit: Edit = buffer.apply(change)
        assert (edit.start, edit.end) == (start, end)
        buffer.version += 1
        identifier = lsp.VersionedTextDocumentIdentifier(buffer.version, buffer.uri)
        self._client.text_document_did_change(lsp.DidChangeTextDocumentParams(identifier, [change]))

    def type(self, buffer: OpenDocument, offset: int, text: str) -> int:
        """Type a text key by key; the offset behind it."""
        for key in text:
            self.replace(buffer, offset, offset, key)
            offset += len(key)
        return offset

    async def complete(self, buffer: OpenDocument, offset: int) -> lsp.InlineCompletionItem | None:
        """Ask for ghost text."""
        answer = await self._client.text_document_inline_completion_async(
            lsp.InlineCompletionParams(
                context=lsp.InlineCompletionContext(lsp.InlineCompletionTriggerKind.Automatic),
                text_document=lsp.TextDocumentIdentifier(buffer.uri),
                position=buffer.position(offset),
            )
        )
        items = answer.items if isinstance(answer, lsp.InlineCompletionList) else (answer or [])
        return items[0] if items else None

    async def accept(self, buffer: OpenDocument, item: lsp.InlineCompletionItem) -> int:
        """Take the ghost text over and run its command, as editors do; the offset behind it."""
        assert item.range is not None
        assert isinstance(item.insert_text, str)
        start, end = buffer.offset(item.range.start), buffer.offset(item.range.end)
        self.replace(buffer, start, end, item.insert_text)
        if item.command is not None:
            await self.run(item.command.command, *(item.command.arguments or []))
        return start + len(item.insert_text)

    async def run(self, name: str, *arguments: Any) -> Any:
        """Run a command of the server."""
        parameters = lsp.ExecuteCommandParams(command=name, arguments=list(arguments))
        return plain(await self._client.workspace_execute_command_async(parameters))

    async def diagnostics(self, buffer: OpenDocument) -> list[lsp.Diagnostic]:
        """Pull the diagnostics of the unsaved text."""
        report = await self._client.text_document_diagnostic_async(
            lsp.DocumentDiagnosticParams(lsp.TextDocumentIdentifier(buffer.uri))
        )
        assert isinstance(report, lsp.RelatedFullDocumentDiagnosticReport)
        return list(report.items)

    async def symbols(self, query: str) -> list[Any]:
        """Search by name."""
        return list(await self._client.workspace_symbol_async(lsp.WorkspaceSymbolParams(query)) or [])

    async def request(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A request of our own, such as `inkling/search`; the answer as a dictionary."""
        answer: dict[str, Any] = plain(await self._client.protocol.send_request_async(method, parameters))
        return answer

    def _apply_edit(self, params: lsp.ApplyWorkspaceEditParams) -> lsp.ApplyWorkspaceEditResult:
        """Apply an edit that the server asks for, from the end of each text to its beginning."""
        for uri, edits in _edits(params.edit).items():
            buffer = self.buffers.get(uri)
            if buffer is None:
                return lsp.ApplyWorkspaceEditResult(applied=False, failure_reason=f"{uri} is not open")
            for edit in sorted(edits, key=lambda e: (e.range.start.line, e.range.start.character), reverse=True):
                self.replace(buffer, buffer.offset(edit.range.start), buffer.offset(edit.range.end), edit.new_text)
        return lsp.ApplyWorkspaceEditResult(applied=True)


def _edits(edit: lsp.WorkspaceEdit) -> dict[str, list[Any]]:
    """The text edits per document, from either of the two forms that the protocol has."""
    if edit.document_changes:
        changes = [change for change in edit.document_changes if isinstance(change, lsp.TextDocumentEdit)]
        return {change.text_document.uri: list(change.edits) for change in changes}
    return {uri: list(edits) for uri, edits in (edit.changes or {}).items()}


def capabilities() -> lsp.ClientCapabilities:
    """What an editor of today can do."""
    return lsp.ClientCapabilities(
        text_document=lsp.TextDocumentClientCapabilities(
            inline_completion=lsp.InlineCompletionClientCapabilities(),
            diagnostic=lsp.DiagnosticClientCapabilities(),
            synchronization=lsp.TextDocumentSyncClientCapabilities(did_save=True),
        ),
        workspace=lsp.WorkspaceClientCapabilities(
            apply_edit=True,
            workspace_edit=lsp.WorkspaceEditClientCapabilities(document_changes=True),
            did_change_watched_files=lsp.DidChangeWatchedFilesClientCapabilities(dynamic_registration=True),
        ),
        window=lsp.WindowClientCapabilities(work_done_progress=True),
    )
