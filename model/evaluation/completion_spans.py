"""Spans of a Python file that can be taken out and asked for again: a line or its rest, some lines, a function's body.

Pure: text in, spans out; syntax trees are read, nothing is run. What always holds: a span starts behind an indentation
or inside a line and ends where the text of a line ends; its first line is code, not prose.
"""

import ast
import io
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from random import Random
from typing import Literal

from model.evaluation.cache_units import parsed

Task = Literal["line", "lines", "section"]
TASKS: tuple[Task, ...] = ("line", "lines", "section")

_FIRST_LINE = 3  # lines at the top of a file that nothing stands before
_SHORTEST = 4  # characters of a line
_FEWEST, _MOST = 2, 6  # lines of the task `lines`


@dataclass(frozen=True)
class Span:
    """Characters `start` to `stop` of a text. `kind` for people: whole line, rest of a line, lines, body."""

    start: int
    stop: int
    kind: str


@dataclass(frozen=True)
class _Page:
    """A file by lines. `code`: the lines on which a name or a keyword stands. Lines count from 0."""

    lines: tuple[str, ...]
    offsets: tuple[int, ...]
    code: frozenset[int]

    def start(self, line: int) -> int:
        return self.offsets[line] + len(self.lines[line]) - len(self.lines[line].lstrip())

    def stop(self, line: int) -> int:
        return self.offsets[line] + len(self.lines[line].rstrip())


def spans(task: Task, text: str, draw: Random) -> list[Span]:
    """All places of a task in a file, in an order that `draw` decides; [] if it is no Python of today."""
    tree = parsed(text)
    if tree is None or "\r" in text:
        return []
    lines = tuple(text.split("\n"))
    page = _Page(lines, tuple(accumulate((len(line) + 1 for line in lines), initial=0)), code_lines(text))
    if task == "line":
        found = _single(page, draw)
    elif task == "lines":
        found = _several(page, tree, draw)
    else:
        found = _sections(page, tree)
    draw.shuffle(found)
    return found


def _single(page: _Page, draw: Random) -> list[Span]:
    """Of every line of code: all of it, or what stands behind a cursor in it."""
    found = []
    for line in sorted(page.code):
        start, stop = page.start(line), page.stop(line)
        if line < _FIRST_LINE or stop - start < _SHORTEST:
            continue
        if draw.random() < 0.5:
            found.append(Span(start, stop, "whole line"))
        else:
            found.append(Span(draw.randrange(start + 1, stop - 1), stop, "rest of a line"))
    return found


def _several(page: _Page, tree: ast.Module, draw: Random) -> list[Span]:
    """Some lines that follow each other inside the body of a function, one span per first line."""
    found: dict[int, Span] = {}
    for first, last in _bodies(tree):
        for line in range(first, last):
            if line not in page.code or line in found:
                continue
            end = min(line + draw.randint(_FEWEST, _MOST) - 1, last)
            while end > line and end not in page.code:
                end -= 1
            if end > line:
                found[line] = Span(page.start(line), page.stop(end), "lines")
    return list(found.values())


def _sections(page: _Page, tree: ast.Module) -> list[Span]:
    """Bodies of functions and methods of two lines or more; a docstring stays where it is."""
    return [Span(page.start(first), page.stop(last), "body") for first, last in _bodies(tree) if last > first]


def _bodies(tree: ast.Module) -> Iterator[tuple[int, int]]:
    """First and last line of what stands in each function below its signature and its docstring."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        body = node.body[1:] if ast.get_docstring(node, clean=False) is not None else node.body
        if not body or body[0].lineno == node.lineno:
            continue
        decorators: list[ast.expr] = getattr(body[0], "decorator_list", [])
        first = min([body[0].lineno, *(each.lineno for each in decorators)])
        before = node.body[0].end_lineno if body is not node.body else None
        if before == first or node.end_lineno is None:
            continue  # on one line with the docstring
        yield first - 1, node.end_lineno - 1


def code_lines(text: str) -> frozenset[int]:
    """Lines on which a name or a keyword stands. Comments, prose in strings and lone brackets are not code here."""
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (tokenize.TokenError, SyntaxError):
        return frozenset()
    return frozenset(token.start[0] - 1 for token in tokens if token.type == tokenize.NAME)
