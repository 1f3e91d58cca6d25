"""What stands beside a replayed cursor: the parts of other files that the index finds there, as the server has them.

The files are written into a folder of their own, indexed by words and names, and gone afterwards; no code of theirs is
run. What always holds: only the files that are given are found, none of the cursor's own file, in an order that follows
from them and the cursor, and not from what was learned on this machine.
"""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from index.builder import Builder
from index.context import Ask
from index.database import remove_index
from index.relevance import WRITTEN
from index.search import Search
from model.document import Document
from model.evaluation.document_choice import LARGEST_FILE
from model.prompt import Layout
from model.units import named_units, units_of_lines

_CHUNKS = 8  # that are asked for, and
_CHARACTERS = 12_000  # of all of them: the server's defaults


class FolderContext:
    """A package's folder and its index. Units have at most `longest` tokens, and `room` all that stand at a cursor."""

    def __init__(self, layout: Layout, longest: int, room: int) -> None:
        self._layout, self._longest, self._room = layout, longest, room
        self._files: dict[str, str] = {}
        self._units: dict[tuple[str, str], tuple[Document, ...]] = {}

    def __enter__(self) -> "FolderContext":
        with ExitStack() as stack:
            self._root = Path(tempfile.mkdtemp(prefix="inkling-replay-"))
            stack.callback(shutil.rmtree, self._root, ignore_errors=True)
            stack.callback(remove_index, self._root)
            self._builder = stack.enter_context(Builder(self._root, None))  # the index stays open between the files
            self._search = Search(self._root, None, WRITTEN)
            stack.callback(self._search.close)
            self._left = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._left.close()

    def documents(
        self, files: Mapping[str, str], path: str, above: str, below: str, edited: Sequence[tuple[str, int]]
    ) -> tuple[Document, ...]:
        """What helps most between two texts of the file `path`. `edited`: files and lines, the newest first.

        What `files` say of that file itself is never found, and may be older.
        """
        self._write(files)
        hits = self._search.context(Ask(path, above, below, _CHUNKS, _CHARACTERS, edited))
        found: dict[Document, None] = {}
        left = self._room
        for hit in hits:
            units = self._of(hit.path)
            for number in units_of_lines(units, hit.start_line, hit.end_line):
                size = len(self._layout.document(units[number]))
                if size <= left and units[number] not in found:
                    found[units[number]] = None
                    left -= size
        return tuple(found)

    def _of(self, path: str) -> tuple[Document, ...]:
        key = path, self._files[path]
        if key not in self._units:
            self._units[key] = named_units(Document(*key), self._layout.tokens, self._longest)
        return self._units[key]

    def _write(self, files: Mapping[str, str]) -> None:
        """Bring folder and index to these files."""
        wanted = {path: text for path, text in files.items() if len(text) <= LARGEST_FILE}
        changed = [path for path, text in wanted.items() if self._files.get(path) != text]
        gone = [path for path in self._files if path not in wanted]
        for path in gone:
            (self._root / path).unlink(missing_ok=True)
        for path in changed:
            place = self._root / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(wanted[path].encode("utf-8", "replace"))
        if not self._files:
            self._builder.build_words()
        elif changed or gone:
            self._builder.update([*changed, *gone])
        self._files = wanted
