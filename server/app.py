"""The language server, wired: what is announced, when a session starts and ends, and how bytes come and go."""

import logging
import logging.handlers
import os
import sys
from typing import BinaryIO

from lsprotocol import types as lsp

from inkling import folders
from inkling.errors import UserError
from server.editor_chat import EditorChat
from server.features import adapters, agent, completion, diagnostics, nights, search, status, sync
from server.progress import IndexProgress, NightProgress
from server.protocol import InklingServer, plain
from server.session import Client, Session
from server.settings import Settings, merge, user_settings

_LOG_BYTES, _LOG_FILES = 2_000_000, 3
_CLIENT_GONE = 1
_PUT_AWAY_SECONDS = 1.5  # for the engine to write encoded documents to disk


def create_server() -> InklingServer:
    """A server with every feature announced; it does nothing until a client says `initialize`."""
    server = InklingServer()
    problems: list[str] = []

    @server.feature(lsp.INITIALIZE)
    def initialize(params: lsp.InitializeParams) -> None:
        settings, found = _settings(params)
        problems.extend(found)
        server.session = Session(settings, _client(server, params))

    @server.feature(lsp.INITIALIZED)
    async def initialized(params: lsp.InitializedParams) -> None:
        server.session.start()
        server.session.report_all(problems)
        await _watch_files(server)

    @server.feature(lsp.SHUTDOWN)
    async def shutdown(params: None) -> None:
        await server.session.close()

    for feature in (sync, completion, diagnostics, search, status, nights, adapters, agent):
        feature.register(server)
    return server


def serve_stdio() -> None:
    """Serve one client over standard input and output, which from here on belong to the protocol alone."""
    source, sink = _private_streams()
    _log_to_file()
    server = create_server()
    server.start_io(source, sink)
    _leave(server)


def serve_tcp(host: str, port: int) -> None:
    """Serve one client over TCP, for debugging."""
    _log_to_file()
    server = create_server()
    server.start_tcp(host, port)
    _leave(server)


def _settings(params: lsp.InitializeParams) -> tuple[Settings, list[str]]:
    try:
        settings, problems = user_settings()
    except UserError as error:
        settings, problems = Settings(), [str(error)]
    settings, more = merge(settings, plain(params.initialization_options))
    return settings, problems + more


def _client(server: InklingServer, params: lsp.InitializeParams) -> Client:
    text_document = params.capabilities.text_document
    encoding = server.workspace.position_encoding or lsp.PositionEncodingKind.Utf16
    return Client(
        encoding=lsp.PositionEncodingKind(encoding),
        pulls_diagnostics=bool(text_document and text_document.diagnostic),
        roots=tuple(sync.initial_folders(params)),
        tell=server.tell,
        publish=server.text_document_publish_diagnostics,
        on_index_progress=IndexProgress(server).report,
        chat=lambda settings: EditorChat(server, settings),
        on_night=NightProgress(server).report,
    )


async def _watch_files(server: InklingServer) -> None:
    """Ask the client for file events, if it can send them; else the index looks for changes by itself."""
    workspace = server.client_capabilities.workspace
    watching = workspace.did_change_watched_files if workspace else None
    if watching is None or not watching.dynamic_registration:
        return
    options = lsp.DidChangeWatchedFilesRegistrationOptions([lsp.FileSystemWatcher(glob_pattern="**/*")])
    await server.client_register_capability_async(
        lsp.RegistrationParams([lsp.Registration("files", lsp.WORKSPACE_DID_CHANGE_WATCHED_FILES, options)])
    )


def _private_streams() -> tuple[BinaryIO, BinaryIO]:
    """Duplicates of standard input and output for the protocol; whatever else is printed goes to standard error."""
    source, sink = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)  # a child that reads our input would steal the editor's messages
    os.close(nothing)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return source, sink


def _log_to_file() -> None:
    """Log to a file that is kept small; pygls prints every payload at INFO, so it is held to warnings."""
    folder = folders.logs_folder()
    folder.mkdir(parents=True, exist_ok=True)
    handler = logging.handlers.RotatingFileHandler(
        folder / "server.log", maxBytes=_LOG_BYTES, backupCount=_LOG_FILES, encoding="utf-8", delay=True
    )
    handler.setFormatter(logging.Formatter("%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for noisy in ("pygls", "httpx", "transformers", "sentence_transformers"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _leave(server: InklingServer) -> None:
    """End the process now: a model that is still loading on its thread must not keep it alive."""
    session = getattr(server, "session", None)
    if session is not None:
        session.close_at_once()
        session.engine.join(_PUT_AWAY_SECONDS)
    logging.shutdown()
    os._exit(0 if server.protocol._shutdown else _CLIENT_GONE)
