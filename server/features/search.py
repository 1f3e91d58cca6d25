"""Search by meaning (`inkling/search`) and by name (`workspace/symbol`).

A client that sends a `partialResultToken` with `inkling/search` gets what words and names find at once, as `$/progress`
with the shape of the answer; the answer itself has everything and takes its place.
"""

from pathlib import Path
from typing import Any

from lsprotocol import types as lsp

from index.records import Hit, Match, Symbol
from server.positions import units
from server.protocol import InklingServer, plain

SEARCH = "inkling/search"
REINDEX = "inkling.reindex"
_MOST_HITS = 100
_SYMBOLS = 200
_EARLY: frozenset[Match] = frozenset({"words", "symbol"})

_SYMBOL_KINDS = {
    "function": lsp.SymbolKind.Function,
    "method": lsp.SymbolKind.Method,
    "class": lsp.SymbolKind.Class,
    "interface": lsp.SymbolKind.Interface,
    "type": lsp.SymbolKind.Struct,
    "variable": lsp.SymbolKind.Variable,
    "module": lsp.SymbolKind.Module,
    "section": lsp.SymbolKind.Namespace,
}


def register(server: InklingServer) -> None:
    """Announce the handlers of this module."""

    @server.feature(SEARCH)
    async def search(params: Any) -> dict[str, Any]:
        asked = plain(params) or {}
        query = str(asked.get("query") or "")
        limit = max(1, min(int(asked.get("limit") or 20), _MOST_HITS))
        filters: dict[str, Any] = {name: asked.get(name) for name in ("path", "language", "kind")}
        if (token := asked.get("partialResultToken")) is not None:
            early = await server.session.workspaces.search(query, limit=limit, by=_EARLY, **filters)
            server.progress(lsp.ProgressParams(token, {"query": query, "hits": _messages(early)}))
        found = await server.session.workspaces.search(query, limit=limit, **filters)
        roots = server.session.workspaces.roots
        root = str(roots[0]) if len(roots) == 1 else ""
        id = server.session.learning.signal(
            "searched", root, subject="meaning", text=query, values={"hits": len(found)}
        )
        return {"query": query, "id": id, "hits": _messages(found)}

    @server.feature(lsp.WORKSPACE_SYMBOL)
    async def workspace_symbol(params: lsp.WorkspaceSymbolParams) -> list[lsp.WorkspaceSymbol]:
        found = await server.session.workspaces.symbols(params.query, _SYMBOLS)
        encoding = server.session.documents.encoding
        return [symbol_message(root, symbol, encoding) for root, symbol in found]

    @server.command(REINDEX)
    def reindex() -> None:
        server.session.workspaces.rescan()


def _messages(found: list[tuple[Path, Hit]]) -> list[dict[str, Any]]:
    return [hit_message(root, hit) for root, hit in found]


def hit_message(root: Path, hit: Hit) -> dict[str, Any]:
    """A hit as clients get it; the range covers whole lines, so it needs no encoding."""
    return {
        "uri": (root / hit.path).as_uri(),
        "path": hit.path,
        "range": {
            "start": {"line": hit.start_line, "character": 0},
            "end": {"line": hit.end_line + 1, "character": 0},
        },
        "language": hit.language,
        "kind": hit.kind,
        "name": hit.name,
        "scope": hit.scope,
        "text": hit.text,
        "score": hit.score,
        "matched": list(hit.matched),
    }


def symbol_message(root: Path, symbol: Symbol, encoding: lsp.PositionEncodingKind) -> lsp.WorkspaceSymbol:
    """A definition as clients get it, its columns in the encoding that was negotiated."""
    columns = symbol.column, symbol.end_column
    if symbol.text:
        columns = units(symbol.text, columns[0], encoding), units(symbol.text, columns[1], encoding)
    place = lsp.Range(lsp.Position(symbol.line, columns[0]), lsp.Position(symbol.line, columns[1]))
    return lsp.WorkspaceSymbol(
        name=symbol.name,
        kind=_SYMBOL_KINDS.get(symbol.kind, lsp.SymbolKind.Variable),
        location=lsp.Location((root / symbol.path).as_uri(), place),
        container_name=symbol.scope or None,
    )
