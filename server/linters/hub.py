"""All linters of one workspace behind one call: what they find is merged, what goes wrong is said once.

Never blocks the event loop, never raises (a cancelled caller is cancelled). Two kinds of callers: the editor lints
numbered versions of a document, where the newest wins; the agent lints texts that were never shown, and each of those
gets findings of exactly its own text.
"""

import asyncio
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.findings import Finding, Lint
from agent.fix import LintIncompleteError
from server.linters.command import CommandRunner
from server.linters.language_server import LanguageServerLinter
from server.linters.linter import LintedText, Linter, LinterError
from server.linters.pyright import Pyright
from server.linters.ruff import Ruff
from server.linters.settings import LinterSettings

logger = logging.getLogger(__name__)

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")  # two letters at least: one is a drive


@dataclass
class _Lane:
    """The newest version of one document that is being linted, and how many callers wait for it."""

    version: int
    task: asyncio.Task[list[Finding]]
    waiting: int = 0


class Linters:
    """Lints texts of one workspace. `report` gets one sentence for a person the first time a linter fails in a way."""

    def __init__(self, root: Path | None, settings: LinterSettings, report: Callable[[str], None]) -> None:
        self._root = root = None if root is None else root.absolute()
        self._report = report
        self._reported: set[tuple[str, str]] = set()
        self._lanes: dict[str, _Lane] = {}
        self._closed = False
        self._linters, self._off = _chosen(root, settings)

    async def lint(self, path: str, language: str, text: str, *, version: int | None = None) -> list[Finding]:
        """What the linters find in `text`, whatever is on disk; `path` is in the workspace, absolute, or a URI.

        With a `version`, a call that is overtaken by a newer one answers with the findings of the newer text.
        """
        if self._closed:
            return []
        linted = LintedText(path, self._uri(path), language, text)
        if version is None:
            return (await self._all(linted))[0]
        lane = self._lanes.get(linted.uri)
        if lane is None or lane.version < version or (lane.version == version and lane.task.done()):
            newer = _Lane(version, asyncio.create_task(self._newest(linted)))
            self._lanes[linted.uri] = newer
            if lane is not None:
                lane.task.cancel()
        return await self._overtaken_or_not(linted.uri)

    def checker(self, language: str) -> Lint:
        """For the agent: a linter that raises LintIncompleteError where `lint` would answer with less."""

        async def check(path: str, text: str) -> list[Finding]:
            if self._closed:
                raise LintIncompleteError("the linters were closed")
            found, failures = await self._all(LintedText(path, self._uri(path), language, text))
            failed = [str(failure) for failure in failures if failure.failure != "missing"]
            if failed:
                raise LintIncompleteError("; ".join(failed))
            return found

        return check

    async def forget(self, path: str) -> None:
        """The document was closed in the editor."""
        uri = self._uri(path)
        lane = self._lanes.pop(uri, None)
        if lane is not None:
            lane.task.cancel()
        for linter in self._linters:
            await linter.forget(uri)

    def files_changed(self, paths: Sequence[str]) -> None:
        """Files changed on disk, for instance a linter's own settings."""
        for linter in self._linters:
            if isinstance(linter, LanguageServerLinter) and linter.child is not None:
                linter.child.files_changed([self._uri(path) for path in paths])

    def status(self) -> Mapping[str, str]:
        """How each linter is, in a few words for a person."""
        return {**self._off, **{linter.name: linter.state for linter in self._linters}}

    async def close(self) -> None:
        """End every linter. A later `lint` finds nothing."""
        self._closed = True
        tasks = [lane.task for lane in self._lanes.values()]
        self._lanes.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(linter.close() for linter in self._linters))

    async def _overtaken_or_not(self, uri: str) -> list[Finding]:
        while (lane := self._lanes.get(uri)) is not None:
            lane.waiting += 1
            try:
                return await asyncio.shield(lane.task)
            except asyncio.CancelledError:
                caller = asyncio.current_task()
                if caller is not None and caller.cancelling():
                    if lane.waiting == 1:
                        lane.task.cancel()
                    raise
                if self._lanes.get(uri) is lane:  # ended with its last other caller, so nobody newer came
                    del self._lanes[uri]
            finally:
                lane.waiting -= 1
        return []

    async def _newest(self, linted: LintedText) -> list[Finding]:
        return (await self._all(linted))[0]

    async def _all(self, linted: LintedText) -> tuple[list[Finding], list[LinterError]]:
        chosen = [linter for linter in self._linters if linter.applies(linted.language)]
        async with asyncio.TaskGroup() as group:  # cancels the others when the caller is cancelled
            tasks = [group.create_task(self._one(linter, linted)) for linter in chosen]
        answers = [task.result() for task in tasks]
        failures = [answer for answer in answers if isinstance(answer, LinterError)]
        found = [finding for answer in answers if not isinstance(answer, LinterError) for finding in answer]
        return await asyncio.to_thread(_merged, found), failures

    async def _one(self, linter: Linter, linted: LintedText) -> list[Finding] | LinterError:
        try:
            return await linter.lint(linted)
        except LinterError as error:
            failure = error
        except Exception as error:
            logger.exception("%s failed in a way that it should not", linter.name)
            failure = LinterError("broken", f"{linter.name} failed: {error!r}")
        self._say_once(linter, failure)
        return failure

    def _say_once(self, linter: Linter, failure: LinterError) -> None:
        if failure.failure == "missing" and isinstance(linter, Pyright):
            return  # optional: `status` says it
        if (linter.name, failure.failure) not in self._reported:
            self._reported.add((linter.name, failure.failure))
            self._report(str(failure))

    def _uri(self, path: str) -> str:
        if _SCHEME.match(path):
            return path
        if self._root is not None:
            return (self._root / path).as_uri()
        return Path(path).as_uri() if Path(path).is_absolute() else f"untitled:{path}"


def _merged(found: list[Finding]) -> list[Finding]:
    return sorted(dict.fromkeys(found), key=lambda finding: finding.span)


def _chosen(root: Path | None, settings: LinterSettings) -> tuple[list[Linter], dict[str, str]]:
    """The linters that may run, and why the others may not."""
    chosen: list[Linter] = []
    off: dict[str, str] = {}
    seconds = settings.timeout_seconds
    if settings.ruff:
        chosen.append(Ruff(root, trusted=settings.trusted, timeout_seconds=seconds))
    else:
        off["ruff"] = "off: `inkling.linters.ruff` is false"
    if not settings.pyright:
        off["pyright"] = "off: `inkling.linters.pyright` is false"
    elif not settings.trusted:
        off["pyright"] = "off: the workspace is not trusted"
    else:
        chosen.append(Pyright(root, interpreter=settings.interpreter, timeout_seconds=seconds))
    for command in settings.commands:
        if settings.trusted:
            chosen.append(CommandRunner(command, root, timeout_seconds=seconds))
        else:
            off[command.name] = "off: the workspace is not trusted"
    return chosen, off
