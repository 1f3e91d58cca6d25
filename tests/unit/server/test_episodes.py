"""What the agent proposed is applied once, and what went wrong is told beside what was done."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from lsprotocol import types as lsp

from agent.findings import Span, TextEdit
from agent.shadow import apply
from agent.toolbox import Proposal
from inkling import folders
from server import episodes
from server.diagnostics import Diagnostics
from server.documents import Documents, OpenDocument
from server.episodes import EpisodeError, Episodes, TakenBack
from server.learning import Learning
from server.linters.settings import LinterSettings
from server.offering import Editor
from server.session_project import SessionProject
from server.settings import IndexSettings, Settings
from server.workspaces import Workspaces


class Desk:
    """An editor with the files a.py, b.py and c.py open, for each of which the agent proposes `after`."""

    def __init__(self, root: Path) -> None:
        self.labels: list[str] = []
        self.refused: set[str] = set()
        self.meanwhile: Callable[[], None] = lambda: None  # happens while the editor is asked
        workspaces = Workspaces(IndexSettings(enabled=False), None, lambda root, message: None)
        workspaces.add(root)
        self.documents = Documents()
        for name in ("a.py", "b.py", "c.py"):
            uri = (root / name).as_uri()
            self.documents.open(lsp.TextDocumentItem(uri, "python", 1, f"before {name}\n"))
        self.root = root
        self.editor = Editor(self.make, self.documents.encoding, versioned=True)
        self.learning = Learning(folders.feedback_database(), Settings(), lambda message: None)
        linters = LinterSettings(ruff=False, pyright=False)
        self.diagnostics = Diagnostics(workspaces, linters, lambda message: None, None)
        self.episodes = Episodes(self.learning, self.chat)
        folder = workspaces.folder_of(root / "a.py")
        assert folder is not None
        project = SessionProject(folder, workspaces, self.documents, self.diagnostics)
        proposals = [Proposal(name, f"before {name}\n", f"after {name}\n", "") for name in ("a.py", "b.py", "c.py")]
        proposals.append(Proposal("new.py", None, "new\n", ""))
        self.episodes.keep("e", project, "ask", {one.path: one for one in proposals})

    async def chat(self, *_: object) -> None:
        raise AssertionError("nobody is asked here")

    async def make(self, edit: lsp.WorkspaceEdit, label: str) -> bool:
        await asyncio.sleep(0)
        self.meanwhile()
        self.labels.append(label)
        (change,) = edit.document_changes
        document = self.documents.get(change.text_document.uri)
        if document.path.name in self.refused:
            return False
        assert change.text_document.version == document.version
        edits = [
            TextEdit(Span(e.range.start.line, 0, e.range.end.line, e.range.end.character), e.new_text)
            for e in change.edits
        ]
        self.write(document.path.name, apply(document.text, edits))
        return True

    def document(self, name: str) -> OpenDocument:
        document = self.documents.get((self.root / name).as_uri())
        assert document is not None
        return document

    def write(self, name: str, text: str) -> None:
        document = self.document(name)
        change = lsp.TextDocumentContentChangeWholeDocument(text)
        list(self.documents.change(document.uri, document.version + 1, [change]))

    def texts(self) -> list[str]:
        return [self.document(name).text for name in ("a.py", "b.py", "c.py")]


REVIEWED = {name: f"after {name}\n" for name in ("a.py", "b.py", "c.py")}


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    await desk.diagnostics.close()
    desk.learning.close()


async def test_what_was_applied_before_something_went_wrong_is_told(desk: Desk):
    desk.refused = {"b.py"}
    applied, message = await desk.episodes.apply("e", REVIEWED, desk.editor)
    assert applied == ["a.py"]
    assert message == "The editor did not apply the edit of b.py. Not applied either: c.py."
    desk.refused = set()
    rest = {name: text for name, text in REVIEWED.items() if name not in applied}
    assert await desk.episodes.apply("e", rest, desk.editor) == (["b.py", "c.py"], "")


async def test_applying_twice_at_once_applies_once(desk: Desk):
    answers = await asyncio.gather(*(desk.episodes.apply("e", REVIEWED, desk.editor) for _ in range(2)))
    assert answers == [(["a.py", "b.py", "c.py"], ""), ([], "")]
    assert len(desk.labels) == 3
    assert desk.texts() == list(REVIEWED.values())


async def test_another_text_for_what_was_applied_is_refused(desk: Desk):
    await desk.episodes.apply("e", REVIEWED, desk.editor)
    applied, message = await desk.episodes.apply("e", {"a.py": "else\n"}, desk.editor)
    assert (applied, message) == ([], "No proposal for a.py is left.")


async def test_what_is_turned_down_while_another_file_is_applied_is_not_applied(desk: Desk):
    desk.meanwhile = lambda: desk.episodes.deny("e")
    applied, message = await desk.episodes.apply("e", REVIEWED, desk.editor)
    assert applied == ["a.py"]
    assert message == "No proposal for b.py is left. Not applied either: c.py."


async def test_of_a_new_file_that_is_turned_down_whole_none_is_made(desk: Desk):
    assert await desk.episodes.apply("e", {"new.py": ""}, desk.editor) == ([], "")
    assert desk.labels == []


async def test_undo_goes_on_after_a_file_that_cannot_be_taken_back_and_keeps_that_one(desk: Desk):
    await desk.episodes.apply("e", REVIEWED, desk.editor)
    desk.refused = {"a.py"}
    first = await desk.episodes.undo("e", desk.editor)
    assert first == TakenBack(2, 0, ("a.py",), "The editor did not take a.py back.")
    desk.refused = set()
    assert await desk.episodes.undo("e", desk.editor) == TakenBack(1, 0, (), "")
    assert desk.texts() == ["before a.py\n", "before b.py\n", "before c.py\n"]


async def test_what_the_editor_gave_its_own_line_ends_is_taken_back(desk: Desk):
    made: list[object] = []

    async def make(edit: lsp.WorkspaceEdit, label: str) -> bool:
        made.extend(edit.document_changes or ())
        return True

    editor = Editor(make, desk.documents.encoding, versioned=True)
    await desk.episodes.apply("e", {"new.py": "new\n"}, editor)
    desk.documents.open(lsp.TextDocumentItem((desk.root / "new.py").as_uri(), "python", 1, "new\r\n"))
    desk.episodes.applied("e", "a.py", "", "a\nb\n")
    desk.write("a.py", "a\r\nb\r\n")
    made.clear()
    assert await desk.episodes.undo("e", editor) == TakenBack(2, 0, (), "")
    assert [type(change) for change in made] == [lsp.DeleteFile, lsp.TextDocumentEdit]


async def test_undoing_twice_at_once_takes_back_once(desk: Desk):
    await desk.episodes.apply("e", REVIEWED, desk.editor)
    first, second = await asyncio.gather(
        *(desk.episodes.undo("e", desk.editor) for _ in range(2)), return_exceptions=True
    )
    assert first == TakenBack(3, 0, (), "")
    assert isinstance(second, EpisodeError)
    assert len(desk.labels) == 6


async def test_what_is_typed_while_an_edit_is_worked_out_is_not_overwritten(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
):
    def slowly(old: str, new: str) -> tuple[TextEdit, ...]:
        desk.write("a.py", "typed\n")
        return ()

    monkeypatch.setattr(episodes, "edits_between", slowly)
    applied, message = await desk.episodes.apply("e", {"a.py": REVIEWED["a.py"]}, desk.editor)
    assert (applied, message) == ([], "a.py changes just now: try again.")
    assert desk.texts()[0] == "typed\n"


async def test_the_event_loop_goes_on_while_texts_are_compared(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    """Each comparison waits for something that only the event loop can bring about."""
    loop = asyncio.get_running_loop()
    compared = []

    async def nothing() -> None:
        pass

    for name in ("edits_between", "undo"):
        compare = getattr(episodes, name)

        def told(*given, name=name, compare=compare):
            asyncio.run_coroutine_threadsafe(nothing(), loop).result(10)
            compared.append(name)
            return compare(*given)

        monkeypatch.setattr(episodes, name, told)
    await desk.episodes.apply("e", {"a.py": REVIEWED["a.py"]}, desk.editor)
    await desk.episodes.undo("e", desk.editor)
    assert compared == ["edits_between", "undo", "edits_between"]
