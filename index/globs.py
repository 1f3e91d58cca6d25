"""Patterns as in `.gitignore`, for ignore files and for what a search is restricted to.

pathspec reads them, but its regular expressions try every way to share a name out among several stars: for six of them
and one long name that takes minutes. Between two stars stands text of one length, between two `**` a number of folders,
so the first place where that fits is as good as any later one. Always: nothing that was found so is given back.
"""

import re
from collections.abc import Iterable

from pathspec import GitIgnoreSpec
from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

# As pathspec writes `*`, an inner `**` and a leading one. A pattern is split at its slashes, so it cannot spell them.
_STAR, _FOLDERS, _ANYWHERE = "[^/]*", "(?:/.+)?/", "^(?:.+/)?"
_TO_NEXT_STAR = re.compile(rf"{re.escape(_STAR)}((?:\[\^/\](?!\*)|[^/])*?)(?={re.escape(_STAR)})")


def globs(lines: Iterable[str]) -> GitIgnoreSpec:
    """What these lines say of a path; the last one that fits counts. Raises ValueError where one makes no sense."""
    return GitIgnoreSpec.from_lines(lines, _pattern, backend="simple")


def _pattern(line: str) -> GitIgnoreSpecPattern:
    try:
        read = GitIgnoreSpecPattern(line)
    except re.error as error:  # a range from back to front
        raise ValueError(str(error)) from error
    if read.regex is None:
        return read
    return GitIgnoreSpecPattern(re.compile(_settled(read.regex.pattern)), read.include)


def _settled(regex: str) -> str:
    """The same without a way back from a star, or a `**`, to the one before it."""
    first, *others = _TO_NEXT_STAR.sub(r"(?>[^/]*?\1)", regex).split(_FOLDERS)
    if not others:
        return first
    if first.startswith(_ANYWHERE):
        first = f"^(?>(?:.+?/)??{first.removeprefix(_ANYWHERE)}(?=/))"
    inner = [f"(?>(?:/.+?)??/{piece}(?=/))" for piece in others[:-1]]
    return "".join([first, *inner, _FOLDERS, others[-1]])
