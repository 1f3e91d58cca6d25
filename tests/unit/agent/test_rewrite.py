"""Which lines a model fills in for a finding, and what its answer changes."""

from hypothesis import given
from hypothesis import strategies as st

from agent.findings import Finding, Span
from agent.rewrite import MOST_LINES, edits_of, gaps_of, hint_of
from agent.shadow import apply

TEXT = "def f():\n    try:\n        g()\n    except:\n        pass\n"


def at(line: int, column: int, end_line: int, end_column: int) -> Finding:
    return Finding("ruff", "E722", "Do not use bare `except`", "warning", Span(line, column, end_line, end_column))


def test_the_flagged_line_is_the_first_gap():
    gap = gaps_of(TEXT, at(3, 4, 3, 10))[0]
    assert (gap.first, gap.last, gap.original, gap.indentation) == (3, 3, "except:", "    ")


def test_a_wider_gap_covers_the_lines_that_it_belongs_to():
    wide = gaps_of(TEXT, at(3, 4, 3, 10))[-1]
    assert (wide.first, wide.last) == (1, 4)


def test_the_answer_changes_exactly_the_gap():
    gap = gaps_of(TEXT, at(3, 4, 3, 10))[0]
    assert apply(TEXT, edits_of(gap, "except ValueError:\n")) == TEXT.replace("except:", "except ValueError:")


def test_indentation_that_the_model_repeats_is_not_doubled():
    gap = gaps_of(TEXT, at(3, 4, 3, 10))[0]
    assert apply(TEXT, edits_of(gap, "    except ValueError:")) == TEXT.replace("except:", "except ValueError:")


def test_an_empty_or_equal_answer_is_no_proposal():
    gap = gaps_of(TEXT, at(3, 4, 3, 10))[0]
    assert [edits_of(gap, answer) for answer in ("", " \n", "except:", "except:\n")] == [(), (), (), ()]


def test_the_answer_takes_the_texts_line_ends():
    text = "x = 1\r\ny = 2\r\n"
    gap = gaps_of(text, at(0, 0, 0, 1))[0]
    assert apply(text, edits_of(gap, "x = 1\nz = 3\n")) == "x = 1\r\nz = 3\r\ny = 2\r\n"


def test_a_span_that_ends_at_column_0_does_not_include_that_line():
    assert gaps_of("a\nb\nc\n", at(0, 0, 1, 0))[0].last == 0


def test_a_finding_about_a_whole_block_is_about_its_first_line():
    text = "def f():\n" + "    x()\n" * (MOST_LINES + 1)
    assert gaps_of(text, at(0, 0, MOST_LINES + 1, 7))[0].lines == 1


def test_the_hint_stands_above_the_gap_at_its_depth():
    finding = at(3, 4, 3, 10)
    hinted = hint_of(gaps_of(TEXT, finding)[0], finding)
    assert hinted.endswith("g()\n    # fix E722: Do not use bare `except`\n    ")


@given(st.text(alphabet="ab \t\n\r😀", max_size=40), st.integers(0, 9), st.integers(0, 9), st.integers(0, 9))
def test_prefix_original_and_suffix_are_the_text(text: str, line: int, column: int, length: int):
    for gap in gaps_of(text, at(line, column, line + length, column)):
        assert gap.prefix + gap.original + gap.suffix == text
        assert gap.lines <= MOST_LINES
