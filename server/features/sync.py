"""Document synchronisation, folders, files and settings: what the editor tells us unasked."""

import asyncio
from pathlib import Path

from lsprotocol import types as lsp

from server.documents import path_of
from server.protocol import InklingServer
from server.session import Session


def register(server: InklingServer) -> None:
    """Announce the handlers of this module."""
    forgetting: set[asyncio.Task[None]] = set()  # the event loop itself holds no task

    @server.feature(lsp.TEXT_DOCUMENT_DID_OPEN)
    def did_open(params: lsp.DidOpenTextDocumentParams) -> None:
        document = server.session.documents.open(params.text_document)
        server.session.diagnostics.refresh(document)
        server.session.context.warm(document.path)
        server.session.mended.look(document)

    @server.feature(lsp.TEXT_DOCUMENT_DID_CHANGE)
    def did_change(params: lsp.DidChangeTextDocumentParams) -> None:
        session, item = server.session, params.text_document
        session.activity.touch()
        document = session.documents.get(item.uri)
        session.offers.settle(item.uri)
        edits = [edit for _, edit in session.documents.change(item.uri, item.version, params.content_changes)]
        if document is not None:
            session.learning.changed(item.uri, edits, item.version, document.text)
            session.diagnostics.refresh(document)

    @server.feature(lsp.TEXT_DOCUMENT_DID_SAVE)
    def did_save(params: lsp.DidSaveTextDocumentParams) -> None:
        if (path := path_of(params.text_document.uri)) is not None:
            server.session.workspaces.changed([path])
            server.session.context.warm(path)
        if (document := server.session.documents.get(params.text_document.uri)) is not None:
            server.session.mended.look(document)

    @server.feature(lsp.TEXT_DOCUMENT_DID_CLOSE)
    def did_close(params: lsp.DidCloseTextDocumentParams) -> None:
        session, uri = server.session, params.text_document.uri
        session.offers.settle(uri)
        session.learning.closed(uri)
        session.mended.forget(uri)
        session.offers.forget(uri)
        session.documents.close(uri)  # at once: an open that follows in the same packet is handled before any task
        task = asyncio.create_task(_forget_findings(session, uri), name="forget findings")
        forgetting.add(task)
        task.add_done_callback(forgetting.discard)

    @server.feature(lsp.WORKSPACE_DID_CHANGE_WATCHED_FILES)
    def did_change_watched_files(params: lsp.DidChangeWatchedFilesParams) -> None:
        paths = [path for change in params.changes if (path := path_of(change.uri)) is not None]
        server.session.workspaces.changed(paths)
        server.session.diagnostics.files_changed(paths)

    @server.feature(lsp.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS)
    async def did_change_workspace_folders(params: lsp.DidChangeWorkspaceFoldersParams) -> None:
        for folder in params.event.added:
            if (path := path_of(folder.uri)) is not None:
                server.session.workspaces.add(path)
        gone = [path for folder in params.event.removed if (path := path_of(folder.uri)) is not None]
        await asyncio.gather(*(server.session.close_folder(path) for path in gone))

    @server.feature(lsp.WORKSPACE_DID_CHANGE_CONFIGURATION)
    def did_change_configuration(params: lsp.DidChangeConfigurationParams) -> None:
        settings = params.settings
        values = settings.get("inkling") if isinstance(settings, dict) else getattr(settings, "inkling", None)
        server.session.configure(values)


async def _forget_findings(session: Session, uri: str) -> None:
    """Nothing is found any more in a document that was closed; where it is open again, it is looked at anew."""
    await session.diagnostics.forget(uri)
    if (document := session.documents.get(uri)) is not None:
        session.diagnostics.refresh(document)


def initial_folders(params: lsp.InitializeParams) -> list[Path]:
    """The folders that the editor opens with: workspace folders, else the root URI, else the root path."""
    uris = [folder.uri for folder in params.workspace_folders or []]
    if not uris and params.root_uri:
        uris = [params.root_uri]
    paths = [path for uri in uris if (path := path_of(uri)) is not None]
    if not paths and params.root_path:
        paths = [Path(params.root_path)]
    return paths
