"""Edits on a shadow copy."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.findings import Span, TextEdit
from agent.shadow import EditError, Shadow, apply, edits_between, line_end_of, lines_of

texts = st.text(alphabet="ab \t\r\n\x0c\u2028😀é", max_size=60)


def replace(line: int, column: int, end_line: int, end_column: int, text: str) -> TextEdit:
    return TextEdit(Span(line, column, end_line, end_column), text)


def test_edits_speak_of_the_unedited_text_in_any_order():
    edits = [replace(1, 0, 1, 1, "Z"), replace(0, 0, 0, 0, "new\n")]
    assert apply("a\nb\n", edits) == "new\na\nZ\n"


def test_columns_count_code_points_and_a_form_feed_ends_no_line():
    assert apply("😀x\x0cy\r\nz", [replace(0, 1, 0, 2, ""), replace(1, 0, 1, 1, "w")]) == "😀\x0cy\r\nw"


def test_insertions_at_one_place_keep_their_order():
    assert apply("x", [replace(0, 0, 0, 0, "1"), replace(0, 0, 0, 0, "2")]) == "12x"


def test_overlapping_edits_are_refused():
    with pytest.raises(EditError):
        apply("abcdef", [replace(0, 0, 0, 3, ""), replace(0, 2, 0, 4, "")])


def test_an_insertion_inside_a_replaced_range_is_refused():
    with pytest.raises(EditError):
        apply("abcdef", [replace(0, 0, 0, 3, ""), replace(0, 1, 0, 1, "x")])


def test_an_edit_that_ends_before_it_starts_is_refused():
    with pytest.raises(EditError):
        apply("abc", [replace(0, 2, 0, 1, "")])


def test_positions_past_the_end_are_pulled_in():
    assert apply("ab\ncd", [replace(1, 0, 9, 9, ""), replace(0, 99, 0, 99, "!")]) == "ab!\n"


@given(texts, texts)
def test_the_edits_between_two_texts_turn_one_into_the_other(old: str, new: str):
    assert apply(old, edits_between(old, new)) == new


@given(texts)
def test_a_text_is_its_lines(text: str):
    assert len(lines_of(text)) == 1 + text.count("\r\n") + text.replace("\r\n", "").count("\n") + text.replace(
        "\r\n", ""
    ).count("\r")


def test_a_shadow_leaves_the_original_and_shows_the_difference():
    shadow = Shadow.of("a.py", "import os\nx = 1\n").apply([replace(0, 0, 1, 0, "")])
    assert (shadow.original, shadow.text, shadow.changed) == ("import os\nx = 1\n", "x = 1\n", True)
    assert "-import os" in shadow.diff().splitlines()
    assert apply(shadow.original, shadow.edits()) == shadow.text


def test_the_first_line_end_is_the_texts_own():
    assert [line_end_of(text) for text in ("a\r\nb\n", "a", "a\rb")] == ["\r\n", "\n", "\r"]
