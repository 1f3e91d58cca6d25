"""The project of the MCP face: the files on disk, an index that is brought up to date before each search, linters.

Unlike an editor's session it knows no unsaved text. Words are up to date before each search; embedding may take minutes
and goes on beside it, so that the first searches of a large project go by words alone. What always holds: only files
inside the folder are read, links that lead out of it are not followed; linters that run the project's own code need
`trusted`.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from agent.findings import Finding
from agent.project import ToolError, unseen
from index.builder import Builder
from index.database import IndexBrokenError, IndexBusyError
from index.embedding import Embedder
from index.files import MAX_BYTES, MAX_FILES
from index.languages import language_of
from index.records import Hit
from index.search import Search
from inkling.errors import UserError
from server.linters.hub import Linters
from server.linters.settings import LinterSettings
from server.settings import user_settings

T = TypeVar("T")

_MOST_BYTES = 2_000_000
_PATIENCE = 10.0  # seconds that a search waits for embeddings


class DiskProject:
    """One folder, without an editor. Without `weights` of an embedding, search goes by words."""

    def __init__(
        self,
        root: Path,
        weights: Path | None,
        linters: LinterSettings,
        report: Callable[[str], None],
        *,
        max_files: int = MAX_FILES,
        max_file_bytes: int = MAX_BYTES,
    ) -> None:
        self._root = root.resolve()
        self._builder = Builder(self._root, weights, max_files=max_files, max_file_bytes=max_file_bytes)
        self._search = Search(self._root, Embedder(weights) if weights else None)
        self._linters = Linters(self._root, linters, report)
        self._report = report
        self._turn = asyncio.Lock()
        self._building = ThreadPoolExecutor(1, thread_name_prefix="index")
        self._embedding: asyncio.Task[None] | None = None
        self._urgent = threading.Event()  # somebody waits for the builder

    async def find(self, query: str, limit: int, path: str | None) -> Sequence[Hit]:
        """Bring the index up to date, and search it: by meaning, too, as far as that is embedded by then."""
        async with self._turn:
            await self._interrupt()
            try:
                await self._built(self._builder.build_words)
                self._embedding = asyncio.create_task(self._embed(), name="embedding")
            except IndexBusyError:
                pass  # an editor has the folder open, and keeps the index up to date
            except IndexBrokenError as error:  # what is indexed can be searched
                self._report(str(error))
        if self._embedding is not None:
            await asyncio.wait({self._embedding}, timeout=_PATIENCE)
        return await asyncio.to_thread(self._search.search, query, limit=limit, path=path)

    async def read(self, path: str) -> str | None:
        """The file as it lies on disk."""
        return await asyncio.to_thread(read_inside, self._root, path)

    async def lint(self, path: str, text: str) -> list[Finding]:
        """What the linters say about the text."""
        return await self._linters.checker(language_of(path))(path, text)

    async def close(self) -> None:
        """End the linters and let go of the index."""
        await self._linters.close()
        async with self._turn:
            await self._interrupt()
        await asyncio.to_thread(self._building.shutdown)
        self._search.close()

    async def _embed(self) -> None:
        """Embed what has no vector yet, until somebody waits for the builder."""
        try:
            await self._built(partial(self._builder.build_meaning, interrupted=self._urgent.is_set))
        except IndexBusyError:
            return  # an editor opened the folder just now
        except UserError as error:
            self._report(str(error))
        for note in self._builder.take_notes():
            self._report(note)

    async def _built(self, work: Callable[[], T]) -> T:
        """What `work` with the builder gives, always in one thread: a cancelled search leaves its build running, and
        the next one waits for its end."""
        return await asyncio.get_running_loop().run_in_executor(self._building, work)

    async def _interrupt(self) -> None:
        """End the embedding after its batch; what is embedded stays."""
        if self._embedding is not None:
            self._urgent.set()
            await asyncio.wait({self._embedding})
            self._urgent.clear()
            self._embedding = None


def read_inside(root: Path, path: str) -> str | None:
    """The text of a file below `root`, a real path; None if there is none. Raises ToolError for what is no text."""
    try:
        file = (root / path).resolve()
    except (OSError, RuntimeError, ValueError) as error:  # links in a circle, or what no file can be called
        raise ToolError(f"{path!r} leads nowhere: {error}.") from error
    if not file.is_relative_to(root):
        raise ToolError(f"{path} leads out of the project.")
    if unseen(file.relative_to(root)):
        raise ToolError(f"{path} leads to a file that may hold secrets.")
    try:
        if file.exists() and not file.is_file():
            raise ToolError(f"{path} is no plain file.")
        if file.stat().st_size > _MOST_BYTES:
            raise ToolError(f"{path} is larger than {_MOST_BYTES // 1_000_000} MB.")
        return file.read_bytes().decode("utf-8-sig")  # editors show no byte order mark either
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ToolError(f"{path} cannot be read as text: {error}.") from error


def serve_mcp(root: Path, weights: Path | None, linters: LinterSettings, report: Callable[[str], None]) -> None:
    """Serve the folder to one agent over standard input and output, until it closes them."""
    from agent.mcp_face import mcp_server

    index = user_settings()[0].index
    limits = {"max_files": index.max_files, "max_file_bytes": index.max_file_bytes}

    async def serve() -> None:
        project = DiskProject(root, weights, linters, report, **limits)
        try:
            await mcp_server(project, root.name).run_stdio_async()
        finally:
            await project.close()

    asyncio.run(serve())
