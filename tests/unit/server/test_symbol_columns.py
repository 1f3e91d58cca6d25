"""`workspace/symbol` counts columns as the editor does, whatever stands before a name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types as lsp

from index.builder import Builder
from server.features import search
from server.session import Session

FILES = {
    "a.js": "const s = '😀', foo = 1\n",
    "b.py": 'x = "é😀"; bar = 1\n',
    "c.py": "def 名前_ü(): pass\n",
    "d.md": "\x85\n---\n\nThat heading is a blank line to us.\n",
}
Columns = dict[str, tuple[int, int]]


class Server:
    """Holds the handlers, to be asked as the editor would ask."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.handlers: dict[str, Callable[[Any], Any]] = {}
        search.register(self)  # type: ignore[arg-type]

    def feature(self, name: str) -> Callable[[Callable[[Any], Any]], Callable[[Any], Any]]:
        return lambda handler: self.handlers.setdefault(name, handler)

    command = feature

    async def columns(self, query: str) -> Columns:
        found = await self.handlers[lsp.WORKSPACE_SYMBOL](lsp.WorkspaceSymbolParams(query))
        return {each.name: (each.location.range.start.character, each.location.range.end.character) for each in found}


@pytest.fixture
def server(session: Session, tmp_path: Path) -> Server:
    """Its session has a folder open that is indexed already."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    Builder(tmp_path, None).build()
    session.workspaces.add(tmp_path)
    return Server(session)


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        (lsp.PositionEncodingKind.Utf16, {"s": (6, 7), "foo": (16, 19), "bar": (11, 14), "名前_ü": (4, 8)}),
        (lsp.PositionEncodingKind.Utf8, {"s": (6, 7), "foo": (18, 21), "bar": (14, 17), "名前_ü": (4, 13)}),
        (lsp.PositionEncodingKind.Utf32, {"s": (6, 7), "foo": (15, 18), "bar": (10, 13), "名前_ü": (4, 8)}),
    ],
)
async def test_columns_are_in_the_encoding_that_was_negotiated(
    server: Server, encoding: lsp.PositionEncodingKind, expected: Columns
):
    server.session.documents.encoding = encoding
    for name, columns in expected.items():
        assert (await server.columns(name))[name] == columns
    await server.session.close()


async def test_a_name_on_a_line_that_lies_in_no_chunk_is_found(server: Server):
    assert (await server.columns(""))["\x85"] == (0, 1)
    await server.session.close()
