"""The language server object: pygls' server with our documents in place of its own.

pygls keeps a copy of every text and dies on a change to a document that was never opened; here the messages of
document synchronisation go straight to our handlers. Errors are logged, never shown as popups: what the user
has to know is said once, by `tell`.
"""

import logging
from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Any

import attrs
from lsprotocol import types as lsp
from pygls.lsp.server import LanguageServer
from pygls.protocol import LanguageServerProtocol
from pygls.protocol.language_server import lsp_method

from inkling import __version__

if TYPE_CHECKING:
    from server.session import Session

log = logging.getLogger(__name__)


class InklingProtocol(LanguageServerProtocol):
    """Document synchronisation without pygls' own workspace."""

    def _to_handler(self, method: str, params: Any) -> Generator[Any, Any, None]:
        if (handler := self.fm.features.get(method)) is not None:
            yield handler, (params,), None

    @lsp_method(lsp.TEXT_DOCUMENT_DID_OPEN)
    def lsp_text_document__did_open(self, params: lsp.DidOpenTextDocumentParams) -> Generator[Any, Any, None]:
        """A document was opened."""
        yield from self._to_handler(lsp.TEXT_DOCUMENT_DID_OPEN, params)

    @lsp_method(lsp.TEXT_DOCUMENT_DID_CHANGE)
    def lsp_text_document__did_change(self, params: lsp.DidChangeTextDocumentParams) -> Generator[Any, Any, None]:
        """A document was changed."""
        yield from self._to_handler(lsp.TEXT_DOCUMENT_DID_CHANGE, params)

    @lsp_method(lsp.TEXT_DOCUMENT_DID_CLOSE)
    def lsp_text_document__did_close(self, params: lsp.DidCloseTextDocumentParams) -> Generator[Any, Any, None]:
        """A document was closed."""
        yield from self._to_handler(lsp.TEXT_DOCUMENT_DID_CLOSE, params)


class InklingServer(LanguageServer):
    """The connection to one client. `session` exists from `initialize` on."""

    session: "Session"

    def __init__(self) -> None:
        super().__init__("inkling", __version__, protocol_cls=InklingProtocol)

    def report_server_error(self, error: Exception, source: Any) -> None:
        """Log only: pygls' own way recurses into a closed stream when the client is gone."""
        log.error("%s: %s", getattr(source, "__name__", source), error, exc_info=error)

    def tell(self, message: str, *, problem: bool = True) -> None:
        """Say something to the user, once, in the editor's own way."""
        kind = lsp.MessageType.Warning if problem else lsp.MessageType.Info
        self.window_show_message(lsp.ShowMessageParams(kind, message))


def plain(value: Any) -> Any:
    """The value of a custom message as dictionaries, lists and scalars, whatever pygls made of its objects."""
    if isinstance(value, tuple) and (names := getattr(value, "_fields", None)) is not None:
        return {name: plain(item) for name, item in zip(names, value, strict=True)}
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if attrs.has(type(value)):
        return {name: plain(item) for name, item in attrs.asdict(value, recurse=False).items()}
    return value
