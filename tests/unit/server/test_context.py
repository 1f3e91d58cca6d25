"""Documents for a cursor: the deadline holds whatever the search does, and what was late serves the next request."""

import asyncio
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from lsprotocol import types as lsp

from index.builder import Builder
from model.document import Document
from server.context import Context
from server.documents import Documents
from server.settings import CompletionSettings, IndexSettings, Settings
from server.workspaces import Workspaces
from tests.unit.index.workspace import repository

ENGINE = "class Engine:\n    def ignite(self, spark: int) -> bool:\n        return spark > 3\n"
MAIN = "from engine import Engine\n\nEngine().ignite("


class _Characters:
    """Counts every character as a token."""

    def encode(self, text: str) -> list[int]:
        return [0] * len(text)

    def starts(self, text: str) -> list[int]:
        return list(range(len(text)))


class Desk:
    """One folder, indexed, with one open document."""

    def __init__(self, root: Path, milliseconds: int) -> None:
        self.root = repository(root, {"engine.py": ENGINE, "main.py": MAIN, "other.py": "def fuel():\n    return 1\n"})
        Builder(self.root, None).build()
        self.workspaces = Workspaces(IndexSettings(enabled=False), None, lambda root, message: None)
        self.workspaces.add(self.root)
        self.documents = Documents()
        self.documents.open(lsp.TextDocumentItem((self.root / "main.py").as_uri(), "python", 1, MAIN))
        engine = SimpleNamespace(tokens=_Characters(), longest_document=2000)
        settings = Settings(completion=CompletionSettings(context_milliseconds=milliseconds))
        self.context = Context(engine, self.workspaces, self.documents, settings)  # type: ignore[arg-type]

    async def find(self) -> list[str]:
        document = self.documents.at(self.root / "main.py")
        assert document is not None
        return [found.path for found in await self.context.find(document.snapshot(), MAIN, "")]

    async def close(self) -> None:
        self.context.close()
        await self.workspaces.close()


async def test_what_is_imported_is_found_in_time(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "workspace", 60_000)
    assert await desk.find() == ["engine.py"]
    await desk.close()


async def test_the_deadline_holds_and_what_is_late_serves_the_next_request(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "workspace", 1)
    free = threading.Event()
    desk.workspaces._keystrokes.submit(free.wait)
    assert await desk.find() == []  # the search has not even begun
    (search,) = desk.context._searches.values()
    assert await desk.find() == []
    assert list(desk.context._searches.values()) == [search], "one search per document at a time"
    free.set()
    await search
    free.clear()
    desk.workspaces._keystrokes.submit(free.wait)
    assert await desk.find() == ["engine.py"]
    free.set()
    await desk.close()


async def test_a_search_that_takes_long_holds_no_keystroke_up(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "workspace", 60_000)
    free = threading.Event()
    desk.workspaces._executor.submit(free.wait)
    assert await desk.find() == ["engine.py"]
    free.set()
    await desk.close()


async def test_a_file_that_became_a_link_is_not_read(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "workspace", 60_000)
    (tmp_path / "outside.py").write_text(ENGINE)
    (desk.root / "engine.py").unlink()
    (desk.root / "engine.py").symlink_to(tmp_path / "outside.py")
    assert await desk.find() == []
    await desk.close()


async def test_a_file_in_latin1_is_read(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "workspace", 60_000)
    (desk.root / "engine.py").write_bytes(f"# zündet\n{ENGINE}".encode("latin-1"))
    assert await desk.find() == ["engine.py"]
    await desk.close()


async def test_a_file_as_big_as_the_setting_allows_is_read(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "workspace", 60_000)
    (desk.root / "engine.py").write_text(ENGINE + f"# {'Sparks fly. ' * 20}\n" * 4_200)
    Builder(desk.root, None, max_file_bytes=5_000_000).build()
    assert await desk.find() == []
    desk.context.settings = replace(desk.context.settings, index=IndexSettings(max_file_bytes=5_000_000))
    assert set(await desk.find()) == {"engine.py"}
    await desk.close()


async def test_what_was_open_before_the_model_was_ready_is_warmed_then(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "workspace", 60_000)
    warmed: list[tuple[str, ...]] = []
    done = threading.Event()

    async def ready() -> None:
        return None

    def warm(documents: tuple[Document, ...], repository: str) -> None:
        warmed.append(tuple(document.path for document in documents))
        done.set()

    desk.context._engine.ready, desk.context._engine.warm = ready, warm  # type: ignore[method-assign,assignment]
    desk.context.start()
    assert await asyncio.to_thread(done.wait, 20)
    assert warmed == [("main.py",)]
    await desk.close()


