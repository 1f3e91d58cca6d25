"""Any linter that is a command: the text goes in, a pattern reads its output line by line.

Not a shell: the command is a list of words and none of them is expanded, but `{file}`. Runs only in a trusted
workspace. The unsaved text goes through stdin, or through a file of the same name in a private folder where the tool
cannot read stdin. Columns are taken for code points; an end is exclusive.
"""

import asyncio
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from agent.findings import Finding, Severity, Span
from agent.shadow import lines_of
from inkling.errors import UserError
from server.documents import path_of
from server.linters import programs
from server.linters.linter import LintedText, LinterError

_GROUPS = frozenset({"line", "column", "end_line", "end_column", "code", "severity", "message", "file"})
_KEYS = ("name", "command", "languages", "pattern", "severity", "stdin", "oneBased")
_SEVERITIES: tuple[Severity, ...] = ("error", "warning", "information", "hint")
_LETTERS: dict[str, Severity] = {"e": "error", "f": "error", "w": "warning", "i": "information", "n": "information"}
_MOST_OUTPUT = 4 * 1024 * 1024
_LONGEST_LINE = 4_000
_MOST_FINDINGS = 1_000
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class CommandLinter:
    """One entry of `inkling.linters.commands`.

    `pattern` has the named groups line and message, and may have column, end_line, end_column, code, severity and file
    (lines about another file are left out). With `stdin`, `{file}` in the command is the document's own path.
    """

    name: str
    command: tuple[str, ...]
    languages: tuple[str, ...]
    pattern: re.Pattern[str]
    severity: Severity = "warning"
    stdin: bool = True
    one_based: bool = True


def command_linter(entry: Mapping[str, Any], number: int) -> CommandLinter:
    """The entry `inkling.linters.commands[number]` of the settings. Raises UserError that names what is wrong in it."""
    setting = f"inkling.linters.commands[{number}]"
    if not isinstance(entry, Mapping):
        raise UserError(f"`{setting}` should be an object with name, command, languages and pattern, found {entry!r}.")
    unknown = sorted(set(entry) - set(_KEYS))
    if unknown:
        raise UserError(f"`{setting}.{unknown[0]}` is not a setting; there are {', '.join(_KEYS)}.")
    name = entry.get("name")
    if not isinstance(name, str) or not name:
        raise UserError(f"`{setting}.name` should be the linter's name, found {name!r}.")
    words = {key: entry.get(key) for key in ("command", "languages")}
    for key, value in words.items():
        if (
            not isinstance(value, list | tuple)
            or not value
            or not all(isinstance(word, str) and word for word in value)
        ):
            raise UserError(f"`{setting}.{key}` should be a list of words, found {value!r}.")
    severity = entry.get("severity", "warning")
    if severity not in _SEVERITIES:
        raise UserError(f"`{setting}.severity` should be one of {', '.join(_SEVERITIES)}, found {severity!r}.")
    for key in ("stdin", "oneBased"):
        if not isinstance(entry.get(key, True), bool):
            raise UserError(f"`{setting}.{key}` should be true or false, found {entry[key]!r}.")
    command = tuple(cast(list[str], words["command"]))
    if not entry.get("stdin", True) and not any("{file}" in word for word in command):
        raise UserError(f"`{setting}.command` needs the word {{file}}, because `{setting}.stdin` is false.")
    return CommandLinter(
        name=name,
        command=command,
        languages=tuple(cast(list[str], words["languages"])),
        pattern=_pattern(entry.get("pattern"), f"{setting}.pattern"),
        severity=severity,
        stdin=entry.get("stdin", True),
        one_based=entry.get("oneBased", True),
    )


def _pattern(value: object, setting: str) -> re.Pattern[str]:
    if not isinstance(value, str):
        raise UserError(f"`{setting}` should be a regular expression, found {value!r}.")
    try:
        pattern = re.compile(value)
    except re.error as error:
        raise UserError(f"`{setting}` is not a regular expression: {error}.") from error
    missing = [group for group in ("line", "message") if group not in pattern.groupindex]
    if missing:
        raise UserError(f"`{setting}` needs the named group (?P<{missing[0]}>...), found {value!r}.")
    unknown = sorted(set(pattern.groupindex) - _GROUPS)
    if unknown:
        raise UserError(f"`{setting}` has the group {unknown[0]!r}; the groups are {', '.join(sorted(_GROUPS))}.")
    return pattern


def findings_of(output: str, linter: CommandLinter, text: str, name: str) -> list[Finding]:
    """What the output says of the text in the file `name`; lines that the pattern does not match say nothing."""
    lines = lines_of(text)
    found = []
    for said in output.splitlines():
        match = linter.pattern.search(said[:_LONGEST_LINE])
        if match is None:
            continue
        finding = _finding(match.groupdict(), linter, lines, name)
        if finding is not None:
            found.append(finding)
        if len(found) == _MOST_FINDINGS:
            break
    return found


