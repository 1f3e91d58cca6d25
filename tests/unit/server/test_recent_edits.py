"""Places follow their lines through whatever happens around them."""

from itertools import pairwise
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from lsprotocol import types as lsp

from model.similar_edits import REMEMBERED
from server.documents import Documents
from server.recent_edits import MOST_LINES, Lines, Place, Reader, RecentEdits

HERE, THERE = Path("/w/here.py"), Path("/w/there.py")


def as_open(lines: list[str]) -> Lines:
    return lambda first, stop: tuple(lines[max(0, first) : stop])


def reader(texts: dict[Path, list[str]]) -> Reader:
    """Reads these files, as if they were open."""
    return lambda path: as_open(texts[path]) if path in texts else None


def named(path: Path) -> str | None:
    return None if path.name == "secret.py" else path.name


def shown(recent: RecentEdits, texts: dict[Path, list[str]], characters: int = 1000, line: int = 0) -> str | None:
    made = recent.document(HERE, line, named, reader(texts), characters)
    return made.text if made is not None else None


def alike(recent: RecentEdits, texts: dict[Path, list[str]], line: int = 0, characters: int = 1000) -> str | None:
    made = recent.similar(HERE, line, named, reader(texts), characters, None)
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
    assert shown(recent, texts, line=90) == "# there.py\na\nb\nc\n", "the name is said once"
    assert shown(recent, texts, characters=16) == "# there.py\nb\nc\n"
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
    texts = {THERE: [f"line {number}" for number in range(5 * MOST_LINES + 1)]}
    assert "line 0\n" not in (shown(recent, texts, 100_000) or "")
    (place,) = recent.places
    assert place.read is not None
    assert place.read.lines[-1] == f"line {place.last}"
    assert len(place.read.lines) == MOST_LINES + 1


SHOPS = [
    "def pears(count: int) -> Price:",
    "    return Price(count * 2)",
    *["pass"] * 12,
    "log = logging.getLogger(__name__)",
]
PLUMS = ["def plums(count: int) -> Price:", "", *["pass"] * 20, "logging.", ""]


def visited() -> RecentEdits:
    recent = RecentEdits()
    for line in (1, 14):
        recent.edited(THERE, line, 0, 0, text=True)
    return recent


def test_places_like_the_cursor_s_come_with_the_lines_above_them() -> None:
    texts = {THERE: SHOPS, HERE: PLUMS}
    assert alike(visited(), texts, 1, 80) == f"# there.py\n{SHOPS[0]}\n{SHOPS[1]}\n"
    assert alike(visited(), {**texts, HERE: ["nothing", "like it"]}, 1) is None
    assert alike(visited(), texts, 1, 0) is None


def test_similar_edits_stay_while_the_cursor_does_and_are_chosen_anew_elsewhere() -> None:
    texts, recent = {THERE: SHOPS, HERE: list(PLUMS)}, visited()
    first = alike(recent, texts, 1, 80)
    texts[HERE][1] = "    logging.getLogger(__name__).info(log)"
    recent.edited(HERE, 1, 0, 0, text=True)
    assert alike(recent, texts, 4, 80) == first
    elsewhere = alike(recent, texts, 22, 80)
    assert elsewhere is not None
    assert elsewhere.endswith("getLogger(__name__)\n")
    recent.edited(THERE, 4, 0, 0, text=True)
    assert alike(recent, {**texts, THERE: [*SHOPS[:4], "logging.", *SHOPS[5:]]}, 23, 800) != elsewhere


def test_what_may_not_be_shown_is_like_nothing() -> None:
    recent = RecentEdits()
    recent.edited(Path("/w/secret.py"), 0, 0, 0, text=True)
    texts = {Path("/w/secret.py"): ["key = 1"], HERE: ["key ="]}
    assert alike(recent, texts) is None
    assert shown(recent, texts) is None


def test_a_place_reads_as_it_stands_now() -> None:
    recent = visited()
    texts = {THERE: list(SHOPS), HERE: PLUMS}
    assert "count * 2" in (shown(recent, texts) or "")
    texts[THERE][1] = "    return Price(count * 5)"
    recent.edited(THERE, 1, 0, 0, text=True)
    assert "count * 5" in (shown(recent, texts) or "")
    assert "count * 2" not in (shown(recent, texts) or "")


def test_what_stands_above_a_place_reads_as_it_stands_now() -> None:
    recent = visited()
    texts = {THERE: list(SHOPS), HERE: PLUMS}
    assert "def pears(count" in (alike(recent, texts) or "")
    texts[THERE][0] = "def pears(number: int) -> Price:"
    recent.edited(THERE, 0, 0, 0, text=False)
    assert "def pears(number" in (alike(recent, texts, 9) or "")


def test_a_closed_file_is_remembered_as_it_stood_and_found_again() -> None:
    recent = visited()
    texts = {THERE: list(SHOPS), HERE: PLUMS}
    recent.closed(THERE, as_open(texts.pop(THERE)))
    assert "count * 2" in (shown(recent, texts) or "")
    assert "def pears" in (alike(recent, texts) or "")
    texts[THERE] = ["# pears are dear", "", *SHOPS[:14], "log = None"]
    recent.opened(THERE, as_open(texts[THERE]))
    assert recent.places == [Place(THERE, 3, 3)], "the other was rewritten by somebody else"
    assert "getLogger" not in (shown(recent, texts) or "")


def test_two_places_that_read_alike_are_found_apart() -> None:
    recent, lines = RecentEdits(), ["x = 1", "", "", "x = 1"]
    for line in (0, 3):
        recent.edited(THERE, line, 0, 0, text=True)
    recent.closed(THERE, as_open(lines))
    recent.opened(THERE, as_open(lines))
    assert sorted(place.first for place in recent.places) == [0, 3]


def test_documents_tell_of_closing_and_opening() -> None:
    documents, uri = Documents(), THERE.as_uri()
    documents.open(lsp.TextDocumentItem(uri, "python", 1, "old\nold\n"))
    place = lsp.Range(lsp.Position(1, 0), lsp.Position(1, 3))
    list(documents.change(uri, 2, [lsp.TextDocumentContentChangePartial(range=place, text="new")]))
    documents.close(uri)
    assert shown(documents.recent, {}) == "# there.py\nnew\n"
    documents.open(lsp.TextDocumentItem(uri, "python", 1, "old\nold\n"))  # as it was on disk: never saved
    assert documents.recent.places == []


def test_a_document_that_is_opened_twice_keeps_its_places() -> None:
    documents, item = Documents(), lsp.TextDocumentItem(THERE.as_uri(), "python", 1, "old\nold\n")
    documents.open(item)
    place = lsp.Range(lsp.Position(1, 0), lsp.Position(1, 3))
    list(documents.change(item.uri, 2, [lsp.TextDocumentContentChangePartial(range=place, text="new")]))
    documents.open(lsp.TextDocumentItem(item.uri, "python", 3, "first\nold\nnew\n"))
    assert documents.recent.places == [Place(THERE, 2, 2)]
    assert len(documents) == 1