async def test_a_file_with_line_ends_of_windows_is_read_the_same_open_or_not(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "workspace", 60_000)
    text = ENGINE.replace("\n", "\r\n")
    (desk.root / "engine.py").write_bytes(text.encode())
    folder = desk.workspaces.of(desk.root / "engine.py")
    assert folder is not None
    assert desk.context._cut(folder[0], "engine.py", text) == desk.context._cut(folder[0], "engine.py", None)
    await desk.close()


async def test_what_was_edited_in_another_file_takes_part(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "workspace", 60_000)
    uri = (desk.root / "other.py").as_uri()
    desk.documents.open(lsp.TextDocumentItem(uri, "python", 1, "def fuel():\n    return 1\n"))
    place = lsp.Range(lsp.Position(1, 11), lsp.Position(1, 12))
    list(desk.documents.change(uri, 2, [lsp.TextDocumentContentChangePartial(range=place, text="2")]))
    assert desk.documents.edited() == [(desk.root / "other.py", 1)]
    assert await desk.find() == ["recent_edits.py", "engine.py", "other.py"]
    await desk.close()


async def test_what_was_written_elsewhere_stands_first_and_stays_the_same_at_one_place(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "workspace", 60_000)
    other, secret = (desk.root / "other.py").as_uri(), (desk.root / ".env").as_uri()
    elsewhere = (tmp_path / "elsewhere.py").as_uri()
    for uri in (other, secret, elsewhere):
        desk.documents.open(lsp.TextDocumentItem(uri, "python", 1, "x = 1\n"))
        start = lsp.Range(lsp.Position(0, 0), lsp.Position(0, 0))
        list(desk.documents.change(uri, 2, [lsp.TextDocumentContentChangePartial(range=start, text="key = 'k'\n")]))
    main = desk.documents.at(desk.root / "main.py")
    assert main is not None
    (first, *_) = await desk.context.find(main.snapshot(), MAIN, "")
    assert first.text == "# other.py\nkey = 'k'\nx = 1\n"
    end = lsp.Range(lsp.Position(2, 16), lsp.Position(2, 16))
    for version, key in enumerate("ab", start=2):
        list(desk.documents.change(main.uri, version, [lsp.TextDocumentContentChangePartial(range=end, text=key)]))
        assert (await desk.context.find(main.snapshot(), main.text, ""))[0] == first
    desk.context.settings = Settings(completion=CompletionSettings(recent_characters=0))
    (first, *_) = await desk.context.find(main.snapshot(), MAIN, "")
    assert first.path == "engine.py"
    await desk.close()


async def test_what_was_written_in_a_place_like_this_one_stands_before_the_newest(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "workspace", 60_000)
    other = (desk.root / "other.py").as_uri()
    text = "from engine import Engine\n\nEngine().ignite(5)\n" + "\n" * 20 + "fuel = 1\n"
    desk.documents.open(lsp.TextDocumentItem(other, "python", 1, text))
    for version, (line, column, typed) in enumerate([(2, 16, "1"), (23, 8, "2")], start=2):
        at = lsp.Range(lsp.Position(line, column), lsp.Position(line, column))
        list(desk.documents.change(other, version, [lsp.TextDocumentContentChangePartial(range=at, text=typed)]))
    desk.context.settings = Settings(completion=CompletionSettings(recent_characters=25, similar_characters=60))
    assert (await desk.find())[:2] == ["similar_edits.py", "recent_edits.py"]
    desk.documents.close(other)
    assert (await desk.find())[:2] == ["similar_edits.py", "recent_edits.py"]
    desk.context.settings = Settings(completion=CompletionSettings(recent_characters=25, similar_characters=0))
    assert (await desk.find())[:2] == ["recent_edits.py", "engine.py"]
    await desk.close()


@pytest.mark.parametrize("count", [3, 12])
def test_only_the_newest_edits_are_remembered(tmp_path: Path, count: int) -> None:
    documents = Documents()
    for number in range(count):
        uri = (tmp_path / f"{number}.py").as_uri()
        documents.open(lsp.TextDocumentItem(uri, "python", 1, ""))
        list(documents.change(uri, 2, [lsp.TextDocumentContentChangeWholeDocument("x")]))
    expected = [tmp_path / f"{number}.py" for number in range(count)][::-1][:8]
    assert [path for path, _ in documents.edited()] == expected