def _finding(groups: Mapping[str, str | None], linter: CommandLinter, lines: list[str], name: str) -> Finding | None:
    if (groups.get("file") or name).replace("\\", "/").rsplit("/", 1)[-1] not in (name, "-", "<stdin>", "stdin"):
        return None
    line, column, end_line, end_column = (
        _number(groups.get(key), linter.one_based) for key in ("line", "column", "end_line", "end_column")
    )
    if line is None:
        return None
    line = min(line, len(lines) - 1)
    content = lines[line]
    if column is None:
        start, end = len(content) - len(content.lstrip()), len(content)
    else:
        start = min(column, len(content))
        word = _WORD.match(content, start)
        end = word.end() if word else min(start + 1, len(content))
    if end_column is not None:
        last = min(end_line if end_line is not None else line, len(lines) - 1)
        if (last, end_column) >= (line, start):
            return _made(groups, linter, Span(line, start, last, min(end_column, len(lines[last]))))
    return _made(groups, linter, Span(line, start, line, end))


def _made(groups: Mapping[str, str | None], linter: CommandLinter, span: Span) -> Finding:
    said = (groups.get("severity") or "").strip().lower()
    severity = _LETTERS.get(said[:1], linter.severity)
    return Finding(linter.name, groups.get("code") or "", (groups.get("message") or "").strip(), severity, span)


def _number(value: str | None, one_based: bool) -> int | None:
    return max(int(value) - one_based, 0) if value and value.isdecimal() else None


class CommandRunner:
    """Runs one CommandLinter on a text, a fresh process each time."""

    def __init__(self, linter: CommandLinter, root: Path | None, *, timeout_seconds: float) -> None:
        self._linter = linter
        self._root = root
        self._timeout = timeout_seconds
        self._state = "not run yet"

    @property
    def name(self) -> str:
        return self._linter.name

    @property
    def state(self) -> str:
        return self._state

    def applies(self, language: str) -> bool:
        return language in self._linter.languages

    async def lint(self, text: LintedText) -> list[Finding]:
        """Raises LinterError. Whatever happens, the process is gone afterwards."""
        try:
            async with asyncio.timeout(self._timeout):
                found = await self._run(text)
        except TimeoutError:
            message = (
                f"{self.name} did not answer within {self._timeout:g} s and was stopped; "
                "`inkling.linters.timeoutSeconds` sets how long it is waited for."
            )
            self._state = "slow the last time"
            raise LinterError("slow", message) from None
        except LinterError as error:
            self._state = str(error)
            raise
        self._state = "works"
        return found

    async def forget(self, uri: str) -> None:
        """Nothing is kept of a document."""

    async def close(self) -> None:
        """Nothing runs between two lints."""

    async def _run(self, text: LintedText) -> list[Finding]:
        place = str(path_of(text.uri) or text.path)  # editors call documents by their URI
        name = re.split(r"[/\\:]", place)[-1] or "untitled"
        if self._linter.stdin:
            output = await self._output(place, text.text)
        else:
            with tempfile.TemporaryDirectory(prefix="inkling-lint-", ignore_cleanup_errors=True) as folder:
                file = Path(folder) / name
                await asyncio.to_thread(file.write_bytes, text.text.encode("utf-8", "surrogatepass"))
                output = await self._output(str(file), "")
        return await asyncio.to_thread(findings_of, output, self._linter, text.text, name)

    async def _output(self, file: str, given: str) -> str:
        first, *words = (word.replace("{file}", file) for word in self._linter.command)
        program = programs.find(first, self._root, trusted=True)
        if program is None:
            message = f"{self.name} was not found: there is no program {first!r}; `inkling.linters` names it."
            raise LinterError("missing", message)
        try:
            process = await programs.start(program, words, self._root)
        except OSError as error:
            raise LinterError("crashed", f"{self.name} could not be started: {error}.") from error
        assert process.stdout is not None
        assert process.stderr is not None
        feeding = asyncio.create_task(_fed(process, given))
        complaints = asyncio.create_task(programs.drained(process.stderr))
        try:
            output = await _limited(process.stdout, self.name)
            said = await complaints
            code = await process.wait()
        finally:
            programs.kill(process)
            feeding.cancel()
            complaints.cancel()
            await asyncio.gather(feeding, complaints, return_exceptions=True)
            await process.wait()
        decoded = output.decode("utf-8", "replace")
        if code < 0 or (code > 0 and said and not any(map(self._linter.pattern.search, decoded.splitlines()))):
            raise LinterError("crashed", f"{self.name} ended with code {code}: {said[-300:] or 'no message'}")
        return decoded


async def _fed(process: asyncio.subprocess.Process, given: str) -> None:
    assert process.stdin is not None
    try:
        process.stdin.write(given.encode("utf-8", "surrogatepass"))
        await process.stdin.drain()
        process.stdin.close()
    except ConnectionError:  # a tool may answer without reading everything
        return


async def _limited(stream: asyncio.StreamReader, name: str) -> bytes:
    output = bytearray()
    while chunk := await stream.read(65_536):
        output += chunk
        if len(output) > _MOST_OUTPUT:
            raise LinterError("broken", f"{name} wrote more than {_MOST_OUTPUT // 1024 // 1024} MiB and was stopped.")
    return bytes(output)
