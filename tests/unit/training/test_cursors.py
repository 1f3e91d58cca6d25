"""Spans that are asked for, and the statements and sections that they are cut along."""

import numpy as np
import pytest

from model.training.cursors import draw_cursor
from model.training.outline import outline

PYTHON = '''"""A module with a é."""

import os

# About the area,
# in two lines.
@cached
def area(width, height):
    """Of a rectangle."""
    return width * height


class Shape:
    size = 3

    def grow(self, by):
        self.size += by
        return self


TOTAL = area(3, (4 + 5))
'''
SCRIPT = """// The first comment.
import { x } from './x'

/** Doubles. */
export function twice(n: number): number {
  return 2 * n
}

export class Box {
  open(): void {
    call(twice(1), [2, 3])
  }
}
"""


def test_statements_start_with_what_belongs_to_them() -> None:
    statements = outline("python", PYTHON).statements
    found = [(PYTHON[start:].split("\n", 1)[0], name) for start, name in statements]
    assert found == [
        ('"""A module with a é."""', ""),
        ("import os", ""),
        ("# About the area,", "area"),
        ("class Shape:", "Shape"),
        ("TOTAL = area(3, (4 + 5))", "TOTAL"),
    ]
    found = [(SCRIPT[start:].split("\n", 1)[0], name) for start, name in outline("typescript", SCRIPT).statements]
    assert found == [
        ("// The first comment.", ""),
        ("/** Doubles. */", "twice"),
        ("export class Box {", "Box"),
    ]


def test_sections_are_definitions_with_their_bodies() -> None:
    sections = outline("python", PYTHON).sections
    assert [PYTHON[section.body : section.stop] for section in sections] == [
        '    """Of a rectangle."""\n    return width * height',
        "    size = 3\n\n    def grow(self, by):\n        self.size += by\n        return self",
        "        self.size += by\n        return self",
    ]
    assert PYTHON[sections[0].start :].startswith("@cached\ndef area")
    first = outline("typescript", SCRIPT).sections[0]
    assert SCRIPT[first.body : first.stop] == "  return 2 * n\n}"


@pytest.mark.parametrize(
    ("language", "text"), [("python", PYTHON), ("typescript", SCRIPT), ("plaintext", "a\n"), ("python", "")]
)
def test_every_drawn_span_lies_in_the_text(language: str, text: str) -> None:
    sections = outline(language, text).sections
    spans = set()
    for seed in range(1500):
        cursor = draw_cursor(np.random.default_rng(seed), text, sections, 0.2)
        assert 0 <= cursor.start < cursor.stop
        assert cursor.stop <= max(len(text), 1) + 1
        spans.add(text[cursor.start : cursor.stop])
    if text == PYTHON:
        assert {"width, height", "4 + 5", "return width * height", "# in two lines."} <= spans
        assert any(span.startswith("self.size += by\n        return self") for span in spans)
    if text == SCRIPT:
        assert any(span == "return 2 * n\n}" for span in spans)


def test_a_broken_or_unknown_text_still_has_a_statement() -> None:
    assert outline("plaintext", "a\nb\n").statements == ((0, ""),)
    assert outline("python", "").statements == ((0, ""),)
    assert outline("python", "def (\n  x = = 1\n").sections == ()
