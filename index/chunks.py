"""Cut a text into chunks along its definitions, and name the definitions.

Pure: text in, values out. What has a grammar is cut along definitions (or headings, keys, rules), and the comments
above one belong to it; everything else is cut at blank lines. A line ends at "\\n", "\\r\\n" or "\\r", as editors
count, and never at a form feed.

Always: chunks come in order, never overlap, and every line that is not blank lies in exactly one of them.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import accumulate

from index.languages import Definition, Use, language_of, syntax
from index.records import Chunk, Kind, Mention, Symbol

MAX_CHARACTERS = 1600  # about what the embedding model reads of a chunk
SMALL = 500  # neighbours below this are joined, up to JOINED
JOINED = 900
MAX_HEADER = 400
MAX_DEPTH = 50  # what is nested deeper is cut by lines

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\n|\r)|[^\r\n]+")


@dataclass(frozen=True)
class Outline:
    """What one pass over a text yields."""

    chunks: tuple[Chunk, ...]
    symbols: tuple[Symbol, ...]
    references: Mapping[str, list[int]] = field(default_factory=dict)  # the lines on which each name is used
    imports: tuple[Mention, ...] = ()


@dataclass(frozen=True)
class _Unit:
    """A definition (or section) in lines, end included, with what lies inside it."""

    kind: Kind
    name: str
    signature: str
    start: int
    end: int
    name_line: int
    said: str
    said_line: int  # that of the name if nothing is said
    inner: "list[_Unit]"


@dataclass(frozen=True)
class _Piece:
    """Lines that stay together. `units` enclose the piece, outermost first; `unit` is what it shows, if one thing."""

    start: int
    end: int
    units: tuple[_Unit, ...]
    unit: _Unit | None


def lines_of(text: str) -> list[str]:
    """The lines of a text with their endings; joined they are the text again."""
    return _LINE.findall(text)


def outline(path: str, text: str, language: str | None = None) -> Outline:
    """Chunks and definitions of `text`. `language` is an LSP language id; by default the path decides."""
    language = language or language_of(path)
    lines = lines_of(text)
    units, found = _definitions(path, text, lines, language)
    sizes = list(accumulate(map(len, lines), initial=0))
    trimmed = (_trimmed(lines, piece) for piece in _cut(lines, sizes, 0, len(lines) - 1, units, ()))
    joined = _joined([piece for piece in trimmed if piece is not None], sizes)
    plain: Kind = "module" if any(symbol.kind != "section" for symbol in found.symbols) else "text"
    return replace(found, chunks=tuple(_chunk(path, language, lines, piece, plain) for piece in joined))


def _chunk(path: str, language: str, lines: list[str], piece: _Piece, plain: Kind) -> Chunk:
    shown = piece.unit or (piece.units[-1] if piece.units else None)
    outside = piece.units if piece.unit is not None else piece.units[:-1]
    return Chunk(
        path=path,
        language=language,
        kind=shown.kind if shown else plain,
        name=shown.name if shown else "",
        scope=".".join(unit.name for unit in outside),
        start_line=piece.start,
        end_line=piece.end,
        text="".join(lines[piece.start : piece.end + 1]),
        header=_header(piece) if piece.units else "",
    )


def _header(piece: _Piece) -> str:
    """What encloses a piece and stands before it: signatures, and below each the first line of what is said of it.
    Where there is no room for all of those lines, what lies further inside comes first."""
    around = [unit for unit in piece.units if min(unit.name_line, unit.said_line) < piece.start]
    room = MAX_HEADER - sum(2 * depth + len(unit.signature) + 1 for depth, unit in enumerate(around))
    lines: list[str] = []
    for depth, unit in reversed(list(enumerate(around))):
        said = "  " * (depth + 1) + unit.said
        if unit.said and unit.said_line < piece.start and len(said) <= room:
            lines.append(said)
            room -= len(said) + 1
        if unit.name_line < piece.start:
            lines.append("  " * depth + unit.signature)
    return "\n".join(reversed(lines))[:MAX_HEADER]


def _cut(
    lines: list[str], sizes: list[int], start: int, end: int, units: list[_Unit], outside: tuple[_Unit, ...]
) -> Iterator[_Piece]:
    """Lines `start` to `end`: each unit a piece, and what lies between them; what is too big is cut again."""
    at = start
    for unit in units:
        first, last = max(unit.start, at), min(unit.end, end)
        if first > last:  # begins and ends on a line that is taken already
            continue
        yield from _split(lines, sizes, at, first - 1, outside, None)
        if sizes[last + 1] - sizes[first] <= MAX_CHARACTERS:
            yield _Piece(first, last, outside, unit)
        elif unit.inner and len(outside) < MAX_DEPTH:
            yield from _cut(lines, sizes, first, last, unit.inner, (*outside, unit))
        else:
            yield from _split(lines, sizes, first, last, outside, unit)
        at = last + 1
    yield from _split(lines, sizes, at, end, outside, None)


def _split(
    lines: list[str], sizes: list[int], start: int, end: int, outside: tuple[_Unit, ...], unit: _Unit | None
) -> Iterator[_Piece]:
    """Lines `start` to `end` in pieces of at most MAX_CHARACTERS (or one line), preferably cut at blank lines."""
    inside = outside if unit is None else (*outside, unit)
    first = start
    while start <= end:
        stop = max(min(bisect_right(sizes, sizes[start] + MAX_CHARACTERS) - 2, end), start)
        if stop < end:
            stop = _best_end(lines, sizes, start, stop)
        yield _Piece(start, stop, outside, unit) if start == first else _Piece(start, stop, inside, None)
        start = stop + 1


def _best_end(lines: list[str], sizes: list[int], start: int, stop: int) -> int:
    """The last line of a piece that may end at `stop` at the latest: in its second half, before the least indented line
    that follows a blank one."""
    half = sizes[start] + (sizes[stop + 1] - sizes[start]) // 2
    best, best_cost = stop, 1 << 30
    for last in range(stop, start - 1, -1):
        if sizes[last + 1] < half:
            break
        following = lines[last + 1]
        indent = len(following) - len(following.lstrip())
        cost = indent + (0 if not lines[last].strip() else 8) + (1000 if not following.strip() else 0)
        if cost < best_cost:
            best, best_cost = last, cost
    return best


def _trimmed(lines: list[str], piece: _Piece) -> _Piece | None:
    """The piece without blank lines at its ends; None if nothing is left."""
    start, end = piece.start, piece.end
    while start <= end and not lines[start].strip():
        start += 1
    while end > start and not lines[end].strip():
        end -= 1
    if (start, end) == (piece.start, piece.end):
        return piece if lines[start].strip() else None
    return _Piece(start, end, piece.units, piece.unit) if start <= end else None


def _joined(pieces: list[_Piece], sizes: list[int]) -> list[_Piece]:
    """Small neighbours in the same place become one; it is named after its biggest definition."""
    joined: list[_Piece] = []
    for piece in pieces:
        size = sizes[piece.end + 1] - sizes[piece.start]
        if joined:
            last = joined[-1]
            whole = sizes[piece.end + 1] - sizes[last.start]
            small = max(size, sizes[last.end + 1] - sizes[last.start]) < SMALL
            if small and whole <= JOINED and last.units == piece.units:
                named = [unit for unit in (last.unit, piece.unit) if unit is not None]
                biggest = max(named, key=lambda unit: unit.end - unit.start, default=None)
                joined[-1] = _Piece(last.start, piece.end, piece.units, biggest)
                continue
        joined.append(piece)
    return joined


def _definitions(path: str, text: str, lines: list[str], language: str) -> tuple[list[_Unit], Outline]:
    """The definitions of a text as nested units, and an outline without chunks. Byte offsets become lines here."""
    data = text.encode("utf-8", "replace")  # a lone surrogate becomes one byte, in the lines as well
    found = syntax(language, data)
    plain = len(data) == len(text)  # one byte for each character
    lengths = map(len, lines) if plain else (len(line.encode("utf-8", "replace")) for line in lines)
    starts = list(accumulate(lengths, initial=0))

    def line_of(offset: int) -> int:
        return min(bisect_right(starts, offset) - 1, len(lines) - 1)

    def characters(start: int, end: int) -> int:
        return end - start if plain else len(data[start:end].decode("utf-8", "replace"))

    top: list[_Unit] = []
    symbols: list[Symbol] = []
    open_units: list[tuple[Definition, _Unit]] = []
    for definition in found.definitions:
        while open_units and open_units[-1][0].end <= definition.start:
            open_units.pop()
        if open_units and open_units[-1][0].end < definition.end:
            continue  # broken code: half inside
        outside = open_units
        if open_units and (open_units[-1][0].start, open_units[-1][0].end) == (definition.start, definition.end):
            outside = open_units[:-1]  # `const a = 1, b = 2`: one stretch of text, two names beside each other
        line, last = line_of(definition.name_start), line_of(max(definition.end - 1, definition.start))
        scope = ".".join(outer.name for _, outer in outside[-MAX_DEPTH:])
        column = characters(starts[line], definition.name_start)
        end_column = column + characters(definition.name_start, definition.name_end)
        symbols.append(Symbol(path, definition.name, definition.kind, scope, line, column, end_column))
        if outside is not open_units:
            continue
        unit = _Unit(
            kind=definition.kind,
            name=definition.name,
            signature=definition.signature,
            start=line_of(definition.doc_start),
            end=last,
            name_line=line,
            said=definition.said,
            said_line=line_of(definition.said_start) if definition.said else line,
            inner=[],
        )
        (open_units[-1][1].inner if open_units else top).append(unit)
        open_units.append((definition, unit))
    imports = tuple(Mention(each.name, line_of(each.start)) for each in found.imports)
    return top, Outline((), tuple(symbols), _lines_of_names(found.references, starts), imports)


def _lines_of_names(uses: Iterable[Use], starts: list[int]) -> dict[str, list[int]]:
    """Lines of each name, every line once. `uses` are in the order of the text, and so are the lines' `starts`."""
    found: dict[str, list[int]] = {}
    line, following, last = 0, starts[1] if len(starts) > 2 else starts[-1] + 1, len(starts) - 2
    for name, start in uses:
        while start >= following and line < last:
            line += 1
            following = starts[line + 1]
        lines = found.setdefault(name, [])
        if not lines or lines[-1] != line:
            lines.append(line)
    return found
