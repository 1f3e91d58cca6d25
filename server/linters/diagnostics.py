"""Findings as LSP diagnostics and back.

Pure. Findings count columns in code points; the protocol in units of the negotiated encoding (UTF-16 for most
editors). Lines are those of `agent.shadow`: they end at `\\n`, `\\r\\n` or `\\r` only. A position past the end of its
line is pulled to that end, one past the last line to the end of the text.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from lsprotocol import types

from agent.findings import Finding, Fix, Severity, Span, TextEdit
from server.positions import points, units

_SEVERITIES: dict[int, Severity] = {1: "error", 2: "warning", 3: "information", 4: "hint"}
_NUMBERS = {name: types.DiagnosticSeverity(number) for number, name in _SEVERITIES.items()}


def same(uri: str) -> str:
    """A form of the URI in which two spellings of one document are equal: servers escape as they like."""
    plain = unquote(uri)
    return plain[:8] + plain[8:9].lower() + plain[9:] if plain.startswith("file:///") and plain[9:10] == ":" else plain


def range_of(span: Span, lines: Sequence[str], encoding: str = "utf-16") -> types.Range:
    """A span as the editor counts it."""
    return types.Range(
        _position(span.line, span.column, lines, encoding), _position(span.end_line, span.end_column, lines, encoding)
    )


def _position(line: int, column: int, lines: Sequence[str], encoding: str) -> types.Position:
    if line >= len(lines):
        line, column = len(lines) - 1, len(lines[-1])
    return types.Position(line, units(lines[line], column, encoding))


def diagnostic_of(finding: Finding, lines: Sequence[str], encoding: str = "utf-16") -> types.Diagnostic:
    """One finding as a diagnostic of the text that has these `lines`."""
    return types.Diagnostic(
        range=range_of(finding.span, lines, encoding),
        message=finding.message,
        severity=_NUMBERS[finding.severity],
        source=finding.source,
        code=finding.code or None,
        code_description=types.CodeDescription(finding.link) if finding.link else None,
    )


def report_of(findings: Iterable[Finding], lines: Sequence[str], encoding: str = "utf-16") -> list[types.Diagnostic]:
    """All findings as diagnostics of the text that has these `lines`."""
    return [diagnostic_of(finding, lines, encoding) for finding in findings]


def text_edits_of(edits: Iterable[TextEdit], lines: Sequence[str], encoding: str = "utf-16") -> list[types.TextEdit]:
    """Edits of the text that has these `lines`, as the editor takes them."""
    return [types.TextEdit(range_of(edit.span, lines, encoding), edit.text) for edit in edits]


def span_of(raw: Mapping[str, Any], lines: Sequence[str], encoding: str) -> Span:
    """The span of a range as a language server sent it. Raises KeyError, TypeError or ValueError if it is none."""
    start, end = (_place(raw[side], lines, encoding) for side in ("start", "end"))
    return Span(*start, *max(start, end))


def _place(raw: Mapping[str, Any], lines: Sequence[str], encoding: str) -> tuple[int, int]:
    line = max(int(raw["line"]), 0)
    if line >= len(lines):
        return len(lines) - 1, len(lines[-1])
    return line, points(lines[line], int(raw["character"]), encoding)


def finding_of(
    raw: Mapping[str, Any], source: str, lines: Sequence[str], encoding: str, fixes: tuple[Fix, ...] = ()
) -> Finding:
    """A diagnostic as a language server sent it. Raises KeyError, TypeError or ValueError if it is none."""
    code = raw.get("code")
    described = raw.get("codeDescription")
    return Finding(
        source=source,
        code="" if code is None else str(code),
        message=str(raw["message"]).strip(),
        severity=_SEVERITIES.get(raw.get("severity", 2), "warning"),
        span=span_of(raw["range"], lines, encoding),
        fixes=fixes,
        link=described.get("href") if isinstance(described, dict) else None,
    )


def fix_of(action: Mapping[str, Any], uri: str, lines: Sequence[str], encoding: str) -> Fix | None:
    """A quick fix that changes this document and nothing else; None for any other code action.

    Raises KeyError, TypeError or ValueError if the edit is malformed.
    """
    edit = action.get("edit")
    if not isinstance(edit, dict) or action.get("disabled"):
        return None
    changes: list[tuple[str, list[Any]]] = list((edit.get("changes") or {}).items())
    for change in edit.get("documentChanges") or ():
        if "textDocument" not in change:  # creates, renames or deletes a file
            return None
        changes.append((change["textDocument"]["uri"], change["edits"]))
    if not changes or any(same(changed) != same(uri) for changed, _ in changes):
        return None
    edits = tuple(
        TextEdit(span_of(one["range"], lines, encoding), str(one["newText"])) for _, group in changes for one in group
    )
    return Fix(str(action["title"]), edits, bool(action.get("isPreferred"))) if edits else None
