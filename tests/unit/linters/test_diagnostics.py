"""Findings as diagnostics and back, in every encoding."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lsprotocol import types

from agent.findings import Finding, Span, TextEdit
from agent.shadow import lines_of
from server.linters.diagnostics import (
    diagnostic_of,
    finding_of,
    fix_of,
    points,
    report_of,
    same,
    span_of,
    text_edits_of,
    units,
)

encodings = st.sampled_from(["utf-8", "utf-16", "utf-32"])
lines = st.text(alphabet="ab\t é😀\u2028", max_size=12)


@given(lines, st.integers(0, 14), encodings)
def test_a_column_comes_back_as_it_went(line: str, column: int, encoding: str):
    assert points(line, units(line, column, encoding), encoding) == min(column, len(line))


@pytest.mark.parametrize(("encoding", "column"), [("utf-8", 4), ("utf-16", 2), ("utf-32", 1)])
def test_an_emoji_counts_by_encoding(encoding: str, column: int):
    assert units("😀x", 1, encoding) == column


def test_the_middle_of_a_character_is_its_start():
    assert points("😀x", 1, "utf-16") == 0


@given(st.text(alphabet="a😀\t\r\n\x0c\u2028", max_size=20), st.integers(0, 9), st.integers(0, 9), encodings)
def test_a_finding_survives_the_way_to_the_editor_and_back(text: str, line: int, column: int, encoding: str):
    rows = lines_of(text)
    line = min(line, len(rows) - 1)
    column = min(column, len(rows[line]))
    finding = Finding("ruff", "F1", "wrong", "error", Span(line, column, line, len(rows[line])), link="https://a")
    sent = diagnostic_of(finding, rows, encoding)
    raw = {
        "range": {
            "start": {"line": sent.range.start.line, "character": sent.range.start.character},
            "end": {"line": sent.range.end.line, "character": sent.range.end.character},
        },
        "message": sent.message,
        "severity": int(sent.severity or 0),
        "code": sent.code,
        "codeDescription": {"href": "https://a"},
    }
    assert finding_of(raw, "ruff", rows, encoding) == finding


def test_a_report_keeps_severity_code_source_and_link():
    (sent,) = report_of([Finding("ruff", "E1", "m", "hint", Span(0, 0, 0, 1), link="https://a")], ["x"])
    assert (sent.severity, sent.code, sent.source) == (types.DiagnosticSeverity.Hint, "E1", "ruff")
    assert sent.code_description == types.CodeDescription("https://a")


def test_positions_past_the_end_are_pulled_in():
    assert span_of(
        {"start": {"line": 0, "character": 99}, "end": {"line": 99, "character": 0}}, ["ab", "c"], "utf-16"
    ) == (Span(0, 2, 1, 1))
    (edit,) = text_edits_of([TextEdit(Span(0, 0, 7, 7), "")], ["ab", "😀"])
    assert edit.range.end == types.Position(1, 2)


RANGE = {"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 1}}
EDIT = {"range": RANGE, "newText": "y"}


@pytest.mark.parametrize(
    "edit",
    [
        {"changes": {"file:///a%20b": [EDIT]}},
        {"documentChanges": [{"textDocument": {"uri": "file:///a b", "version": 1}, "edits": [EDIT]}]},
    ],
)
def test_a_quick_fix_of_this_document_is_a_fix(edit: dict):
    fix = fix_of({"title": "t", "edit": edit, "isPreferred": True}, "file:///a b", ["x"], "utf-16")
    assert fix is not None
    assert (fix.title, fix.preferred, fix.edits) == ("t", True, (TextEdit(Span(0, 0, 0, 1), "y"),))


@pytest.mark.parametrize(
    "action",
    [
        {"title": "t", "command": "do"},
        {"title": "t", "edit": {"changes": {"file:///other": [EDIT]}}},
        {"title": "t", "edit": {"documentChanges": [{"kind": "delete", "uri": "file:///a"}]}},
        {"title": "t", "disabled": {"reason": "no"}, "edit": {"changes": {"file:///a": [EDIT]}}},
        {"title": "t", "edit": {}},
    ],
)
def test_any_other_code_action_is_none(action: dict):
    assert fix_of(action, "file:///a", ["x"], "utf-16") is None


def test_two_spellings_of_a_uri_are_one_document():
    assert same("file:///c%3A/a%20b") == same("file:///C:/a b")
