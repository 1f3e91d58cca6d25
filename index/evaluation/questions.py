"""Questions with known answers, made from what programmers wrote about their own code.

A docstring asks for its function, in a copy of the package from which every docstring is removed; a commit's subject
asks for the files that it changed. Pure, but for `commit_questions`, which asks git. Always: what is asked for stands
nowhere in the text that is searched.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from inkling import git

LEAST_WORDS = 4
MOST_CHARACTERS = 300
MOST_CHANGED = 5  # files of a commit; more say little about its subject
_WORD = re.compile(r"[A-Za-z]{2,}")
_Function = ast.FunctionDef | ast.AsyncFunctionDef
_NOISE = re.compile(r"^(merge|bump|release|version|prepare|revert)\b|\bchangelog\b", re.IGNORECASE)


@dataclass(frozen=True)
class Target:
    """Lines of a file, counted from 0, the last included. `end` None: any place in the file."""

    path: str
    start: int = 0
    end: int | None = None


@dataclass(frozen=True)
class Question:
    """What is asked, and what answers it: any of `targets`."""

    text: str
    targets: tuple[Target, ...]


def without_docstrings(text: str) -> str:
    """Python without docstrings; lines that hold nothing else are gone. Raises SyntaxError and ValueError as `ast`."""
    tree = ast.parse(text)
    lines = text.split("\n")
    spans = sorted(_docstrings(tree), reverse=True)
    for node, alone in [(span[2], span[3]) for span in spans]:
        first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
        before = lines[first].encode()[: node.col_offset].decode()
        after = lines[last].encode()[node.end_col_offset or 0 :].decode().lstrip("; \t")
        kept = before + ("pass" if alone else "") + after
        lines[first : last + 1] = [kept] if kept.strip() else []
    return "\n".join(lines)


def docstring_questions(files: Mapping[str, str]) -> tuple[dict[str, str], list[Question]]:
    """The files without their docstrings, and a question for every docstring that is about one function only."""
    stripped: dict[str, str] = {}
    asked: list[Question] = []
    for path, text in files.items():
        try:
            bare = without_docstrings(text)
            before, after = list(_functions(ast.parse(text))), list(_functions(ast.parse(bare)))
        except (SyntaxError, ValueError, RecursionError):
            continue
        stripped[path] = bare
        for old, new in zip(before, after, strict=True):
            question = _summary(ast.get_docstring(old) or "")
            if len(_WORD.findall(question)) >= LEAST_WORDS:
                target = Target(path, new.lineno - 1, (new.end_lineno or new.lineno) - 1)
                asked.append(Question(question, (target,)))
    times = Counter(question.text.casefold() for question in asked)
    return stripped, [question for question in asked if times[question.text.casefold()] == 1]


def commit_questions(folder: Path, files: Mapping[str, str], most: int) -> list[Question]:
    """Subjects of the newest commits that changed a few of these files; [] where there is no history."""
    answer = git.ask(folder, "log", "--no-merges", "--name-only", "--format=%x00%s", "-n", "2000", "--", ".")
    if answer is None:
        return []
    found: list[Question] = []
    for entry in answer.decode("utf-8", "replace").split("\0")[1:]:
        subject, *names = [line for line in entry.split("\n") if line]
        changed = [path for path in files if any(name == path or name.endswith("/" + path) for name in names)]
        telling = len(_WORD.findall(subject)) >= LEAST_WORDS and not _NOISE.search(subject)
        if telling and 0 < len(changed) <= MOST_CHANGED and len(names) <= 3 * MOST_CHANGED:
            found.append(Question(subject[:MOST_CHARACTERS], tuple(Target(path) for path in changed)))
    return found[:most]


def _docstrings(tree: ast.Module) -> Iterator[tuple[int, int, ast.stmt, bool]]:
    """(line, column, the statement, whether its body is otherwise empty) of every docstring."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | _Function) and node.body:
            first = node.body[0]
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                alone = len(node.body) == 1 and not isinstance(node, ast.Module)
                yield first.lineno, first.col_offset, first, alone


def _functions(tree: ast.Module) -> Iterator[_Function]:
    return (node for node in ast.walk(tree) if isinstance(node, _Function))


def _summary(docstring: str) -> str:
    """The first paragraph, in one line."""
    return " ".join(docstring.strip().split("\n\n")[0].split())[:MOST_CHARACTERS]
