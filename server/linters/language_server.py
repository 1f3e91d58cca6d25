"""A linter that is a language server: its raw answers become findings, its quick fixes their fixes.

What differs from one to the next (the program, its settings, what to leave out) is in `ruff.py` and `pyright.py`.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from agent.findings import Finding, Fix
from agent.fix import silences
from agent.shadow import lines_of
from server.linters.child import PAUSES, Answer, LanguageServerChild
from server.linters.diagnostics import finding_of, fix_of
from server.linters.linter import LintedText, LinterError
from server.linters.session import Program
from server.linters.wire import Message

_MOST_ON_THE_LOOP = 100  # converting more findings than this would be felt by whoever is typing

Where = Callable[[], Program | None]


class LanguageServerLinter:
    """One language server as a linter. Its program is looked for when it is first needed."""

    def __init__(
        self,
        name: str,
        languages: frozenset[str],
        where: Where,
        missing: str,
        *,
        timeout_seconds: float,
        pauses: Sequence[float] = PAUSES,
    ) -> None:
        self._name = name
        self._languages = languages
        self._where = where
        self._missing = missing
        self._timeout = timeout_seconds
        self._pauses = pauses
        self._child: LanguageServerChild | None = None
        self._looked = False

    @property
    def name(self) -> str:
        return self._name

    @property
    def state(self) -> str:
        if self._child is not None:
            return self._child.state
        return f"missing: {self._missing}" if self._looked else "not started"

    @property
    def child(self) -> LanguageServerChild | None:
        """The child, once it was needed."""
        return self._child

    def applies(self, language: str) -> bool:
        return language in self._languages

    async def lint(self, text: LintedText) -> list[Finding]:
        """Raises LinterError."""
        if not self._looked:
            self._looked = True
            program = self._where()
            if program is not None:
                self._child = LanguageServerChild(program, timeout_seconds=self._timeout, pauses=self._pauses)
        if self._child is None:
            raise LinterError("missing", self._missing)
        answer = await self._child.check(text, actions=True)
        try:
            if len(answer.diagnostics) > _MOST_ON_THE_LOOP:
                return await asyncio.to_thread(self._findings, answer, text)
            return self._findings(answer, text)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            message = f"{self._name} answered with a finding that cannot be read: {error!r}"
            raise LinterError("broken", message) from error

    async def forget(self, uri: str) -> None:
        if self._child is not None:
            await self._child.forget(uri)

    async def close(self) -> None:
        if self._child is not None:
            await self._child.close()

    def keep(self, raw: Message) -> bool:
        """False for a diagnostic that is decoration and no finding."""
        return True

    def cleaned(self, finding: Finding) -> Finding:
        """The finding without what this linter adds to its messages."""
        return finding

    def _findings(self, answer: Answer, text: LintedText) -> list[Finding]:
        lines = lines_of(text.text)
        fixes: dict[tuple[Any, ...], list[Fix]] = {}
        for action in answer.actions:
            fix = fix_of(action, text.uri, lines, answer.encoding)
            if fix is None or any(silences(edit.text) for edit in fix.edits):
                continue
            for raw in action.get("diagnostics") or ():
                fixes.setdefault(_identity(raw), []).append(fix)
        return [
            self.cleaned(finding_of(raw, self._name, lines, answer.encoding, tuple(fixes.get(_identity(raw), ()))))
            for raw in answer.diagnostics
            if self.keep(raw)
        ]


def _identity(raw: Message) -> tuple[Any, ...]:
    start, end = raw["range"]["start"], raw["range"]["end"]
    return start["line"], start["character"], end["line"], end["character"], raw.get("code"), raw["message"]
