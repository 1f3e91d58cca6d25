"""Where the statements and the definitions of a file stand, in characters: what cursors and documents are cut along.

Pure and cached by the caller. What always holds: offsets lie at the start of a line; a broken file gives few or none.
"""

from bisect import bisect_left
from dataclasses import dataclass
from itertools import accumulate

from tree_sitter import Node

from index.languages import definitions, parse

_COMMENTS = frozenset({"comment", "hash_bang_line"})


@dataclass(frozen=True)
class Section:
    """A function, class or method of several lines. `body`: where the lines behind its signature start."""

    start: int
    body: int
    stop: int


@dataclass(frozen=True)
class Outline:
    """`statements`: where each top-level statement starts, with the name that it defines ("" if none)."""

    statements: tuple[tuple[int, str], ...]
    sections: tuple[Section, ...]


def outline(language: str, text: str) -> Outline:
    """The outline of a text in one of the languages that have a grammar."""
    data = text.encode()
    tree = parse(language, data)
    if tree is None:
        return Outline(((0, ""),), ())
    lines = data.split(b"\n")
    starts_bytes = list(accumulate((len(line) + 1 for line in lines), initial=0))
    starts = list(accumulate((len(line.decode("utf-8", "replace")) + 1 for line in lines), initial=0))

    def line_start(byte: int) -> int:
        """The first character of the line in which this byte stands."""
        at = bisect_left(starts_bytes, byte + 1) - 1
        return starts[at]

    found = definitions(language, data)
    named = {definition.start: definition.name for definition in reversed(found)}
    statements: dict[int, str] = {}
    comments: list[Node] = []  # those right above, without a gap
    for node in tree.root_node.children:
        if comments and node.start_point[0] > comments[-1].end_point[0] + 1:
            comments = []
        if node.type in _COMMENTS:
            comments.append(node)
            continue
        first = comments[0] if comments else node
        statements.setdefault(line_start(first.start_byte), named.get(node.start_byte, ""))
        comments = []
    sections = []
    for definition in found:
        signature = data.find(b"\n", definition.name_end)
        if 0 <= signature < definition.end - 1:
            after = bisect_left(starts_bytes, definition.end)  # the line behind the definition's last
            sections.append(Section(line_start(definition.start), line_start(signature + 1), starts[after] - 1))
    return Outline(tuple(statements.items()) or ((0, ""),), tuple(sections))
