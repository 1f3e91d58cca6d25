"""Findings are mended if they go and their code stays, or goes alone; with a real linter, from save to save."""

import asyncio
from pathlib import Path

import pytest
from lsprotocol import types as lsp

from agent.findings import Finding, Lint
from feedback.consent import Consent
from feedback.database import find_database
from feedback.reading import signals
from inkling import folders
from server.diagnostics import Diagnostics
from server.documents import Documents, OpenDocument
from server.learning import Learning
from server.linters.settings import LinterSettings
from server.mended import Mended
from server.settings import IndexSettings, Settings
from server.workspaces import Workspaces

UNUSED = "import json\nimport os\n\nprint(json)\n"


class Desk:
    """One folder with consent, its linters and one document."""

    def __init__(self, root: Path, consent: Consent = Consent.LOCAL) -> None:
        self.root = root
        workspaces = Workspaces(IndexSettings(enabled=False), None, lambda root, message: None)
        workspaces.add(root)
        self.learning = Learning(folders.feedback_database(), Settings(), lambda message: None, lambda taken: None)
        if consent is not Consent.OFF:
            self.learning.consents.set(root, consent)
        linters = LinterSettings(ruff=True, pyright=False)
        self.diagnostics = Diagnostics(workspaces, linters, lambda message: None, None)
        self.mended = Mended(self.diagnostics, self.learning, lambda path: (str(root), path.name if path else ""))
        self.documents = Documents()
        self.document: OpenDocument = self.documents.open(
            lsp.TextDocumentItem((root / "a.py").as_uri(), "python", 1, UNUSED)
        )

    async def save(self, text: str) -> None:
        change = lsp.TextDocumentContentChangeWholeDocument(text)
        list(self.documents.change(self.document.uri, self.document.version + 1, [change]))
        await self.look()

    async def look(self) -> None:
        self.mended.look(self.document)
        for task in list(self.mended._looking.values()):
            await task

    async def told(self) -> list[tuple[str, str]]:
        await self.mended.close()
        await self.diagnostics.close()
        self.learning.close()
        database = find_database(folders.feedback_database())
        if database is None:
            return []
        found = [(signal.kind, signal.subject) for signal in signals(database)]
        database.dispose()
        return found


async def test_a_finding_that_the_user_mended_is_told_once(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    await desk.look()
    await desk.save("import json\n\nprint(json)\n")
    await desk.save("import json\n\nprint(json, 1)\n")
    assert await desk.told() == [("lint_fixed", "F401")]


async def test_what_is_still_found_is_not_mended(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    await desk.look()
    await desk.save("# moved down\n" + UNUSED)
    assert await desk.told() == []


async def test_what_went_with_more_code_is_not_mended(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    await desk.save("import json\n\n\ndef f():\n    import os\n    a()\n    b()\n    c()\n    d()\n\n\nprint(json)\n")
    await desk.save("import json\n\nprint(json)\n")
    assert await desk.told() == []


async def test_what_the_agent_mended_is_not_the_users(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    await desk.look()
    after = "import json\n\nprint(json)\n"
    desk.learning.agent_edits(desk.document.uri, UNUSED, after, "offer", (str(tmp_path), "a.py"))
    desk.learning.changed(desk.document.uri, [], 2, after)
    await desk.save(after)
    assert await desk.told() == []


@pytest.mark.parametrize("consent", [Consent.OFF])
async def test_without_consent_nobody_looks(tmp_path: Path, consent: Consent) -> None:
    desk = Desk(tmp_path, consent)
    desk.mended.look(desk.document)
    assert not desk.mended._looking
    assert await desk.told() == []


async def test_a_look_that_was_under_way_when_the_document_was_closed_counts_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(tmp_path)
    asked, answered = asyncio.Event(), asyncio.Event()
    checker = desk.diagnostics.checker

    def slow(uri: str, language: str) -> Lint:
        async def lint(path: str, text: str) -> list[Finding]:
            asked.set()
            await answered.wait()
            return await checker(uri, language)(path, text)

        return lint

    with monkeypatch.context() as while_slow:
        while_slow.setattr(desk.diagnostics, "checker", slow)
        desk.mended.look(desk.document)
        (look,) = desk.mended._looking.values()
        await asked.wait()
    desk.mended.forget(desk.document.uri)
    answered.set()
    await asyncio.wait({look})
    await desk.save("import json\n\nprint(json)\n")
    assert await desk.told() == []
