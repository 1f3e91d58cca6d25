"""Document synchronisation, folders, files and settings: what the editor tells us unasked."""

import asyncio
from pathlib import Path

from lsprotocol import types as lsp

from server.documents import path_of
from server.protocol import InklingServer


def register(server: InklingServer) -> None:
    """Announce the handlers of this module."""

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
    async def did_close(params: lsp.DidCloseTextDocumentParams) -> None:
        uri = params.text_document.uri
        server.session.offers.settle(uri)
        server.session.learning.closed(uri)
        server.session.mended.forget(uri)
        server.session.offers.forget(uri)
        server.session.documents.close(uri)
        await server.session.diagnostics.forget(uri)

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


def initial_folders(params: lsp.InitializeParams) -> list[Path]:
    """The folders that the editor opens with: workspace folders, else the root URI, else the root path."""
    uris = [folder.uri for folder in params.workspace_folders or []]
    if not uris and params.root_uri:
        uris = [params.root_uri]
    paths = [path for uri in uris if (path := path_of(uri)) is not None]
    if not paths and params.root_path:
        paths = [Path(params.root_path)]
    return paths
