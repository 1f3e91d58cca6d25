"""Spans follow edits as markers in the text would."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedback.regions import Edit, Span, shared_prefix
from tests.growth import growth

TEXTS = st.text(alphabet="ab\r\n😀é ", max_size=12)


@st.composite
def scripts(draw: st.DrawFn) -> tuple[str, Span, list[Edit]]:
    content = draw(TEXTS)
    start = draw(st.integers(0, len(content)))
    end = draw(st.integers(start, len(content)))
    edits, size = [], len(content)
    for _ in range(draw(st.integers(0, 6))):
        first = draw(st.integers(0, size))
        last = draw(st.integers(first, size))
        text = draw(TEXTS)
        edits.append(Edit(first, last, text))
        size += len(text) - (last - first)
    return content, Span(start, end, draw(st.booleans())), edits


@dataclass(frozen=True)
class Marker:
    name: str


class Markers:
    """A text as a list of characters with two markers lying between them."""

    def __init__(self, content: str, span: Span) -> None:
        self.grows = span.grows
        self.items: list[str | Marker] = [*content]
        self.items.insert(span.end, Marker("end"))
        self.items.insert(span.start, Marker("start"))

    def offset(self, name: str) -> int:
        return sum(isinstance(item, str) for item in self.items[: self.items.index(Marker(name))])

    def edit(self, edit: Edit) -> None:
        start, end = self.offset("start"), self.offset("end")
        kept: list[str | Marker] = []
        seen = 0
        for item in self.items:
            if isinstance(item, str):
                if not edit.start <= seen < edit.end:
                    kept.append(item)
                seen += 1
            else:
                kept.append(item)
        self.items = kept
        belongs = self._belongs(edit, start, end)
        at = self._gap(edit.start)
        if belongs:  # as far left as the gap allows without leaving the markers
            at = max(at, self.items.index(Marker("start")) + 1)
        elif edit.start > end or (edit.start >= start and not (edit.start == edit.end == start)):
            at = self._last(at)  # behind both markers where they lie in this gap
        self.items[at:at] = list(edit.text)

    def _belongs(self, edit: Edit, start: int, end: int) -> bool:
        if self.grows:
            return start <= edit.start <= end
        if edit.start == edit.end:
            return start < edit.start < end
        return start <= edit.start < end and edit.end <= end

    def _gap(self, offset: int) -> int:
        seen = 0
        for place, item in enumerate(self.items):
            if seen == offset:
                return place
            seen += isinstance(item, str)
        return len(self.items)

    def _last(self, at: int) -> int:
        while at < len(self.items) and isinstance(self.items[at], Marker):
            at += 1
        return at

    @property
    def text(self) -> str:
        return "".join(item for item in self.items if isinstance(item, str))


@given(scripts())
def test_a_span_is_where_markers_would_be(script: tuple[str, Span, list[Edit]]) -> None:
    content, span, edits = script
    markers = Markers(content, span)
    for edit in edits:
        content, span = edit.apply(content), span.after(edit)
        markers.edit(edit)
        assert markers.text == content
        assert (span.start, span.end) == (markers.offset("start"), markers.offset("end"))


@given(scripts())
def test_a_span_never_leaves_its_text(script: tuple[str, Span, list[Edit]]) -> None:
    content, span, edits = script
    for edit in edits:
        content, span = edit.apply(content), span.after(edit)
        assert 0 <= span.start <= span.end <= len(content)


@given(TEXTS, TEXTS)
def test_the_edit_between_two_texts_makes_one_of_the_other(before: str, after: str) -> None:
    assert Edit.between(before, after).apply(before) == after


@given(scripts())
def test_trimming_does_not_change_what_an_edit_does(script: tuple[str, Span, list[Edit]]) -> None:
    content, _, edits = script
    for edit in edits:
        small = edit.trimmed(content)
        assert small.apply(content) == edit.apply(content)
        assert small.end - small.start <= edit.end - edit.start
        content = edit.apply(content)


@given(scripts())
def test_the_pieces_of_an_edit_do_together_what_it_does(script: tuple[str, Span, list[Edit]]) -> None:
    content, _, edits = script
    for edit in edits:
        made = content
        for piece in edit.pieces(content):
            made = piece.apply(made)
        content = edit.apply(content)
        assert made == content


def test_what_a_formatter_leaves_is_in_none_of_its_pieces() -> None:
    before = "def f( a ):\n\n    return g( a )\n\nlast = 1\n"
    after = "def f(a):\n\n    return g(a)\n\n\nlast = 1\n"
    pieces = Edit(0, len(before), after).pieces(before)
    assert [before[piece.start : piece.end] for piece in pieces] == ["", " ", " ", " ", " "]
    assert [piece.text for piece in pieces] == ["\n", "", "", "", ""]


def test_cutting_a_change_of_all_but_many_equal_lines_grows_little_faster_than_they_do() -> None:
    def cut(lines: int) -> None:
        before, after = (
            "".join("\n" if number % 2 else f"{indent}call(argument_{number})\n" for number in range(lines))
            for indent in ("", "    ")
        )
        assert len(Edit(0, len(before), after).pieces(before)) == lines // 2

    assert growth(cut, 200, 800) < 16


def test_a_large_file_that_is_written_anew_is_not_compared_character_by_character() -> None:
    before, after = ("".join(f"{line}\n{number}\n" for number in range(100)) for line in ("ab" * 950, "ba" * 950))
    pieces = Edit(0, len(before), after).pieces(before)
    assert sum((piece.end - piece.start) * len(piece.text) > 1 for piece in pieces) > 90
    made = before
    for piece in pieces:
        made = piece.apply(made)
    assert made == after


@given(TEXTS, TEXTS)
def test_the_shared_prefix_is_the_longest(one: str, other: str) -> None:
    size = shared_prefix(one, other)
    assert one[:size] == other[:size]
    assert size == min(len(one), len(other)) or one[size] != other[size]


@pytest.mark.parametrize(
    ("edit", "text"),
    [
        (Edit(6, 6, "!"), "cdef!"),
        (Edit(2, 2, "!"), "!cdef"),
        (Edit(0, 2, ""), "cdef"),
        (Edit(0, 3, "!"), "def"),
        (Edit(5, 8, "!"), "cde!"),
        (Edit(0, 8, "!"), ""),
    ],
)
def test_a_place_where_somebody_writes_takes_in_what_is_inserted_at_its_ends(edit: Edit, text: str) -> None:
    assert Span(2, 6, grows=True).after(edit).of(edit.apply("abcdefgh")) == text


@pytest.mark.parametrize(
    ("edit", "text"),
    [(Edit(6, 6, "!"), "cdef"), (Edit(2, 2, "!"), "cdef"), (Edit(4, 4, "!"), "cd!ef"), (Edit(5, 8, "!"), "cde")],
)
def test_a_piece_of_text_takes_in_only_what_is_inserted_within(edit: Edit, text: str) -> None:
    assert Span(2, 6).after(edit).of(edit.apply("abcdefgh")) == text
