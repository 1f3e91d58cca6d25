"""Positions, offsets and edits: the protocol's view of a text equals ours, whatever the text is made of."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lsprotocol import types as lsp

from server.documents import Documents, OpenDocument, line_starts, path_of

ENCODINGS = [lsp.PositionEncodingKind.Utf8, lsp.PositionEncodingKind.Utf16, lsp.PositionEncodingKind.Utf32]
UNITS = {"utf-8": ("utf-8", 1), "utf-16": ("utf-16-le", 2), "utf-32": ("utf-32-le", 4)}
PIECES = [
    "a",
    "Z",
    " ",
    "\t",
    "\n",
    "\r",
    "\r\n",
    "é",
    "e\u0301",
    "😀",
    "👩‍👩‍👧",
    "語",
    "\u2028",
    "\x0c",
    "\ufeff",
    "{",
    '"',
]
texts = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)
encodings = st.sampled_from(ENCODINGS)


def document(text: str, encoding: lsp.PositionEncodingKind = lsp.PositionEncodingKind.Utf16) -> OpenDocument:
    return OpenDocument("file:///a.py", "python", 1, text, encoding)


def naive_position(text: str, offset: int, encoding: lsp.PositionEncodingKind) -> lsp.Position:
    """Split by the protocol's line ends and encode the last piece: slow and plainly right."""
    head = text[:offset]
    if head.endswith("\r") and text[offset : offset + 1] == "\n":
        head = head[:-1]  # between the two halves of a line end there is no position of its own
    lines = re.split("\r\n|\r|\n", head)
    codec, width = UNITS[encoding.value]
    return lsp.Position(len(lines) - 1, len(lines[-1].encode(codec)) // width)


@given(texts, encodings, st.data())
def test_a_position_is_what_encoding_the_line_says(text: str, encoding: lsp.PositionEncodingKind, data: st.DataObject):
    offset = data.draw(st.integers(0, len(text)))
    assert document(text, encoding).position(offset) == naive_position(text, offset, encoding)


@given(texts, encodings, st.data())
def test_an_offset_survives_the_way_to_a_position_and_back(
    text: str, encoding: lsp.PositionEncodingKind, data: st.DataObject
):
    offset = data.draw(st.integers(0, len(text)))
    there = document(text, encoding)
    back = there.offset(there.position(offset))
    inside_line_end = text[offset - 1 : offset + 1] == "\r\n"
    assert back == (offset - 1 if inside_line_end else offset)


@given(texts, encodings, st.integers(0, 60), st.integers(0, 60))
def test_a_position_outside_of_the_text_is_clamped_into_it(
    text: str, encoding: lsp.PositionEncodingKind, line: int, character: int
):
    assert 0 <= document(text, encoding).offset(lsp.Position(line, character)) <= len(text)


@given(texts, st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20), texts), max_size=6), encodings)
def test_the_line_table_stays_true_under_any_edits(
    text: str, edits: list[tuple[int, int, str]], encoding: lsp.PositionEncodingKind
):
    there = document(text, encoding)
    for start, length, inserted in edits:
        begin = min(start, len(there.text))
        span = lsp.Range(there.position(begin), there.position(min(begin + length, len(there.text))))
        expected = there.text[: there.offset(span.start)] + inserted + there.text[there.offset(span.end) :]
        there.apply(lsp.TextDocumentContentChangePartial(range=span, text=inserted))
        assert there.text == expected
        assert there.starts == line_starts(expected)


@given(texts, texts)
def test_a_change_of_the_whole_text_is_told_as_one_edit(before: str, after: str):
    there = document(before)
    edit = there.apply(lsp.TextDocumentContentChangeWholeDocument(text=after))
    assert there.text == after
    assert edit.apply(before) == after


def test_a_range_that_is_the_wrong_way_round_is_turned():
    there = document("abcdef")
    turned = lsp.Range(lsp.Position(0, 4), lsp.Position(0, 1))
    there.apply(lsp.TextDocumentContentChangePartial(range=turned, text="-"))
    assert there.text == "a-ef"


def test_a_position_in_the_middle_of_a_character_lies_before_it():
    assert document("😀x").offset(lsp.Position(0, 1)) == 0


def test_a_change_to_a_document_that_was_never_opened_is_ignored():
    change = lsp.TextDocumentContentChangeWholeDocument(text="x")
    assert list(Documents().change("file:///never.py", 2, [change])) == []


def test_a_document_that_is_opened_twice_has_its_later_text():
    documents = Documents()
    for text in ("first", "second"):
        documents.open(lsp.TextDocumentItem("file:///a.py", "python", 1, text))
    held = documents.get("file:///a.py")
    assert held is not None
    assert (held.text, len(documents)) == ("second", 1)


@pytest.mark.parametrize("uri", ["untitled:Untitled-1", "vscode-notebook-cell:/x.ipynb#1", "git:/a.py"])
def test_what_is_not_a_file_has_no_path(uri: str):
    assert path_of(uri) is None


def test_an_open_document_is_found_by_the_path_of_its_file(tmp_path: Path):
    documents, file = Documents(), tmp_path / "a b.py"
    documents.open(lsp.TextDocumentItem(file.as_uri(), "python", 1, "x = 1\n"))
    found = documents.at(tmp_path / "elsewhere.py", file)
    assert found is not None
    assert found.text == "x = 1\n"
    documents.close(file.as_uri())
    assert documents.at(file) is None
