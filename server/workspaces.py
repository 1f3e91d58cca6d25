"""The folders that the editor has open, each with its search and its indexing process.

Searching runs on a private thread (never pygls' pool, which also reads the editor's messages), so that the event loop
only awaits it; what a keystroke asks for runs on another, as a search may first load the encoder for seconds. Which
folder a file belongs to is decided here.
"""

import asyncio
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from index.context import Ask
from index.embedding import Embedder
from index.fusion import best
from index.names import distance
from index.records import Hit, Match, Symbol
from index.search import ALL, Search
from server.indexing import IndexProcess
from server.settings import IndexSettings

T = TypeVar("T")


def real(path: Path) -> Path:
    """The path without links, which is how folders are told apart."""
    return path.resolve()


class Folder:
    """One workspace folder. `root` is its real path, `named` how the editor calls it, links and all."""

    def __init__(self, root: Path, named: Path, search: Search, process: IndexProcess | None) -> None:
        self.root = root
        self.named = named
        self.search = search
        self.process = process

    def relative(self, path: Path) -> str | None:
        """The path inside this folder, with forward slashes; None if it lies elsewhere. Never looks at the disk."""
        for spelling in (self.named, self.root):
            if path.is_relative_to(spelling):
                return path.relative_to(spelling).as_posix()
        return None


class Workspaces:
    """All open folders. Methods belong to the event loop; what takes time runs on the threads."""

    def __init__(
        self,
        settings: IndexSettings,
        embedding_folder: Path | None,
        on_progress: Callable[[Path, dict[str, Any]], None],
    ) -> None:
        self._settings = settings
        self._embedding_folder = embedding_folder
        self._told = on_progress
        self._warm = False
        self._embedder = Embedder(embedding_folder) if embedding_folder else None
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="search")
        self._keystrokes = ThreadPoolExecutor(1, thread_name_prefix="context")
        self._folders: dict[Path, Folder] = {}

    def add(self, root: Path) -> None:
        """Open a folder and start indexing it."""
        named, root = root, real(root)
        if root in self._folders or not root.is_dir():
            return
        process = None
        if self._settings.enabled:
            options = [
                "--max-file-bytes",
                str(self._settings.max_file_bytes),
                "--max-files",
                str(self._settings.max_files),
                "--embedding",
                f"path:{self._embedding_folder}" if self._embedding_folder is not None else "none",
            ]
            process = IndexProcess(root, options, self._on_progress)
            process.start()
        self._folders[root] = Folder(root, named, Search(root, self._embedder), process)

    async def remove(self, root: Path) -> None:
        """Close a folder."""
        folder = self._folders.pop(root, None) or self._folders.pop(real(root), None)
        if folder is None:
            return
        if folder.process is not None:
            await folder.process.stop()
        await self._run(folder.search.close)

    @property
    def roots(self) -> list[Path]:
        """The open folders, in the order in which they were opened."""
        return list(self._folders)

    def of(self, path: Path | None) -> tuple[Folder, str] | None:
        """The innermost open folder that holds a file, and the file's path in it."""
        if path is None:
            return None
        found: tuple[Folder, str] | None = None
        for folder in self._folders.values():
            relative = folder.relative(path)
            if relative is not None and (found is None or len(folder.root.parts) > len(found[0].root.parts)):
                found = folder, relative
        return found

    def folder_of(self, path: Path | None) -> Folder | None:
        """The open folder that holds a file; without a file, the one that was opened first."""
        place = self.of(path)
        if path is None:
            return next(iter(self._folders.values()), None)
        return place[0] if place else None

    def changed(self, paths: Iterable[Path]) -> None:
        """Files changed on disk: tell the indexing processes they belong to."""
        by_folder: dict[Path, list[Path]] = {}
        for path in paths:
            if (found := self.of(path)) is not None:
                by_folder.setdefault(found[0].root, []).append(found[0].root / found[1])
        for root, changed in by_folder.items():
            process = self._folders[root].process
            if process is not None:
                process.changed(changed)

    def rescan(self) -> None:
        """Look at every folder again."""
        for folder in self._folders.values():
            if folder.process is not None:
                folder.process.rescan()

    async def search(
        self,
        query: str,
        *,
        limit: int,
        path: str | None = None,
        language: str | None = None,
        kind: str | None = None,
        by: frozenset[Match] = ALL,
        folder: Folder | None = None,
    ) -> list[tuple[Path, Hit]]:
        """The best hits over all open folders, or in one of them, best first, each with its folder. `by` leaves
        rankings out."""
        folders = [each for each in self._folders.values() if folder in (None, each)]
        asked = {"path": path, "language": language, "kind": kind}
        answers = [await self._run(partial(each.search.answer, query, limit=limit, by=by, **asked)) for each in folders]
        found = await self._run(partial(best, answers, limit))
        return [(folders[place].named, hit) for place, hit in found]

    async def symbols(self, query: str, limit: int) -> list[tuple[Path, Symbol]]:
        """Definitions whose name fits, over all folders, the closest first."""
        found: list[tuple[Path, Symbol]] = []
        for folder in list(self._folders.values()):
            found += [(folder.named, s) for s in await self._run(partial(folder.search.symbols, query, limit))]
        return sorted(found, key=lambda pair: distance(query, pair[1].name))[:limit]

    async def context(self, folder: Folder, ask: Ask) -> list[Hit]:
        """Chunks that may help a completion. Whoever asks on a keystroke does not wait for the end of it."""
        work = partial(folder.search.context, ask)
        return await asyncio.get_running_loop().run_in_executor(self._keystrokes, work)

    def status(self) -> list[dict[str, Any]]:
        """One entry per folder."""
        return [
            {"root": str(f.root), "index": f.process.status() if f.process else {"phase": "off"}}
            for f in self._folders.values()
        ]

    async def close(self) -> None:
        """Stop all indexing and searching."""
        await asyncio.gather(*(self.remove(root) for root in list(self._folders)))
        for executor in (self._executor, self._keystrokes):
            executor.shutdown(wait=False, cancel_futures=True)

    def _on_progress(self, root: Path, message: dict[str, Any]) -> None:
        """Pass it on; once there are vectors, load the encoder of queries, so that no search waits for it."""
        self._told(root, message)
        has_vectors = message.get("phase") == "embed" or message.get("ready") == "meaning"
        if has_vectors and self._embedder is not None and not self._warm:
            self._warm = True
            threading.Thread(target=self._embedder.encode, args=(["warm up"],), name="encoder", daemon=True).start()

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)
