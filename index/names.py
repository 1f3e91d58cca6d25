"""Find definitions by name: which names a query spells out, and which definitions a few typed letters may mean."""

import re
import sqlite3
from dataclasses import replace

from index.chunks import lines_of
from index.records import Symbol

_IDENTIFIER = re.compile(r"[^\W\d]\w*")
_WORD_START = re.compile(r"(?<![A-Za-z])[a-z]|[A-Z](?![A-Z])|(?<![A-Z])[A-Z]|\d+")
_MOST_COMPARED = 4000


def names_in(query: str) -> list[str]:
    """Names in lower case that a query spells out: the whole query if it is one identifier (or a dotted path of them),
    else every word that is written as only code is (`snake_case`, `camelCase`, `CapWords` with two humps, `call()`)."""
    parts = [part.strip() for part in re.split(r"\.|::|#|->", query.removesuffix("()").strip())]
    if parts and all(_IDENTIFIER.fullmatch(part) for part in parts):
        return [parts[-1].casefold()]
    found = [
        match[0].casefold()
        for match in _IDENTIFIER.finditer(query)
        if _looks_like_code(match[0]) or query.startswith("(", match.end())
    ]
    return list(dict.fromkeys(found))


def _looks_like_code(word: str) -> bool:
    humps = any(letter.isupper() for letter in word.lstrip("_")[1:]) and not word.isupper()
    return humps or "_" in word.strip("_")


def best_symbols(database: sqlite3.Connection, query: str, limit: int) -> list[Symbol]:
    """At most `limit` definitions whose name contains the letters of `query` in order, the closest first."""
    scope, _, name = "".join(query.casefold().split()).rpartition(".")
    escaped = [f"\\{letter}" if letter in "%_\\" else letter for letter in name]
    rows = database.execute(
        "SELECT f.path, s.name, s.kind, s.scope, s.line, s.start, s.end FROM symbols s JOIN files f ON f.id = s.file "
        "WHERE s.folded LIKE ? ESCAPE '\\' ORDER BY length(s.name), s.name, f.path, s.line LIMIT ?",
        ("%" + "%".join([*escaped, ""]) if escaped else "%", max(limit, _MOST_COMPARED)),
    )
    found = [Symbol(*row) for row in rows]
    fitting = [symbol for symbol in found if symbol.scope.casefold().endswith(scope)] if scope else found
    fitting.sort(key=lambda symbol: distance(query, symbol.name))
    chosen = fitting[: max(limit, 0)]
    lines = {place: _line(database, *place) for place in {(symbol.path, symbol.line) for symbol in chosen}}
    return [replace(symbol, text=lines[symbol.path, symbol.line]) for symbol in chosen]


def _line(database: sqlite3.Connection, path: str, line: int) -> str:
    """A line on which something is defined; "" if it is ASCII, where every column is the same in any unit."""
    found = database.execute(
        "SELECT c.start_line, c.text FROM chunks c JOIN files f ON f.id = c.file "
        "WHERE f.path = ? AND c.start_line <= ? AND c.end_line >= ? ORDER BY c.start_line DESC LIMIT 1",
        (path, line, line),
    ).fetchone()
    if found is None or found[1].isascii():  # in no chunk: a heading of spaces that are none to Markdown
        return ""
    whole: str = lines_of(found[1])[line - found[0]]
    return "" if whole.isascii() else whole


def distance(query: str, name: str) -> int:
    """How loosely a name fits a query, of which only what follows the last dot is looked at: 0 for the name itself."""
    wanted, folded = "".join(query.casefold().split()).rpartition(".")[2], name.casefold()
    if folded == wanted:
        return 0
    if folded.startswith(wanted):
        return 1
    starts = "".join(match[0] for match in _WORD_START.finditer(name)).casefold()
    if starts.startswith(wanted):
        return 2
    if wanted in folded:
        before = name[folded.index(wanted) - 1 : folded.index(wanted)]
        return 3 if before == "_" or name[folded.index(wanted) : folded.index(wanted) + 1].isupper() else 4
    return 5
