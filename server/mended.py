"""Findings that the user mended: what the linters said when a document was opened or last saved, and say no longer.

One look at a time per document, in the background, and only where recording is allowed. It does not know why a finding
went: one that went with a bigger stretch of deleted code was not mended, and where the agent edited the text meanwhile
nothing is told (its repairs have signals of their own).
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from agent.findings import Finding, TextEdit
from agent.novelty import Carry, compare
from agent.shadow import Offsets, edits_between
from feedback.consent import Consent
from inkling.errors import InklingError
from server.diagnostics import Diagnostics
from server.documents import OpenDocument
from server.learning import Learning

log = logging.getLogger(__name__)

_REMEMBERED = 64  # documents
_LONGEST = 500_000  # characters
_SPARE_LINES = 2  # that a deletion may be longer than what it mended


@dataclass(frozen=True)
class _Look:
    at: float
    text: str
    findings: Sequence[Finding]


class Mended:
    """Compares the findings of documents from save to save. Belongs to the event loop."""

    def __init__(
        self, diagnostics: Diagnostics, learning: Learning, place_of: Callable[[Path | None], tuple[str, str]]
    ) -> None:
        self._diagnostics = diagnostics
        self._learning = learning
        self._place_of = place_of
        self._last: dict[str, _Look] = {}
        self._looking: dict[str, asyncio.Task[None]] = {}

    def look(self, document: OpenDocument) -> None:
        """The document was opened or saved."""
        root, path = self._place_of(document.path)
        allowed = self._learning.consents.known(root) is not Consent.OFF if root else False
        if allowed and document.uri not in self._looking and len(document.text) <= _LONGEST:
            task = asyncio.create_task(self._look(document, root, path), name="mended findings")
            self._looking[document.uri] = task
            task.add_done_callback(partial(self._looked, document.uri))

    def forget(self, uri: str) -> None:
        """The document was closed: a look that is under way says nothing any more."""
        self._last.pop(uri, None)
        if (task := self._looking.pop(uri, None)) is not None:
            task.cancel()

    async def close(self) -> None:
        """Let go of looks that are under way."""
        looking = list(self._looking.values())
        for task in looking:
            task.cancel()
        await asyncio.gather(*looking, return_exceptions=True)

    def _looked(self, uri: str, task: asyncio.Task[None]) -> None:
        if self._looking.get(uri) is task:  # not where it was closed and opened again meanwhile
            del self._looking[uri]

    async def _look(self, document: OpenDocument, root: str, path: str) -> None:
        text, at = document.text, self._learning.clock.now()
        try:
            found = await self._diagnostics.checker(document.uri, document.language)(document.uri, text)
        except InklingError as error:
            log.info("whether findings were mended is not known: %s", error)
            self._last.pop(document.uri, None)
            return
        before = self._last.pop(document.uri, None)
        self._last[document.uri] = _Look(at, text, found)  # the newest last
        if len(self._last) > _REMEMBERED:
            del self._last[next(iter(self._last))]
        if before is None or before.text == text or self._learning.agent_edited(document.uri) >= before.at:
            return
        for finding in await asyncio.to_thread(mended, before.text, before.findings, text, found):
            self._learning.signal("lint_fixed", root, path, finding.code)


def mended(before: str, findings: Sequence[Finding], after: str, left: Sequence[Finding]) -> list[Finding]:
    """Findings of the text `before` that are mended in `after`, whose findings are `left`."""
    edits = edits_between(before, after)
    carry, offsets = Carry(before, edits), Offsets(before)
    gone = compare(findings, left, before, edits).gone
    return [f for f in gone if carry.range(*offsets.range(f.span)) is not None or _is_cut_out(f, edits)]


def _is_cut_out(finding: Finding, edits: Sequence[TextEdit]) -> bool:
    """Whether what was deleted is hardly more than what the finding is about."""
    span = finding.span
    around = next((e.span for e in edits if e.span.line <= span.line and span.end_line <= e.span.end_line), None)
    return around is not None and around.end_line - around.line <= span.end_line - span.line + 1 + _SPARE_LINES
