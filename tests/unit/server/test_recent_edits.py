"""Places follow their lines through whatever happens around them."""

from itertools import pairwise
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from lsprotocol import types as lsp

from server.documents import Documents
from server.recent_edits import MOST_LINES, REMEMBERED, Place, RecentEdits

HERE, THERE = Path("/w/here.py"), Path("/w/there.py")


def shown(recent: RecentEdits, texts: dict[Path, list[str]], characters: int = 1000, line: int = 0) -> str | None:
    def lines_of(place: Place) -> tuple[str, list[str]] | None:
        lines = texts.get(place.path)
        return (place.path.name, lines[place.first : place.last + 1]) if lines is not None else None

    made = recent.document(HERE, line, lines_of, characters)
    return made.text if made is not None else None


def test_lines_that_are_typed_one_after_the_other_are_one_place() -> None:
    recent = RecentEdits()
    recent.edited(THERE, 3, 0, 0, text=True)
    recent.edited(THERE, 3, 0, 1, text=False)
    recent.edited(THERE, 4, 0, 0, text=True)
    assert recent.places == [Place(THERE, 3, 4)]
    recent.edited(THERE, 0, 0, 2, text=True)
    assert recent.places == [Place(THERE, 5, 6), Place(THERE, 0, 2)]


def test_what_only_went_is_no_text_that_was_written() -> None:
    recent = RecentEdits()
    recent.edited(THERE, 3, 2, 0, text=False)
    assert recent.places == []


def test_a_whole_file_that_was_replaced_was_not_written() -> None:
    recent = RecentEdits()
    recent.edited(THERE, 3, 0, 0, text=True)
    recent.edited(THERE, 0, MOST_LINES + 1, MOST_LINES + 1, text=True)
    assert recent.places == []


def test_the_newest_stands_last_and_the_cursor_s_own_place_is_left_out() -> None:
    recent = RecentEdits()
    texts = {HERE: [f"here {n}" for n in range(200)], THERE: ["a", "", "b", "c"]}
    recent.edited(THERE, 0, 0, 0, text=True)
    recent.edited(HERE, 100, 0, 0, text=True)
    recent.edited(THERE, 2, 0, 1, text=True)
    assert shown(recent, texts) == "# there.py\na\n# here.py\nhere 100\n# there.py\nb\nc\n"
    assert shown(recent, texts, line=90) == "# there.py\na\n# there.py\nb\nc\n"
    assert shown(recent, texts, characters=16) == "# there.py\nb\nc\n"
    assert shown(recent, {HERE: texts[HERE]}, line=90) is None
    assert shown(recent, texts, characters=1) is None


def test_only_so_many_places_are_remembered() -> None:
    recent = RecentEdits()
    for number in range(REMEMBERED + 5):
        recent.edited(Path(f"/w/{number}.py"), 0, 0, 0, text=True)
    assert recent.places[0].path == Path("/w/5.py")
    assert len(recent.places) == REMEMBERED


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 4), st.sampled_from(["", "new", "new\n", "new\nnew"]))))
def test_places_stay_within_the_text_and_apart(edits: list[tuple[int, int, str]]) -> None:
    documents = Documents()
    uri = THERE.as_uri()
    document = documents.open(lsp.TextDocumentItem(uri, "python", 1, "old\n" * 30))
    for version, (line, length, text) in enumerate(edits, start=2):
        place = lsp.Range(lsp.Position(line, 0), lsp.Position(line + length, 0))
        list(documents.change(uri, version, [lsp.TextDocumentContentChangePartial(range=place, text=text)]))
        places = sorted(documents.recent.places, key=lambda place: place.first)
        for one in places:
            assert 0 <= one.first <= one.last < len(document.starts)
        for one, other in pairwise(places):
            assert one.last < other.first


def test_of_a_place_that_grew_long_only_the_end_is_read() -> None:
    recent = RecentEdits()
    for line in range(5 * MOST_LINES):
        recent.edited(THERE, line, 0, 1, text=True)
    read: list[Place] = []
    recent.document(HERE, 0, lambda place: read.append(place), 1000)
    (place,) = read
    assert place.last - place.first == MOST_LINES
    assert place.last == recent.places[0].last
