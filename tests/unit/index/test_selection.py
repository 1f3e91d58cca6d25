"""Which definition a cursor stands in."""

import pytest

from index.selection import definition_around

TEXT = """import os

# Says hello.
@cached
def greet(name):
    return f"hé {name}"


class Circle:
    def area(self):
        return 1

    size = 2
"""


@pytest.mark.parametrize(
    ("line", "lines"),
    [
        (0, None),
        (2, (2, 5)),
        (4, (2, 5)),
        (5, (2, 5)),
        (6, None),
        (8, (8, 12)),
        (10, (9, 10)),
        (11, (8, 12)),
        (12, (12, 12)),
    ],
)
def test_the_innermost_definition_with_its_comments_and_decorators(line: int, lines: tuple[int, int] | None):
    assert definition_around("python", TEXT, line) == lines


def test_half_a_character_is_no_trouble():
    assert definition_around("python", TEXT.replace("hé", "h\ud800"), 5) == (2, 5)


def test_a_long_text_is_not_looked_at():
    assert definition_around("python", TEXT + "size = 2\n" * 8_000, 4) is None


def test_without_a_grammar_there_is_none():
    assert definition_around("plaintext", TEXT, 4) is None
