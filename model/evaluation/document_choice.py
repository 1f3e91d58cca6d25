"""Which parts of a package's other files stand beside a cursor: what is imported above it first, then other files.

It chooses and cuts; it runs no model. What always holds: the choice depends on the text above the cursor alone; no
document is of the cursor's own file or a copy of it; what was chosen fits into the room that there is.
"""

import random
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import zip_longest

from model.document import Document
from model.evaluation.cache_units import Imported, Unit, imports_of, units_of
from model.prompt import Layout

LARGEST_FILE = 200_000  # characters


class DocumentChoice:
    """Chooses `room` tokens of units of at most `longest` tokens. What it read of a text is kept for the next time."""

    def __init__(self, layout: Layout, longest: int, room: int) -> None:
        self._layout = layout
        self._longest = longest
        self._room = room
        self._units = lru_cache(maxsize=4096)(lambda path, text: units_of(path, text, layout.tokens, longest))
        self._imports = lru_cache(maxsize=4096)(_imports)

    def choose(
        self, files: Mapping[str, str], path: str, own: str, line: int, draw: random.Random
    ) -> tuple[Document, ...]:
        """Units that define what is imported above `line` (from 1), the rest of those files, then other files.

        `files` are those of the package as they are now, `own` is the text of the cursor's file at `path`.
        """
        return self._fitting(unit for unit, _ in self.wanted(files, path, own, line, draw))

    def wanted(
        self, files: Mapping[str, str], path: str, own: str, line: int, draw: random.Random
    ) -> Iterator[tuple[Unit, bool]]:
        """Units in the order in which they are wanted, some more than once, and whether each is of an imported file.

        Files are read as they are reached.
        """
        there = frozenset(files)
        others = {
            name: text for name, text in files.items() if name != path and text != own and len(text) <= LARGEST_FILE
        }
        above = [imported for imported in self._imports(path, own, there) if imported.line < line]
        rest = sorted(set(others) - {imported.path for imported in above})
        draw.shuffle(rest)

        def units(name: str) -> tuple[Unit, ...]:
            return self._units(name, others[name]) if name in others else ()

        for imported in above:
            for origin, name in self._origins(files, imported):
                yield from ((unit, True) for unit in units(origin) if name in unit.defines)
        named = dict.fromkeys(imported.path for imported in above)
        for around in zip_longest(*(units(name) for name in named)):
            yield from ((unit, True) for unit in around if unit is not None)
        for name in rest:
            yield from ((unit, False) for unit in units(name))

    def _fitting(self, units: Iterator[Unit]) -> tuple[Document, ...]:
        """Those that fit, in their order, until there is little room left. Blank ones say nothing."""
        found: dict[Document, None] = {}
        left = self._room
        for unit in units:
            document = Document(unit.path, unit.text, str(unit.number))
            size = len(self._layout.document(document))
            if unit.text.strip() and size <= left and document not in found:
                found[document] = None
                left -= size
            if left < self._longest // 4:
                break
        return tuple(found)

    def _origins(self, files: Mapping[str, str], imported: Imported) -> Iterator[tuple[str, str]]:
        """Where the imported names may be defined: in the file, or in one that this file imports them from."""
        path = imported.path
        through = self._imports(path, files[path], frozenset(files)) if imported.names else ()
        for name in imported.names:
            yield path, name
            yield from ((other.path, name) for other in through if name in other.names)


def _imports(path: str, text: str, files: frozenset[str]) -> tuple[Imported, ...]:
    return imports_of(path, text, dict.fromkeys(files, ""))
