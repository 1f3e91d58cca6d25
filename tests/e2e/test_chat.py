"""`inkling/chat` and `inkling/agent` over standard input and output, with a small client that has a scripted model.

Everything but the model is real: the server, its index, ruff, and a client that applies the edits it is asked to make.
"""

import asyncio
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types as lsp
from pygls.exceptions import JsonRpcInternalError
from pytest_lsp import LanguageClient

from agent.findings import Span, TextEdit
from agent.shadow import apply
from server.protocol import plain
from tests.e2e.conftest import QUIET, Connect, ask, open_document, run

ON: dict[str, Any] = {**QUIET, "agent": {"model": "editor", "editorModel": "clever"}, "linters": {"pyright": False}}
Answer = Mapping[str, Any] | Callable[[dict[str, Any]], Mapping[str, Any]]


class Model:
    """Answers with the given replies in turn, each streamed in two pieces; `asked` is what it was sent."""

    def __init__(self, client: LanguageClient, *replies: Answer) -> None:
        self.asked: list[dict[str, Any]] = []
        self._replies = list(replies)
        self._client = client

        @client.feature("inkling/chat")
        async def chat(params: Any) -> Any:
            return self._answer(params)

    def _answer(self, params: Any) -> dict[str, Any]:
        asked = plain(params)
        self.asked.append(asked)
        reply = self._replies.pop(0)
        answer = dict(reply(asked) if callable(reply) else reply)
        text = str(answer.get("text", ""))
        for piece in filter(None, (text[: len(text) // 2], text[len(text) // 2 :])):
            progress = lsp.ProgressParams(asked["partialResultToken"], {"text": piece})
            self._client.protocol.notify(lsp.PROGRESS, progress)
        return answer


class Files:
    """The client's side of edits: what it opened, changed, made and deleted."""

    def __init__(self, client: LanguageClient) -> None:
        self.texts: dict[str, str] = {}
        self.broken: set[str] = set()  # URIs whose edits end in an error
        self._client = client
        self._versions: dict[str, int] = {}
        client.protocol.fm.features.pop(lsp.WORKSPACE_APPLY_EDIT)
        client.feature(lsp.WORKSPACE_APPLY_EDIT)(lambda params: self.apply(params))

    def open(self, file: Path) -> str:
        uri = file.as_uri()
        self.texts[uri], self._versions[uri] = file.read_text(), 1
        open_document(self._client, uri, self.texts[uri])
        return uri

    def write(self, uri: str, text: str) -> None:
        self._versions[uri] += 1
        self.texts[uri] = text
        identifier = lsp.VersionedTextDocumentIdentifier(self._versions[uri], uri)
        change = lsp.TextDocumentContentChangeWholeDocument(text)
        self._client.text_document_did_change(lsp.DidChangeTextDocumentParams(identifier, [change]))

    def apply(self, params: lsp.ApplyWorkspaceEditParams) -> lsp.ApplyWorkspaceEditResult:
        for change in params.edit.document_changes or []:
            if isinstance(change, lsp.CreateFile):
                self.texts[change.uri], self._versions[change.uri] = "", 1
                open_document(self._client, change.uri, "")
            elif isinstance(change, lsp.DeleteFile):
                del self.texts[change.uri]
                self._client.text_document_did_close(
                    lsp.DidCloseTextDocumentParams(lsp.TextDocumentIdentifier(change.uri))
                )
            elif isinstance(change, lsp.TextDocumentEdit):
                uri = change.text_document.uri
                if uri in self.broken:
                    raise JsonRpcInternalError("It is broken.")
                assert change.text_document.version in (None, self._versions[uri])
                self.write(uri, apply(self.texts[uri], [_plain(edit) for edit in change.edits]))
        return lsp.ApplyWorkspaceEditResult(applied=True)


def _plain(edit: Any) -> TextEdit:
    start, end = edit.range.start, edit.range.end
    return TextEdit(Span(start.line, start.character, end.line, end.character), edit.new_text)


def call(name: str, id: str = "1", **input: Any) -> dict[str, Any]:
    return {"text": "", "calls": [{"id": id, "name": name, "input": input}], "model": "clever"}


def said(text: str) -> dict[str, Any]:
    return {"text": text, "calls": [], "model": "clever"}


async def test_code_is_explained_with_what_the_model_looks_up(connect: Connect, project: Path):
    client = await connect(project, ON, "chat")
    files = Files(client)
    model = Model(client, call("read_file", path="report.py"), said("It measures a circle."))
    steps: list[Any] = []
    client.protocol.fm.features.pop(lsp.PROGRESS)
    client.feature(lsp.PROGRESS)(lambda params: steps.append(plain(params.value)))
    cursor = {"line": 8, "character": 4}  # inside `area`
    answer = await ask(
        client, "inkling/agent", id="e", kind="explain", uri=files.open(project / "shapes.py"),
        range={"start": cursor, "end": cursor}, partialResultToken="t",
    )  # fmt: skip
    assert (answer["finished"], answer["text"], answer["proposals"]) == (True, "It measures a circle.", [])
    first, second = model.asked
    assert first["model"] == "clever"
    assert "shapes.py, lines 8 to 9" in first["messages"][0]["text"]
    assert {tool["name"] for tool in first["tools"]} == {"semantic_search", "read_file", "diagnostics"}
    assert [message["role"] for message in second["messages"]] == ["user", "assistant", "user"]
    assert "def describe" in second["messages"][2]["results"][0]["text"]
    assert [step["kind"] for step in steps] == ["call", "result", "text", "text"]
    assert "".join(step["text"] for step in steps[2:]) == "It measures a circle."


async def test_edits_wait_for_the_review_are_applied_and_taken_back(connect: Connect, project: Path):
    client = await connect(project, ON, "chat")
    files, before = Files(client), (project / "shapes.py").read_text()
    uri, new = files.open(project / "shapes.py"), (project / "test_shapes.py").as_uri()
    Model(
        client,
        call("edit_file", path="shapes.py", old="class Circle:\n", new='class Circle:\n    """Round."""\n\n'),
        call("edit_file", path="test_shapes.py", old="", new="import shapes\nimport os\n\nassert shapes.Circle(1)\n"),
        said("Documented and tested."),
    )
    answer = await ask(client, "inkling/agent", id="e", kind="test", uri=uri)
    assert [one["path"] for one in answer["proposals"]] == ["shapes.py", "test_shapes.py"]
    assert answer["proposals"][1]["before"] is None
    assert files.texts == {uri: before}  # nothing happens before the review
    assert (project / "shapes.py").read_text() == before
    agreed = {one["path"]: one["after"] for one in answer["proposals"]}
    agreed["test_shapes.py"] = agreed["test_shapes.py"].replace("import os\n", "")  # one hunk is turned down
    assert (await run(client, "inkling.agent.apply", "e", agreed))["applied"] == ["shapes.py", "test_shapes.py"]
    assert '"""Round."""' in files.texts[uri]
    assert files.texts[new] == "import shapes\n\nassert shapes.Circle(1)\n"
    files.write(uri, files.texts[uri] + "\n\nUNIT = 1\n")  # the user goes on
    undone = await run(client, "inkling.agent.undo", "e")
    assert (undone["undone"], undone["kept"]) == (2, 0)
    assert files.texts == {uri: before + "\n\nUNIT = 1\n"}


async def test_new_findings_come_back_to_the_model_old_ones_do_not(connect: Connect, project: Path):
    (project / "loose.py").write_text("import os\n")
    client = await connect(project, ON, "chat")
    model = Model(
        client,
        call("edit_file", path="loose.py", old="import os\n", new="import os\nimport sys\n"),
        call("edit_file", path="loose.py", old="import os\n", new="import os  # noqa\n"),
        call("edit_file", path="../elsewhere.py", old="", new="x = 1\n"),
        said("done"),
    )
    answer = await ask(client, "inkling/agent", id="e", kind="ask", text="import sys")
    results = [asked["messages"][-1]["results"][0]["text"] for asked in model.asked[1:]]
    assert "`sys` imported but unused" in results[0]
    assert "`os` imported" not in results[0]
    assert "silences the linter" in results[1]
    assert "no path inside the project" in results[2]
    assert [one["after"] for one in answer["proposals"]] == ["import os\nimport sys\n"]


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
async def test_a_proposal_says_where_a_link_leads(connect: Connect, project: Path):
    (project / ".vscode").mkdir()
    (project / "docs").symlink_to(".vscode")
    client = await connect(project, ON, "chat")
    Model(client, call("edit_file", path="docs/tasks.json", old="", new="{}\n"), said("done"))
    (proposal,) = (await ask(client, "inkling/agent", id="e", kind="ask", text="go"))["proposals"]
    assert (proposal["path"], proposal["place"]) == ("docs/tasks.json", ".vscode/tasks.json")


async def test_a_file_that_changed_since_is_not_overwritten(connect: Connect, project: Path):
    client = await connect(project, ON, "chat")
    files = Files(client)
    uri = files.open(project / "shapes.py")
    Model(client, call("edit_file", path="shapes.py", old="import math\n", new="import cmath\n"), said("done"))
    (proposal,) = (await ask(client, "inkling/agent", id="e", kind="ask", uri=uri, text="go"))["proposals"]
    files.write(uri, "mine = 1\n")
    answer = await run(client, "inkling.agent.apply", "e", {"shapes.py": proposal["after"]})
    assert "changed since the agent read it" in answer["message"]
    assert files.texts[uri] == "mine = 1\n"


async def test_what_an_editor_could_not_apply_is_said_beside_what_it_did(connect: Connect, project: Path):
    client = await connect(project, ON, "chat")
    files = Files(client)
    shapes, report = files.open(project / "shapes.py"), files.open(project / "report.py")
    Model(
        client,
        call("edit_file", path="shapes.py", old="import math\n", new="import cmath\n"),
        call("edit_file", path="report.py", old="square metres", new="m²"),
        said("done"),
    )
    answer = await ask(client, "inkling/agent", id="e", kind="ask", uri=shapes, text="go")
    agreed = {one["path"]: one["after"] for one in answer["proposals"]}
    files.broken = {report}
    answer = await run(client, "inkling.agent.apply", "e", agreed)
    assert answer == {"applied": ["shapes.py"], "message": "The editor did not apply the edit of report.py."}
    assert "import cmath" in files.texts[shapes]
    files.broken = {shapes}
    answer = await run(client, "inkling.agent.undo", "e")
    assert (answer["undone"], answer["left"]) == (0, ["shapes.py"])
    assert "The editor did not take shapes.py back." in answer["message"]


async def test_code_with_half_a_character_is_explained(connect: Connect, project: Path):
    client = await connect(project, ON, "chat")
    Model(client, said("It is odd."))
    uri = (project / "shapes.py").as_uri()
    open_document(client, uri, "def f():\n    return '\ud800'\n")
    cursor = {"line": 1, "character": 4}
    answer = await ask(client, "inkling/agent", id="e", kind="explain", uri=uri, range={"start": cursor, "end": cursor})
    assert answer["text"] == "It is odd."


@pytest.mark.parametrize(
    ("settings", "capabilities", "reason", "named"),
    [
        (QUIET, "chat", "off", "inkling.agent.model"),
        (ON, "editor", "no_client", "inkling.agent.model"),
    ],
)
async def test_without_leave_or_a_model_nothing_is_asked(
    connect: Connect, project: Path, settings: Any, capabilities: str, reason: str, named: str
):
    client = await connect(project, settings, capabilities)
    model = Model(client)
    answer = await ask(client, "inkling/agent", id="e", kind="ask", text="go")
    assert answer["refused"] == reason
    assert named in answer["message"]
    assert model.asked == []


async def test_what_the_client_says_about_its_model_reaches_the_user(connect: Connect, project: Path):
    client = await connect(project, ON, "chat")
    Model(client, {"refused": "no_model", "message": "Install one."}, {"nonsense": 1})
    first = await ask(client, "inkling/agent", id="e", kind="ask", text="go")
    assert first == {"refused": "no_model", "message": "Install one."}
    second = await ask(client, "inkling/agent", id="f", kind="ask", text="go")
    assert second["refused"] == "failed"


async def test_stopping_a_run_stops_the_model(connect: Connect, project: Path):
    client = await connect(project, ON, "chat")
    began, stopped = asyncio.Event(), asyncio.Event()

    @client.feature("inkling/chat")
    async def chat(params: Any) -> Any:
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            stopped.set()
            raise

    parameters = {"id": "e", "kind": "ask", "text": "go"}
    running = asyncio.ensure_future(client.protocol.send_request_async("inkling/agent", parameters, msg_id="the run"))
    await asyncio.wait_for(began.wait(), 60)
    client.protocol.notify(lsp.CANCEL_REQUEST, lsp.CancelParams("the run"))
    await asyncio.wait_for(stopped.wait(), 60)
    with pytest.raises(Exception, match="canceled"):
        await running


async def test_the_fix_asks_the_editors_model_where_the_linter_has_no_repair(connect: Connect, project: Path):
    (project / "loose.py").write_text("values = [1, 2]\nprint(len(valeus))\n")
    client = await connect(project, ON, "chat")
    files = Files(client)
    model = Model(client, said("Here:\n```python\nprint(len(values))\n```"))
    uri = files.open(project / "loose.py")
    answer = await run(client, "inkling.agent.fix", uri, 1, "F821", "fix")
    assert answer["fixed"], answer
    assert "Undefined name `valeus`" in model.asked[0]["messages"][0]["text"]
    assert model.asked[0]["tools"] == []
    assert files.texts[uri] == "values = [1, 2]\nprint(len(values))\n"
    await run(client, "inkling.agent.undo", "fix")
    assert files.texts[uri] == "values = [1, 2]\nprint(len(valeus))\n"


async def test_no_fix_sends_a_file_with_secrets_to_a_model(connect: Connect, project: Path):
    (project / "secrets.py").write_text("password = 'hunter2'\nprint(pasword)\n")
    client = await connect(project, ON, "chat")
    model = Model(client, said("```python\nprint(password)\n```"))
    uri = Files(client).open(project / "secrets.py")
    assert not (await run(client, "inkling.agent.fix", uri, 1, "F821", "fix"))["fixed"]
    assert model.asked == []
