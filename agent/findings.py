"""What a linter found and what an edit changes.

Positions are plain: lines and columns count from 0, columns in code points.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "information", "hint"]


@dataclass(frozen=True, order=True)
class Span:
    """From (line, column) up to, not including, (end_line, end_column)."""

    line: int
    column: int
    end_line: int
    end_column: int


@dataclass(frozen=True)
class TextEdit:
    """Replace the text in `span` by `text`."""

    span: Span
    text: str


@dataclass(frozen=True)
class Fix:
    """A repair that a linter itself proposes."""

    title: str
    edits: tuple[TextEdit, ...]
    preferred: bool = False


@dataclass(frozen=True)
class Finding:
    """One linter's remark about one place. Two findings are the same remark if source, code and message agree."""

    source: str
    code: str
    message: str
    severity: Severity
    span: Span
    fixes: tuple[Fix, ...] = ()
    link: str | None = None


Lint = Callable[[str, str], Awaitable[list[Finding]]]  # (path in the workspace, text) -> findings of that text
