"""Edits on a shadow copy."""

import difflib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.findings import Span, TextEdit
from agent.shadow import (
    EditError,
    Shadow,
    apply,
    changes,
    edits_between,
    line_end_of,
    lines_of,
    lines_shown,
    lines_with_ends,
)

texts = st.text(alphabet="ab \t\r\n\x0c\u2028\ud800😀é", max_size=60)
lists = st.lists(st.sampled_from("abc"), max_size=12)


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


@given(lists, lists)
def test_between_changes_all_lines_are_equal(old: list[str], new: list[str]):
    rebuilt, reached = [], 0
    for first, last, start, end in changes(old, new):
        assert old[first:last] != new[start:end]
        rebuilt += [*old[reached:first], *new[start:end]]
        reached = last
    assert rebuilt + old[reached:] == new


def test_equal_lines_around_all_changes_cost_nothing(monkeypatch: pytest.MonkeyPatch):
    compared: list[tuple[list[str], list[str]]] = []

    class Matcher(difflib.SequenceMatcher[str]):
        def __init__(self, junk: None, old: list[str], new: list[str], autojunk: bool) -> None:
            compared.append((old, new))
            super().__init__(junk, old, new, autojunk)

    monkeypatch.setattr(difflib, "SequenceMatcher", Matcher)
    many = ["}"] * 3000
    assert list(changes([*many, "a", *many], [*many, "b", *many])) == [(3000, 3001, 3000, 3001)]
    assert compared == [(["a"], ["b"])]


def test_a_line_that_is_found_everywhere_starts_no_comparison_of_large_texts():
    many = [line for number in range(1500) for line in (f"x = {number}", "", "")]
    around = ["import os", *many, "y"]
    assert list(changes(many, around)) == [(0, 0, 0, 1), (4500, 4500, 4501, 4502)]
    matcher = difflib.SequenceMatcher(None, many, around, autojunk=False)
    began = time.thread_time()
    list(changes(many, around))
    ours = time.thread_time() - began
    matcher.get_opcodes()
    assert ours < (time.thread_time() - began - ours) / 4


@given(st.lists(st.sampled_from(["old", "new", *["both"] * 8]), max_size=60))
def test_a_diff_is_a_unified_one(kinds: list[str]):
    old, new = ("\n".join(f"{n}" for n, kind in enumerate(kinds) if kind in (side, "both")) for side in ("old", "new"))
    plain = difflib.unified_diff(lines_shown(old), lines_shown(new), "a/x", "b/x", lineterm="")
    assert Shadow("x", old, new).diff() == "\n".join(plain)


@given(texts)
def test_lines_with_their_ends_are_the_text_and_print_as_its_lines(text: str):
    assert "".join(lines_with_ends(text)) == text
    last = lines_of(text)[-1]
    assert [*lines_shown(text), *([] if last else [last])] == lines_of(text)


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
