"""Which findings are new after an edit."""

from hypothesis import given
from hypothesis import strategies as st

from agent.findings import Finding, Span, TextEdit
from agent.novelty import compare, new_findings
from agent.shadow import apply, lines_of

line = st.text(alphabet="xy ()😀", max_size=8)
documents = st.lists(line, min_size=1, max_size=8).map("\n".join)


def finding(start: int, column: int, end: int, end_column: int, message: str = "wrong", code: str = "E1") -> Finding:
    return Finding("lint", code, message, "warning", Span(start, column, end, end_column))


@st.composite
def linted(draw: st.DrawFn) -> tuple[str, list[Finding]]:
    text = draw(documents)
    lines = lines_of(text)
    found = []
    for _ in range(draw(st.integers(0, 6))):
        row = draw(st.integers(0, len(lines) - 1))
        start = draw(st.integers(0, len(lines[row])))
        end = draw(st.integers(start, len(lines[row])))
        found.append(finding(row, start, row, end, draw(st.sampled_from(["wrong", "bad"]))))
    return text, found


def moved(found: list[Finding], by: int) -> list[Finding]:
    return [finding(f.span.line + by, f.span.column, f.span.end_line + by, f.span.end_column, f.message) for f in found]


@given(linted())
def test_an_unchanged_text_has_no_new_findings(case: tuple[str, list[Finding]]):
    text, found = case
    seen = compare(found, found, text, [])
    assert seen.new == seen.gone == ()


@given(linted(), st.integers(1, 4))
def test_blank_lines_above_bring_nothing_new(case: tuple[str, list[Finding]], count: int):
    text, found = case
    above = [TextEdit(Span(0, 0, 0, 0), "\n" * count)]
    seen = compare(found, moved(found, count), text, above)
    assert seen.new == seen.gone == ()


@given(linted(), st.integers(1, 4))
def test_lines_below_bring_nothing_new(case: tuple[str, list[Finding]], count: int):
    text, found = case
    end = len(lines_of(text))
    assert new_findings(found, found, text, [TextEdit(Span(end, 0, end, 0), "\n" * count)]) == []


@given(linted(), linted())
def test_every_finding_after_is_new_or_answered_by_one_before(
    case: tuple[str, list[Finding]], other: tuple[str, list[Finding]]
):
    text, before = case
    new_text, after = other
    whole = [TextEdit(Span(0, 0, 10_000, 0), new_text)]
    seen = compare(before, after, text, whole)
    assert len(after) - len(seen.new) == len(before) - len(seen.gone)


def test_a_second_copy_of_a_known_mistake_is_new():
    text = "foo\nbar\n"
    before = [finding(0, 0, 0, 3)]
    after = [finding(0, 0, 0, 3), finding(1, 0, 1, 3)]
    assert new_findings(before, after, text, [TextEdit(Span(1, 0, 1, 3), "foo")]) == [after[1]]


def test_the_same_mistake_somewhere_else_is_new_although_the_count_is_equal():
    text = "foo\nbar\nbaz\n"
    edits = [TextEdit(Span(0, 0, 1, 0), ""), TextEdit(Span(2, 0, 2, 3), "foo")]
    seen = compare([finding(0, 0, 0, 3)], [finding(1, 0, 1, 3)], text, edits)
    assert len(seen.new) == len(seen.gone) == 1


def test_a_deleted_finding_does_not_answer_for_its_twin_on_the_next_line():
    text = "foo\nfoo\n"
    twins = [finding(0, 0, 0, 3), finding(1, 0, 1, 3)]
    seen = compare(twins, [finding(0, 0, 0, 3)], text, [TextEdit(Span(0, 0, 1, 0), "")])
    assert (seen.new, seen.gone) == ((), (twins[0],))


def test_a_rewritten_line_that_keeps_the_mistake_keeps_the_finding():
    text = "a = foo\n"
    after = [finding(0, 9, 0, 12)]
    edits = [TextEdit(Span(0, 0, 0, 7), "b = 1 or foo")]
    assert apply(text, edits)[9:12] == "foo"
    assert compare([finding(0, 4, 0, 7)], after, text, edits).new == ()


def test_line_numbers_inside_a_message_move_with_the_text():
    before = [finding(1, 0, 1, 3, "Redefinition of unused `os` from line 1")]
    after = [finding(2, 0, 2, 3, "Redefinition of unused `os` from line 2")]
    assert new_findings(before, after, "foo\nfoo\n", [TextEdit(Span(0, 0, 0, 0), "\n")]) == []


def test_another_message_at_the_same_place_is_new():
    after = [finding(0, 0, 0, 3, "worse")]
    assert new_findings([finding(0, 0, 0, 3)], after, "foo\n", []) == after
