"""Undoing the agent's edits alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.undo import Undone, undo

BEFORE = "a\nb\nc\nd\ne\nf\n"
AFTER = "a\nB\nc\nd\nE\nE2\nf\n"

lines = st.lists(st.sampled_from(["a\n", "b\n", "c\n", "d\n"]), max_size=8).map("".join)


def test_untouched_it_is_taken_back_whole():
    assert undo(BEFORE, AFTER, AFTER) == Undone(BEFORE, back=2, kept=0)


def test_what_others_changed_elsewhere_stays():
    done = undo(BEFORE, AFTER, "new\n" + AFTER + "z\n")
    assert done.text == "new\na\nb\nc\nd\ne\nf\nz\n"
    assert done.kept == 0


def test_a_place_that_was_changed_since_stays_and_is_counted():
    done = undo(BEFORE, AFTER, AFTER.replace("B\n", "my B\n"))
    assert done.text == "a\nmy B\nc\nd\ne\nf\n"
    assert (done.back, done.kept) == (1, 1)


def test_the_last_line_needs_no_end():
    assert undo("a\nb", "a\nx", "a\nx").text == "a\nb"


def test_only_line_ends_part_lines():
    assert undo("x\x0cy\u2028z\n", "x\x0cy\u2028Z\n", "X\x0cy\u2028Z\n") == Undone("X\x0cy\u2028Z\n", back=0, kept=1)
    assert undo("a\rb\rc\rd", "A\rb\rc\rd", "A\rb\rc\rD") == Undone("a\rb\rc\rD", back=1, kept=0)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_line_ends_that_the_editor_gave_what_was_inserted_are_nobodys_change(end: str):
    windows = {"\n": "a\r\nb\r\nc\r\n", "\r\n": "a\nb\nc\n"}[end]
    now = windows.replace("b", "B")
    assert undo(windows, f"a{end}B{end}c{end}", now) == Undone(windows, back=1, kept=0)
    assert undo("", f"a{end}B{end}c{end}", now) == Undone("", back=1, kept=0)
    assert undo("a", f"a{end}B{end}c", now[:-1].rstrip("\r")) == Undone("a", back=1, kept=0)


def test_a_text_with_line_ends_of_several_kinds_keeps_its_own():
    assert undo("a\r\nb\nc\n", "a\r\nB\nc\n", "a\r\nB\nc\n") == Undone("a\r\nb\nc\n", back=1, kept=0)


@given(lines, lines)
def test_without_changes_since_it_always_gives_back_the_text_before(before: str, after: str):
    assert undo(before, after, after).text == before


@given(lines, lines, lines)
def test_every_place_is_taken_back_or_counted(before: str, after: str, now: str):
    done = undo(before, after, now)
    assert done.back + done.kept == (undo(before, after, after).back)
    if done.back == 0:
        assert done.text == now
