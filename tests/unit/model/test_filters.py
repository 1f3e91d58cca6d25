"""The filters: what stands behind the cursor is not offered again, and broken or repeated text is refused."""

import pytest

from model.completion import Refusal
from model.filters import Filtered, apply, breaks_syntax, repeats, without_suffix


@pytest.mark.parametrize(
    ("text", "suffix", "left", "replaces"),
    [
        ("a, b)", ")\n", "a, b", 0),
        ("a, b", ")\n", "a, b", 0),
        ("radius):\n    return radius", ")\n", "radius):\n    return radius", 1),
        ("name]", "] = value\n", "name", 0),
        ("total + tax", " + tax\n", "total", 0),
        ("one\n    two\n    three", "\n    three\n", "one\n    two", 0),
        ("one\n    two", "\n\n    two\n    more\n", "one", 0),
        ("value", "", "value", 0),
        ("x", "\r\ny\r\n", "x", 0),
    ],
)
def test_what_stands_behind_the_cursor_is_cut_off(text: str, suffix: str, left: str, replaces: int):
    assert without_suffix(text, suffix) == Filtered(left, replaces)


@pytest.mark.parametrize(
    ("line", "text", "rest", "left", "replaces"),
    [
        ("print(", "len(x)", ")", "len(x)", 0),
        ("print(", "len(x))", ")", "len(x)", 0),
        ("print(", "len(x), y", ")", "len(x), y", 0),
        ("print(", "'('", ")", "'('", 0),
        ("print(", "'(')", ")", "'('", 0),
        ("foo(bar(", "g()", "), 1)", "g()", 0),
        ("foo(bar(", "g())", "), 1)", "g()", 0),
        ("foo(bar(", "g(1))", "))", "g(1)", 0),
        ("d[", "x[0]", "]", "x[0]", 0),
        ("console.log(", "len(x)", ");", "len(x)", 0),
        ("console.log(", "x);", ");", "x", 0),
        ("xs.map(", "a => f(a)", ")", "a => f(a)", 0),
        ("xs.map(", "a => a)", ")", "a => a", 0),
        ("List<", "Map<A, B>", ">", "Map<A, B>", 0),
        ("baz(a, ", "g()", "))", "g()", 0),  # the second closes what an earlier line opened
        ("x = (total(", "1)", ")", "1)", 0),
        ("if a < b and f(", "c)", ")", "c", 0),
        ('print("', 'hello")', '")', "hello", 0),
        ('print("', "hello", '")', "hello", 0),
        ("return f\"{''.join(", "options)", ')}"', "options", 0),
        ("return f\"{''.join(", "f(options)", ')}"', "f(options)", 0),
        ("It doesn't (yet", " work)", ")", " work", 0),
        ("x = 1", "2;", ";", "2", 0),
        ("if x", " > 1:", ":", " > 1", 0),
        ("def area(", "radius):\n    return f(radius)", ")", "radius):\n    return f(radius)", 1),
        ("print(", "f(\n    x,\n)", ")", "f(\n    x,\n)", 0),
    ],
)
def test_no_more_closers_go_than_the_line_has_too_many_of(line: str, text: str, rest: str, left: str, replaces: int):
    assert without_suffix(text, f"{rest}\n", line) == Filtered(left, replaces)


def test_white_space_alone_is_refused():
    refusal = apply("   \n  ", "python", "x = ", "\n")
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "empty"


def test_the_line_above_is_not_offered_again():
    assert repeats("rint('a')", "print('a')\np", "\n")
    assert not repeats("rint('b')", "print('a')\np", "\n")


def test_the_next_line_is_not_offered_again():
    assert repeats("turn x", "    re", "\n    return x\n")


def test_a_block_of_lines_from_above_is_a_repeat():
    assert repeats("a = 1\nb = 2\n", "a = 1\nb = 2\n", "")


@pytest.mark.parametrize(
    ("language", "prefix", "text", "suffix", "broken"),
    [
        ("python", "def f(a):\n    return (a", " + 1)", "\n", False),
        ("python", "x = [1, 2]", ")", "\n", True),
        ("python", "for i in ran", "ge(10):", "\n    print(i)\n", False),
        ("javascript", "const f = () => {\n  return 1", ";", "\n}\n", False),
        ("javascript", "const f = () => {\n  return 1;", "}}}", "\n}\n", True),
        ("typescript", "interface A { x: num", "ber;", " }\n", False),
        ("javascript", "let x;\n", "const f = () => {", "\n", False),
        ("python", "", "foo(a,", "\n", False),
        ("python", "def f():\n    ", '"""What it does.', "\n", False),
        ("python", "x = 1\n", "def f(:", "\n", True),
        ("cobol", "x", ")))", "\n", False),
    ],
)
def test_a_suggestion_must_not_add_syntax_errors(language: str, prefix: str, text: str, suffix: str, broken: bool):
    assert breaks_syntax(text, language, prefix, suffix) is broken


def test_a_good_text_passes_without_its_trailing_blanks():
    assert apply("ge(10):  ", "python", "for i in ran", "\n    print(i)\n") == Filtered("ge(10):")
