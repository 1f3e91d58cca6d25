"""Units: together they are the file, none is too long, and an edit in one leaves the others alone."""

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.document import Document
from model.tokens import Tokens
from model.units import named_units, units, units_of_lines, units_overlapping

LIMIT = 120


@pytest.fixture(scope="module")
def tokens(tiny_base: Path) -> Tokens:
    return Tokens(tiny_base)


def functions(count: int, seed: int = 0) -> list[str]:
    rng = random.Random(seed)
    return [
        f"def function_{number}(value):\n"
        + "".join(f"    value = value * {rng.randrange(100)}\n" for _ in range(rng.randrange(1, 6)))
        + "    return value\n\n\n"
        for number in range(count)
    ]


def size(tokens: Tokens, unit: Document) -> int:
    return 1 + len(tokens.encode(unit.path + "\n")) + len(tokens.encode(unit.text))


ODD = st.one_of(
    st.text(max_size=400),
    st.lists(
        st.sampled_from(["def f():\n", "    x = 1\r\n", "\n", "\r", "\x00", "é" * 90, "a" * 300, "class A:\n"]),
        max_size=60,
    ).map("".join),
)


@settings(max_examples=60, deadline=None)
@given(text=ODD, path=st.sampled_from(["a.py", "a.ts", "notes.md", "data"]))
def test_any_text_comes_back_whole_in_units_that_fit(tokens: Tokens, text: str, path: str):
    text = text.encode("utf-8", "replace").decode()
    parts = units(Document(path, text), tokens, LIMIT)
    assert "".join(part.text for part in parts) == text
    assert all(size(tokens, part) <= LIMIT for part in parts)


def test_a_file_that_fits_is_one_unit(tokens: Tokens):
    document = Document("a.py", "value = 1\n")
    assert units(document, tokens, LIMIT) == (document,)
    assert units(Document("a.py", ""), tokens, LIMIT) == (Document("a.py", ""),)


def test_code_is_cut_where_definitions_start(tokens: Tokens):
    parts = units(Document("a.py", "".join(functions(30))), tokens, 2 * LIMIT)
    assert len(parts) > 5
    assert all(part.text.startswith("def function_") for part in parts)


def test_a_very_long_file_is_cut_without_being_parsed(tokens: Tokens, monkeypatch: pytest.MonkeyPatch):
    parsed: list[int] = []
    monkeypatch.setattr("model.units.definitions", lambda language, data: parsed.append(len(data)) or [])
    for lines in (1_000, 8_000):
        text = "value = 1\n" * lines
        assert "".join(part.text for part in units(Document("a.py", text), tokens, LIMIT)) == text
    assert parsed == [10_000]


def test_units_are_not_many_more_than_needed(tokens: Tokens):
    document = Document("a.py", "".join(functions(60)))
    needed = len(tokens.encode(document.text)) / LIMIT
    assert len(units(document, tokens, LIMIT)) <= 3 * needed


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1000), at=st.integers(0, 39), more=st.integers(0, 4))
def test_an_edit_in_one_definition_leaves_almost_all_other_units_as_they_were(
    tokens: Tokens, seed: int, at: int, more: int
):
    before = functions(40, seed)
    after = list(before)
    after[at] = after[at].replace("    return value\n", "    value = value + 1\n" * more + "    return -value\n")
    old = {part.text for part in units(Document("a.py", "".join(before)), tokens, LIMIT)}
    new = {part.text for part in units(Document("a.py", "".join(after)), tokens, LIMIT)}
    assert len(new - old) <= 4
    assert len(old & new) >= len(old) - 6


def test_a_single_enormous_line_is_cut_too(tokens: Tokens):
    parts = units(Document("data.json", "[" + "1234567, " * 4000 + "]"), tokens, LIMIT)
    assert all(size(tokens, part) <= LIMIT for part in parts)


def test_units_are_found_by_what_they_hold(tokens: Tokens):
    parts = (Document("a", "abc"), Document("a", "def"), Document("a", "ghi"))
    assert units_overlapping(parts, 0, 1) == (0,)
    assert units_overlapping(parts, 2, 4) == (0, 1)
    assert units_overlapping(parts, 3, 9) == (1, 2)
    assert units_overlapping(parts, 20, 30) == ()


def test_units_of_lines_hold_them_both_ends_included(tokens: Tokens):
    text = "".join(functions(12))
    parts = units(Document("a.py", text), tokens, LIMIT)
    lines = text.split("\n")
    for first in range(len(lines)):
        for last in (first, first + 3):
            joined = "".join(parts[number].text for number in units_of_lines(parts, first, last))
            assert "\n".join(lines[first : last + 1]) in joined
    assert units_of_lines(parts, 10_000, 10_000) in ((), (len(parts) - 1,))


def test_units_are_named_by_their_first_line_the_same_ones_apart(tokens: Tokens):
    text = "def same():\n    return 1\n" + "x = 1\n" * 60
    names = [unit.unit for unit in named_units(Document("a.py", text * 3), tokens, LIMIT)]
    assert len(set(names)) == len(names) > 3
    assert names[0] == "def same():#1"
