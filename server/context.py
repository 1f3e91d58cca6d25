"""Which documents a completion attends to: the parts of other files that the index points at, chosen whole.

Files are read as the editor has them, else from disk, and cut into units; that happens on a thread of its own and is
kept until the file changes, so that a keystroke rarely waits for it. Before them stands what the user wrote elsewhere
(`server.recent_edits`). Secret files and files that are no text never get here.

Always: `find` answers within the deadline. What is not there by then goes on being looked for, one search per document
at a time, and serves the next request.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from index.context import Ask
from index.files import UnreadableError, is_secret, read
from index.records import Hit
from model.document import Document
from model.engine import Engine, EngineError
from model.units import named_units, units_of_lines
from server.documents import Documents, Snapshot
from server.recent_edits import Lines
from server.settings import Settings
from server.workspaces import Folder, Workspaces

_FOUND = 64  # documents whose last search is remembered
_KEPT = 256  # files whose units are remembered
_WARMED = 24  # units of a file that are encoded when it is opened or saved


class Context:
    """Finds documents for a cursor, and has those of opened files encoded beforehand. Belongs to the event loop."""

    def __init__(self, engine: Engine, workspaces: Workspaces, documents: Documents, settings: Settings) -> None:
        self.settings = settings
        self._engine = engine
        self._workspaces = workspaces
        self._documents = documents
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="units")
        self._units: dict[Path, tuple[object, tuple[Document, ...]]] = {}  # with the version that they were cut from
        self._searches: dict[str, asyncio.Task[None]] = {}  # under way, by document
        self._first: asyncio.Task[None] | None = None
        self._found: dict[str, tuple[Document, ...]] = {}  # what the last search of a document ended with

    async def find(self, snapshot: Snapshot, prefix: str, suffix: str) -> tuple[Document, ...]:
        """The documents for a cursor, the most helpful first; past the deadline those of an earlier one here."""
        settings, place = self.settings.completion, self._workspaces.of(snapshot.path)
        if place is None or self._engine.tokens is None:
            return ()
        written = self._written(snapshot, place[0], len(prefix))
        if settings.context_documents == 0:
            return written
        search = self._searches.get(snapshot.uri)
        if search is None:
            search = asyncio.create_task(self._search(snapshot.uri, *place, prefix, suffix), name="context")
            self._searches[snapshot.uri] = search
            search.add_done_callback(lambda _: self._searches.pop(snapshot.uri, None))
        await asyncio.wait([search], timeout=settings.context_milliseconds / 1000)
        return (*written, *self._found.get(snapshot.uri, ()))

    def _written(self, snapshot: Snapshot, folder: Folder, offset: int) -> tuple[Document, ...]:
        """What the user wrote in this folder: in places like this one, and last."""
        settings, open_document, path = self.settings.completion, self._documents.get(snapshot.uri), snapshot.path
        if path is None or open_document is None:
            return ()

        def named(file: Path) -> str | None:
            return None if is_secret(file) else folder.relative(file)

        def read(file: Path) -> Lines | None:
            document = self._documents.at(file)
            return document.lines if document is not None else None

        line, recent = open_document.position(offset).line, self._documents.recent
        last = recent.document(path, line, named, read, settings.recent_characters)
        like = recent.similar(path, line, named, read, settings.similar_characters, last)
        return tuple(made for made in (like, last) if made is not None)

    async def _search(self, uri: str, folder: Folder, path: str, prefix: str, suffix: str) -> None:
        settings = self.settings.completion
        edited = [(folder.relative(file), line) for file, line in self._documents.edited()]
        recent = tuple((file, line) for file, line in edited if file is not None)
        limits = settings.context_documents, settings.context_characters
        hits = await self._workspaces.context(folder, Ask(path, prefix, suffix, *limits, recent))
        open_texts = {path: self._text(folder, path) for path in {hit.path for hit in hits}}
        work = asyncio.get_running_loop().run_in_executor(self._executor, self._around, folder, hits, open_texts)
        found = await work
        self._found.pop(uri, None)
        self._found[uri] = found  # the newest last
        if len(self._found) > _FOUND:
            del self._found[next(iter(self._found))]

    def warm(self, path: Path | None) -> None:
        """This file was opened or saved: have its units encoded when nobody waits."""
        place = self._workspaces.of(path)
        if place is not None and self._engine.tokens is not None and self.settings.completion.enabled:
            folder, relative = place
            text = self._text(folder, relative)
            asyncio.get_running_loop().run_in_executor(self._executor, self._warm, folder, relative, text)

    def start(self) -> None:
        """Warm the files that the editor opened while the model was still loading."""
        self._first = asyncio.create_task(self._warm_open(), name="warm what is open")

    async def _warm_open(self) -> None:
        with contextlib.suppress(asyncio.CancelledError, EngineError):
            await self._engine.ready()
            for document in list(self._documents):
                self.warm(document.path)

    def close(self) -> None:
        """Let the thread end."""
        if self._first is not None:
            self._first.cancel()
        for search in self._searches.values():
            search.cancel()
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _text(self, folder: Folder, path: str) -> str | None:
        """A file as the editor has it; None if it is not open."""
        document = self._documents.at(folder.named / path, folder.root / path)
        return document.text if document is not None else None

    def _around(self, folder: Folder, hits: Sequence[Hit], open_texts: dict[str, str | None]) -> tuple[Document, ...]:
        """The units that hold these hits."""
        found: dict[Document, None] = {}
        for hit in hits:
            cut = self._cut(folder, hit.path, open_texts[hit.path])
            if not cut:
                continue
            found |= dict.fromkeys(cut[number] for number in units_of_lines(cut, hit.start_line, hit.end_line))
        return tuple(found)

    def _warm(self, folder: Folder, path: str, text: str | None) -> None:
        self._engine.warm(self._cut(folder, path, text)[:_WARMED], folder.root.name)

    def _cut(self, folder: Folder, path: str, text: str | None) -> tuple[Document, ...]:
        """The units of a file, `text` if it is open; () if it cannot be read as text."""
        tokens, file, most = self._engine.tokens, folder.root / path, self.settings.index.max_file_bytes
        if tokens is None or is_secret(file):
            return ()
        try:
            version: object = text
            if text is None:
                status = file.lstat()
                version = (status.st_mtime_ns, status.st_size)
                if status.st_size > most:
                    return ()
            known = self._units.pop(file, None)
            if known is None or known[0] != version:
                whole = read(folder.root, path, max_bytes=most).text if text is None else text
                known = version, named_units(Document(path, _unix(whole)), tokens, self._engine.longest_document)
        except (OSError, UnreadableError):
            return ()
        self._units[file] = known  # the newest last
        while len(self._units) > _KEPT:
            del self._units[next(iter(self._units))]
        return known[1]


def _unix(text: str) -> str:
    """The text with line ends of one character."""
    return text.replace("\r\n", "\n").replace("\r", "\n")
