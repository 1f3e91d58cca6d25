"""What a chat model is asked for: the tasks that an editor offers, put into words.

Pure. The selected code goes into the request with its place; everything else the model looks up with its tools.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from agent.conversation import Tool
from agent.findings import Finding
from agent.rewrite import Gap
from agent.shadow import lines_shown
from agent.toolbox import READING, TOOLS

Kind = Literal["ask", "explain", "document", "test"]
KINDS: tuple[str, ...] = get_args(Kind)

_MOST_CHARACTERS = 12_000
_RULES = (
    "You help a programmer in an editor. You have tools to search the project, to read files, to ask its linters and "
    "to edit. Edits are proposals that the programmer reviews; nothing else that you do changes a file. Look things up "
    "instead of guessing, keep to the style of the code around, and never silence a linter. Be brief."
)
_ASKED: dict[str, str] = {
    "explain": "Explain what this code does, for somebody who knows the language and not this project. Do not edit.",
    "document": (
        "Write the documentation comment that is missing for this code, in the form that the language and the project "
        "use, with edit_file. Change nothing else. Then say in one sentence what you wrote."
    ),
    "test": (
        "Write a test for this code with edit_file, where the project keeps its tests and in their style; look for "
        "both first. Then say in one or two sentences what it proves."
    ),
    "ask": "",
}


@dataclass(frozen=True)
class Selection:
    """Lines of a file; they count from 0, `last` is included."""

    path: str
    language: str
    first: int
    last: int
    text: str


def tools_of(kind: Kind) -> tuple[Tool, ...]:
    """The tools that the model has for it."""
    return READING if kind == "explain" else TOOLS


def request(kind: Kind, selection: Selection | None, words: str) -> str:
    """The first message to the model."""
    parts = [_RULES, _ASKED[kind], words.strip()]
    if selection is not None:
        text = selection.text[:_MOST_CHARACTERS]
        place = f"{selection.path}, lines {selection.first + 1} to {selection.last + 1}"
        parts.append(f"{place}:\n{_fenced(text, selection.language)}")
    return "\n\n".join(part for part in parts if part)


def rewrite_request(gap: Gap, finding: Finding, language: str) -> str:
    """Ask for the flagged lines anew; the answer is read by `code_in`."""
    lines = gap.indentation + gap.original
    around = f"{gap.prefix[-2000:]}{gap.original}{gap.suffix[:1000]}"
    return "\n\n".join(
        [
            "A linter found something in a file. Answer with one code block that holds the replacement of the flagged "
            "lines and nothing else: no comment that silences the linter, no change of behaviour.",
            f"Finding: {finding.source} {finding.code}: {finding.message}",
            f"The file around them:\n{_fenced(around, language)}",
            f"The flagged lines:\n{_fenced(lines, language)}",
        ]
    )


def code_in(answer: str) -> str | None:
    """What the first code block of an answer holds; None if there is none."""
    lines = lines_shown(answer)
    opening = next((n for n, line in enumerate(lines) if line.lstrip().startswith("```")), None)
    if opening is None:
        return None
    mark = lines[opening].lstrip()
    fence = mark[: len(mark) - len(mark.lstrip("`"))]
    body = lines[opening + 1 :]
    closing = next((n for n, line in enumerate(body) if line.strip() == fence), len(body))
    return "\n".join(body[:closing])


def _fenced(text: str, language: str) -> str:
    """A code block whose fence does not occur in the text."""
    fence = "```"
    while fence in text:
        fence += "`"
    end = "" if text.endswith("\n") else "\n"
    return f"{fence}{language}\n{text}{end}{fence}"
