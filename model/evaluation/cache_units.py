"""What a file of a package offers to others: its units, with what they define, and what it imports.

Pure: text in, values out; syntax trees are read, nothing is run. It counts tokens but knows nothing of models.
"""

import ast
import builtins
import keyword
import re
import warnings
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from pathlib import PurePosixPath

from model.document import Document
from model.tokens import Tokens
from model.units import units

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_COMMON = frozenset(keyword.kwlist) | frozenset(keyword.softkwlist) | frozenset(dir(builtins)) | {"self", "cls"}


@dataclass(frozen=True)
class Unit:
    """A part of a file, cut where `model.units` cuts. `defines`: names that are bound at the top level in it."""

    path: str
    number: int
    text: str
    defines: frozenset[str]


@dataclass(frozen=True)
class Imported:
    """A file of the same package that is imported in `line` (from 1), and the names that are taken from it."""

    path: str
    names: tuple[str, ...]
    line: int


def parsed(text: str) -> ast.Module | None:
    """The syntax tree, None if it is no Python of today."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about escapes in somebody else's strings
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def units_of(path: str, text: str, tokens: Tokens, longest: int) -> tuple[Unit, ...]:
    """The file in parts of nearly `longest` tokens, their path counted; () if it is no Python of today.

    Small units that follow each other are joined, so that a package with short definitions fills the context, too.
    """
    tree = parsed(text)
    if tree is None or not tree.body:
        return ()
    room = longest - len(tokens.encode(path + "\n")) - 2
    texts = [""]
    used = 0
    for part in units(Document(path, text), tokens, max(64, longest // 4)):
        size = len(tokens.encode(part.text))
        if used and used + size > room:
            texts.append("")
            used = 0
        texts[-1] += part.text
        used += size
    ends = list(accumulate(map(len, texts)))
    lines = [0, *accumulate(len(line) + 1 for line in text.split("\n"))]
    defines: list[set[str]] = [set() for _ in texts]
    for node in tree.body:
        defines[bisect_right(ends, lines[node.lineno - 1])] |= _bound(node)
    return tuple(
        Unit(path, number, joined, frozenset(names))
        for number, (joined, names) in enumerate(zip(texts, defines, strict=True))
    )


def imports_of(path: str, text: str, files: Mapping[str, str]) -> tuple[Imported, ...]:
    """The imports of files of the same package, in their order, anywhere in the file."""
    tree = parsed(text)
    if tree is None:
        return ()
    found: list[Imported] = []
    here = PurePosixPath(path).parent
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    for node in sorted(nodes, key=lambda node: (node.lineno, node.col_offset)):
        wanted: list[tuple[PurePosixPath, tuple[str, ...]]]
        if isinstance(node, ast.Import):
            wanted = [(PurePosixPath(*alias.name.split(".")), ()) for alias in node.names]
        else:
            wanted = _from(node, here, files)
        for module, names in wanted:
            file = module_file(module, files)
            if file is not None and file != path:
                found.append(Imported(file, names, node.lineno))
    return tuple(found)


def module_file(module: PurePosixPath, files: Mapping[str, str]) -> str | None:
    """The file of a module, given as a path without suffix."""
    return next((file for file in (f"{module}.py", f"{module}/__init__.py") if file in files), None)


def module_of(node: ast.ImportFrom, here: PurePosixPath) -> PurePosixPath:
    """The module that `from ... import ...` in a file of the folder `here` names, as a path without suffix."""
    base = PurePosixPath()
    if node.level:
        base = here
        for _ in range(node.level - 1):
            base = base.parent
    return base.joinpath(*node.module.split(".")) if node.module else base


def names_in(text: str) -> frozenset[str]:
    """The names that a piece of code uses or binds, without keywords, builtins, `self` and `cls`.

    Words of comments and strings are none. Of what does not parse, every word counts.
    """
    tree = parsed(text)
    if tree is None:
        return frozenset(_WORD.findall(text)) - _COMMON
    found: set[str] = set()
    for node in ast.walk(tree):
        for field in ("id", "attr", "arg", "name", "asname"):
            value = getattr(node, field, None)
            if isinstance(value, str):
                found.update(value.split("."))
    return frozenset(found) - _COMMON


def _from(
    node: ast.ImportFrom, here: PurePosixPath, files: Mapping[str, str]
) -> list[tuple[PurePosixPath, tuple[str, ...]]]:
    """The modules that `from ... import ...` reads: submodules that are named, and the module itself for the rest."""
    module = module_of(node, here)
    names = tuple(alias.name for alias in node.names)
    inner: list[tuple[PurePosixPath, tuple[str, ...]]] = [
        (module / name, ()) for name in names if module_file(module / name, files)
    ]
    rest = tuple(name for name in names if not module_file(module / name, files))
    return [*inner, (module, rest)] if rest else [*inner]


def _bound(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    stored = (inner for inner in ast.walk(node) if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store))
    return {inner.id for inner in stored}
