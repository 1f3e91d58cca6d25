"""Counts the faults that a suggestion brought: the document's linters read the text without it and with it.

It runs beside the editor, one suggestion at a time, and only where recording is allowed; a linter that fails or is
missing means that nothing is known. Syntax errors are the findings by which linters say that they cannot parse.
"""

import logging
from dataclasses import dataclass

from agent.findings import Finding, Lint
from feedback.records import Check
from inkling.errors import InklingError

log = logging.getLogger(__name__)

_SYNTAX = ("syntax", "parse-error", "reportSyntax", "E999")


@dataclass(frozen=True)
class Taken:
    """A suggestion that was accepted whole: the document before, and where what was put in."""

    suggestion: str
    uri: str
    language: str
    content: str
    offset: int
    text: str
    replaces: int

    @property
    def after(self) -> str:
        """The document with nothing but the suggestion added."""
        return self.content[: self.offset] + self.text + self.content[self.offset + self.replaces :]


async def checks(taken: Taken, lint: Lint, at: float) -> list[Check]:
    """Syntax errors and findings, before and after."""
    try:
        before, after = await lint(taken.uri, taken.content), await lint(taken.uri, taken.after)
    except InklingError as error:
        log.info("what a suggestion did to the findings is not known: %s", error)
        return []
    broken = [sum(map(_is_syntax, found)) for found in (before, after)]
    others = [len(found) - count for found, count in zip((before, after), broken, strict=True)]
    return [
        Check(taken.suggestion, at, "syntax", broken[0], broken[1]),
        Check(taken.suggestion, at, "lint", others[0], others[1]),
    ]


def _is_syntax(finding: Finding) -> bool:
    return any(word in finding.code for word in _SYNTAX) or "SyntaxError" in finding.message
