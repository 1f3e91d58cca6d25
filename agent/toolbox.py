"""The tools of the agent's loop: search, read, diagnostics, and edits that stay on shadow copies.

Nothing here touches the user's files. An edit is tried on a shadow copy, and the linters' new findings (never the old
ones) come back with it; what the copies hold in the end are proposals for the user to review. What always holds: an
edit that silences a linter or does not name its place exactly once is refused.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.answers import findings_in_words, hits_in_words, lines_in_words
from agent.conversation import Tool, ToolCall
from agent.fix import LintIncompleteError, silences
from agent.novelty import new_findings
from agent.project import Project, ToolError, checked, existing
from agent.shadow import Shadow, edits_between, line_end_of
from inkling.errors import InklingError

_HITS, _MOST_HITS = 6, 20
_MOST = 1_000_000_000  # that a number may be
_HALF = re.compile("[\ud800-\udfff]")  # of a character
_TEXT = {"type": "string"}
_NUMBER = {"type": "integer", "minimum": 1}


def _tool(name: str, description: str, required: tuple[str, ...], **properties: Mapping[str, Any]) -> Tool:
    schema = {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}
    return Tool(name, description, schema)


READING = (
    _tool(
        "semantic_search",
        "Find code and text of the project by meaning, words and names. `path` narrows it, such as 'src/**/*.py'.",
        ("query",),
        query=_TEXT,
        path=_TEXT,
        limit=_NUMBER,
    ),
    _tool("read_file", "Read lines of a file, counted from 1.", ("path",), path=_TEXT, first=_NUMBER, last=_NUMBER),
    _tool("diagnostics", "What the project's linters find in a file.", ("path",), path=_TEXT),
)
TOOLS = (
    *READING,
    _tool(
        "edit_file",
        "Replace `old`, which must occur exactly once in the file, by `new`; with an empty `old`, make a new file. The "
        "user reviews all edits at the end. Answers with the linters' new findings.",
        ("path", "old", "new"),
        path=_TEXT,
        old=_TEXT,
        new=_TEXT,
    ),
)


@dataclass(frozen=True)
class Proposal:
    """What a file would become; `before` is None for a file that does not exist yet."""

    path: str
    before: str | None
    after: str
    diff: str


class Toolbox:
    """The tools of one episode, with its shadow copies. `tools` are those that the model has."""

    def __init__(self, project: Project, tools: Sequence[Tool] = TOOLS) -> None:
        self.tools = tools
        self._project = project
        self._shadows: dict[str, Shadow] = {}
        self._made: set[str] = set()
        run: dict[str, Callable[[Mapping[str, Any]], Awaitable[str]]] = {
            "semantic_search": self._search,
            "read_file": self._read,
            "diagnostics": self._diagnostics,
            "edit_file": self._edit,
        }
        self._run = {tool.name: run[tool.name] for tool in tools}

    async def call(self, call: ToolCall) -> str:
        """Run a tool. What goes wrong is an answer, too: the model is to read it and go on."""
        run = self._run.get(call.name)
        if run is None:
            return f"There is no tool {call.name}; there are {', '.join(self._run)}."
        try:
            return await run(call.input)
        except InklingError as error:
            return f"Not done: {error}"

    def proposals(self) -> tuple[Proposal, ...]:
        """What the shadow copies hold that the files do not."""
        return tuple(
            Proposal(path, None if path in self._made else shadow.original, shadow.text, shadow.diff())
            for path, shadow in self._shadows.items()
            if shadow.changed
        )

    async def _search(self, asked: Mapping[str, Any]) -> str:
        limit = min(_number(asked, "limit") or _HITS, _MOST_HITS)
        path = _text(asked, "path") if asked.get("path") else None
        return hits_in_words(await self._project.find(_text(asked, "query"), limit, path))

    async def _read(self, asked: Mapping[str, Any]) -> str:
        text = await self._text_of(_text(asked, "path"))
        return lines_in_words(text, _number(asked, "first") or 1, _number(asked, "last"))

    async def _diagnostics(self, asked: Mapping[str, Any]) -> str:
        path = _text(asked, "path")
        text = await self._text_of(path)
        return findings_in_words(await self._project.lint(checked(path), text))

    async def _edit(self, asked: Mapping[str, Any]) -> str:
        path, old, new = checked(_text(asked, "path")), _text(asked, "old"), _text(asked, "new")
        shadow, is_new = self._shadows.get(path), False
        if shadow is None:
            text = await self._project.read(path)
            is_new = text is None
            if is_new and old:
                raise ToolError(f"There is no file {path}; to make it, leave `old` empty.")
            shadow = Shadow.of(path, text or "")
        text = _replaced(shadow.text, old, new, path)
        if silences(text) > silences(shadow.original):
            raise ToolError("It silences the linter instead of mending the code.")
        edits = await asyncio.to_thread(edits_between, shadow.text, text)
        changed = shadow.apply(edits)
        self._shadows[path] = changed
        if is_new:
            self._made.add(path)
        try:
            before, after = await self._project.lint(path, shadow.text), await self._project.lint(path, changed.text)
        except LintIncompleteError as error:
            return f"Done. What the linters think of it is not known: {error}"
        found = await asyncio.to_thread(new_findings, before, after, shadow.text, edits)
        return "Done, no new findings." if not found else f"Done, with new findings:\n{findings_in_words(found)}"

    async def _text_of(self, path: str) -> str:
        shadow = self._shadows.get(checked(path))
        return shadow.text if shadow is not None else await existing(self._project, path)


def _text(asked: Mapping[str, Any], name: str) -> str:
    value = asked.get(name)
    if not isinstance(value, str) or _HALF.search(value):
        raise ToolError(f"`{name}` has to be a text of whole characters.")
    return value


def _number(asked: Mapping[str, Any], name: str) -> int | None:
    value = asked.get(name)
    if value is not None and (not isinstance(value, int | float) or not 1 <= value <= _MOST):
        raise ToolError(f"`{name}` has to be a number from 1 to {_MOST:,}.")
    return None if value is None else int(value)


def _replaced(text: str, old: str, new: str, path: str) -> str:
    """The text with its only `old` replaced, in the line ends of the file."""
    end = line_end_of(text)
    old, new = (part.replace("\r\n", "\n").replace("\n", end) for part in (old, new))
    if not old:
        if text:
            raise ToolError(f"{path} is not empty: name the text to replace in `old`.")
        return new
    count = text.count(old)
    if count != 1:
        raise ToolError(f"`old` occurs {count} times in {path}; it has to occur exactly once. Read the file again.")
    return text.replace(old, new)
