"""Where in finished code something is asked for: spans of a text, cut as people ask for them.

What always holds: a span has at least one character; the same random numbers give the same span.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model.training.outline import Section

MIDDLE_CHARACTERS = 420
_SECTION_CHARACTERS = 900
_AHEAD_CHARACTERS = 260  # written behind a cursor without a suffix
_BRACKETS = {"(": ")", "[": "]", "{": "}"}


@dataclass(frozen=True)
class Cursor:
    """A place in a text: what is written from `start` to `stop`. Without `suffix` what follows is not shown."""

    start: int
    stop: int
    suffix: bool


def draw_cursor(random: np.random.Generator, text: str, sections: Sequence[Section], no_suffix_share: float) -> Cursor:
    """A cursor anywhere that is worth a completion: the rest of a line, a part of one, what stands between brackets,
    a whole line, some lines, a block, or a section (all of a definition or what is below its signature).
    """
    lines = text.split("\n")
    offsets = np.cumsum([0, *(len(line) + 1 for line in lines)])
    full = [number for number, line in enumerate(lines) if line.strip() and number > 2]
    number = full[int(random.integers(len(full)))] if full else 0
    line, at = lines[number], int(offsets[number])
    indent = _indent(line)
    column = int(random.integers(indent, max(indent + 1, len(line))))
    if random.random() < no_suffix_share:
        stop = min(len(text), at + column + _AHEAD_CHARACTERS)
        return Cursor(at + column, max(at + column + 1, text.rfind("\n", at + column, stop) + 1), False)
    kind = random.random()
    end = at + len(line)
    if kind < 0.30:
        return Cursor(at + column, max(end, at + column + 1), True)
    if kind < 0.36:
        stop = int(random.integers(column + 1, max(column + 2, len(line) + 1)))
        return Cursor(at + column, at + stop, True)
    if kind < 0.44 and (inner := _between_brackets(line, random)):
        return Cursor(at + inner[0], at + inner[1], True)
    if kind < 0.68:
        return Cursor(at + indent, max(end, at + indent + 1), True)
    if kind >= 0.90:
        short = [section for section in sections if section.stop - section.body <= _SECTION_CHARACTERS]
        if short:
            section = short[int(random.integers(len(short)))]
            start = section.start if random.random() < 0.3 else section.body
            start += _indent(text[start : section.stop].split("\n", 1)[0])
            return Cursor(start, max(section.stop, start + 1), True)
    last = number
    if kind < 0.82:  # some lines
        last = min(len(lines) - 1, number + int(random.integers(1, 5)))
        start = at + column
    else:  # a block, up to the line that is indented less
        while last + 1 < len(lines) and (not lines[last + 1].strip() or _indent(lines[last + 1]) >= indent):
            last += 1
        start = at + indent
    while last > number and (not lines[last].strip() or offsets[last] + len(lines[last]) - start > MIDDLE_CHARACTERS):
        last -= 1
    return Cursor(start, max(int(offsets[last]) + len(lines[last]), start + 1), True)


def _between_brackets(line: str, random: np.random.Generator) -> tuple[int, int] | None:
    """What stands between a bracket of a line and its partner in the same line."""
    opened: list[tuple[int, str]] = []
    pairs = []
    for column, sign in enumerate(line):
        if sign in _BRACKETS:
            opened.append((column, _BRACKETS[sign]))
        elif opened and sign == opened[-1][1]:
            start, _ = opened.pop()
            if column > start + 1:
                pairs.append((start + 1, column))
    return pairs[int(random.integers(len(pairs)))] if pairs else None


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
