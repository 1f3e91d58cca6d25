"""Mend one finding: try proposals on a shadow copy until the linters agree that it is gone and nothing new came.

Not a judge of style and not a writer: the linter's own fixes come first, then whatever the proposers offer, and the
user's text is never touched. A proposal that silences the linter (a `noqa`, a `type: ignore`) is not a repair. What
was tried and why it was turned down is always told. Cancellable at every await.
"""

import ast
import asyncio
import re
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from agent.findings import Finding, Lint, TextEdit
from agent.novelty import compare, remark
from agent.shadow import EditError, Shadow
from inkling.errors import InklingError

Origin = Literal["linter", "model"]

# (path, text, finding) -> groups of edits; each group is one proposal
Propose = Callable[[str, str, Finding], Awaitable[Sequence[Sequence[TextEdit]]]]

_SILENCERS = re.compile(
    r"#\s*(?:noqa|ruff:\s*(?:noqa|ignore|disable)|type:\s*ignore|(?:based)?pyright:|pylint:\s*disable|mypy:|fmt:\s*off)"
    r"|(?:eslint|oxlint|biome)-(?:disable|ignore)|@ts-(?:ignore|expect-error|nocheck)|//\s*nolint|#\s*shellcheck\s+disable",
    re.IGNORECASE,
)


class LintIncompleteError(InklingError):
    """A linter that should have looked at the text did not answer, so the absence of a finding proves nothing."""


@dataclass(frozen=True)
class Attempt:
    """One proposal that was looked at. `refused` is None for the one that was accepted."""

    title: str
    origin: Origin
    edits: tuple[TextEdit, ...]
    refused: str | None
    new: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class FixResult:
    """What came of it. `text` is the mended text, or the given one where nothing was accepted."""

    path: str
    finding: Finding
    text: str
    edits: tuple[TextEdit, ...]
    diff: str
    tried: tuple[Attempt, ...]
    message: str

    @property
    def fixed(self) -> bool:
        """True if a proposal was accepted."""
        return any(attempt.refused is None for attempt in self.tried)


def silences(text: str) -> int:
    """How many comments of the text tell a linter to be quiet."""
    return len(_SILENCERS.findall(text))


async def fix(
    path: str,
    text: str,
    finding: Finding,
    *,
    lint: Lint,
    proposers: Sequence[Propose] = (),
    max_tries: int = 6,
    deadline_seconds: float = 30.0,
) -> FixResult:
    """Try proposals in order; the first that mends `finding` and brings nothing new is accepted.

    `lint` must answer for exactly the text it is given and raise LintIncompleteError where it cannot.
    """
    attempts: list[Attempt] = []
    try:
        async with asyncio.timeout(deadline_seconds):
            return await _fix(path, text, finding, lint, proposers, max_tries, attempts)
    except TimeoutError:
        reason = f"The deadline of {deadline_seconds:g} s passed"
    except LintIncompleteError as error:
        reason = f"The linters did not answer, so no repair can be checked ({error})"
    return _nothing(path, text, finding, attempts, reason)


async def _fix(
    path: str,
    text: str,
    finding: Finding,
    lint: Lint,
    proposers: Sequence[Propose],
    max_tries: int,
    attempts: list[Attempt],
) -> FixResult:
    before = await lint(path, text)
    known = _same(finding, before)
    if known is None:
        return _nothing(path, text, finding, attempts, "It is no longer in the text")
    seen = {text}
    async for title, origin, edits in _proposals(path, text, known, proposers):
        if len(attempts) == max_tries:
            return _nothing(path, text, known, attempts, f"The limit of {max_tries} tries was reached")
        try:
            shadow = Shadow.of(path, text).apply(edits)
        except EditError as error:
            attempts.append(Attempt(title, origin, edits, str(error)))
            continue
        if shadow.text in seen:
            continue
        seen.add(shadow.text)
        attempt = await _attempt(title, origin, edits, shadow, known, before, lint)
        attempts.append(attempt)
        if attempt.refused is None:
            message = f"{_name(known)} is mended and nothing new came: {title}"
            diff = await asyncio.to_thread(shadow.diff)
            return FixResult(path, known, shadow.text, edits, diff, tuple(attempts), message)
    reason = "No proposal passed" if attempts else "The linter offers no fix for it and nothing else was proposed"
    return _nothing(path, text, known, attempts, reason)


async def _proposals(
    path: str, text: str, finding: Finding, proposers: Sequence[Propose]
) -> AsyncIterator[tuple[str, Origin, tuple[TextEdit, ...]]]:
    """Title, origin and edits of each proposal: a proposer is asked only once all before it were turned down."""
    for own in sorted(finding.fixes, key=lambda own: not own.preferred):
        yield own.title, "linter", own.edits
    for propose in proposers:
        for number, edits in enumerate(await propose(path, text, finding), start=1):
            yield f"rewrite {number} by the model", "model", tuple(edits)


async def _attempt(
    title: str,
    origin: Origin,
    edits: tuple[TextEdit, ...],
    shadow: Shadow,
    finding: Finding,
    before: Sequence[Finding],
    lint: Lint,
) -> Attempt:
    if silences(shadow.text) > silences(shadow.original):
        return Attempt(title, origin, edits, "It silences the linter instead of mending the code.")
    after = await lint(shadow.path, shadow.text)
    seen = await asyncio.to_thread(compare, before, after, shadow.original, edits)
    if finding not in seen.gone:
        return Attempt(title, origin, edits, "The finding is still there.", seen.new)
    if seen.new:
        return Attempt(title, origin, edits, f"It brings {_names(seen.new)}.", seen.new)
    if shadow.path.endswith((".py", ".pyi")) and not _is_python(shadow.text) and _is_python(shadow.original):
        return Attempt(title, origin, edits, "It breaks the syntax.")  # where no linter looks at the syntax
    return Attempt(title, origin, edits, None)


def _same(finding: Finding, findings: Sequence[Finding]) -> Finding | None:
    """The linter's present form of a finding: same remark at the same start, else the nearest start."""
    alike = [candidate for candidate in findings if remark(candidate) == remark(finding)]
    line, column = finding.span.line, finding.span.column
    return min(alike, key=lambda one: (abs(one.span.line - line), abs(one.span.column - column)), default=None)


def _is_python(text: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a doubtful escape in the user's text is the linter's to report
            ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _name(finding: Finding) -> str:
    label = f"{finding.source} {finding.code}".strip()
    return f"{label} on line {finding.span.line + 1} ({finding.message})"


def _names(findings: Sequence[Finding]) -> str:
    named = "; ".join(_name(finding) for finding in findings[:3])
    return named if len(findings) <= 3 else f"{named} and {len(findings) - 3} more"


def _nothing(path: str, text: str, finding: Finding, attempts: Sequence[Attempt], reason: str) -> FixResult:
    tried = "".join(f" [{attempt.title}] {attempt.refused}" for attempt in attempts)
    return FixResult(path, finding, text, (), "", tuple(attempts), f"{_name(finding)} is not mended. {reason}.{tried}")
