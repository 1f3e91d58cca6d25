"""Where completions end: at the line's end, or where the block's indentation falls."""

import pytest

from model.completion import CompletionRequest
from model.ending import MAX_LINES, Ending


def ending(prefix: str, suffix: str = "\n", block: bool | None = None) -> Ending:
    return Ending(CompletionRequest("a.py", "python", prefix, suffix, block=block))


def written_out(rule: Ending, text: str) -> str:
    """What is left when `text` is written one character after the other."""
    for length in range(1, len(text) + 1):
        if (done := rule.of(text[:length], final=False)) is not None:
            return done
    return rule.of(text, final=True) or ""


def test_a_line_ends_with_its_newline():
    assert written_out(ending("x = "), "1 + 2\ny = 3\n") == "1 + 2"


def test_an_opened_block_runs_until_the_indentation_falls():
    text = "\n    a = 1\n\n    return a\n\ndef g():\n"
    assert written_out(ending("def f():"), text) == "\n    a = 1\n\n    return a"


def test_a_block_begins_on_the_blank_line_below_its_opener_too():
    assert written_out(ending("if x:\n    "), "a()\n    b()\nc()\n") == "a()\n    b()"


def test_a_closing_bracket_at_the_openers_depth_belongs():
    assert written_out(ending("function f() {"), "\n  return 1;\n}\ng();\n") == "\n  return 1;\n}"


def test_a_block_has_at_most_so_many_lines():
    assert written_out(ending("if x:"), "\n    a()" * 40).count("\n") == MAX_LINES


@pytest.mark.parametrize("suffix", [")\n", " + 1\n"])
def test_text_behind_the_cursor_on_its_line_forbids_a_block(suffix: str):
    assert ending("if f(x:", suffix).kind == "line"


def test_the_request_may_decide():
    assert ending("if x:", block=False).kind == "line"
    assert ending("x = 1\n", block=True).kind == "block"


def test_a_block_that_ran_out_of_tokens_keeps_its_whole_lines():
    assert ending("if x:").cut_short("\n    a()\n    b(") == "\n    a()"
    assert ending("x = ").cut_short("some(") == "some("
