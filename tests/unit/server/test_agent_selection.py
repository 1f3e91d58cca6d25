"""The lines that the agent is asked about."""

import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from lsprotocol import types as lsp

from server.documents import Documents
from server.features import agent

TEXT = "import os\n\n\ndef f():\n    return 1\n"
CURSOR = {"line": 4, "character": 0}


async def test_the_definition_is_looked_for_beside_the_event_loop_in_the_text_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
):
    documents, looked = Documents(), []
    document = documents.open(lsp.TextDocumentItem("file:///project/a.py", "python", 1, TEXT))
    project = SimpleNamespace(
        folder=SimpleNamespace(relative=lambda path: path.relative_to(Path("/project")).as_posix())
    )
    around = agent.definition_around

    def typed_meanwhile(*asked):
        looked.append(threading.current_thread() is threading.main_thread())
        change = lsp.TextDocumentContentChangeWholeDocument("new = 1\n" + TEXT)
        list(documents.change(document.uri, 2, [change]))
        return around(*asked)

    monkeypatch.setattr(agent, "definition_around", typed_meanwhile)
    selection = await agent._selection(project, document, {"start": CURSOR, "end": CURSOR})
    assert (selection.first, selection.last, selection.text) == (3, 4, "def f():\n    return 1")
    assert looked == [False]
