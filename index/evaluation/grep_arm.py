"""What a patient agent with nothing but grep would read: the words of the question, then file by file.

Scripted, so that it is the same for everybody: search all files for the question's words, open the files that have
most of the different words first, look at the matching lines, and read windows around the densest of them. It never
uses the index. `rg` does the searching where it is installed, else Python does the same.
"""

import re
import shutil
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from index.evaluation.questions import Target
from index.words import STOP_WORDS

WINDOW = 20  # lines before and after a line that is looked at
LISTED = 30  # files in the answer to the first search
SHOWN = 40  # matching lines per file
MOST_FILES = 15
_TOKEN = re.compile(r"\w+|[^\w\s]")
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Walk:
    """How an agent fared: tokens it read, searches and reads it made, whether it got there."""

    tokens: int
    hops: int
    found: bool


def count_tokens(text: str) -> int:
    """Words and signs: near enough to what models count, and the same for all arms."""
    return len(_TOKEN.findall(text))


class Grep:
    """Searches the files below `root`; `files` are their texts by path."""

    def __init__(self, root: Path, files: Mapping[str, str]) -> None:
        self._root = root
        self._lines = {path: text.split("\n") for path, text in files.items()}
        self._program = shutil.which("rg")

    @property
    def program(self) -> str:
        """What does the searching."""
        return "rg" if self._program else "Python's re"

    def walk(self, question: str, targets: Sequence[Target]) -> Walk:
        """Read until a target's first line has been seen, or the patience is at its end."""
        wanted = list(dict.fromkeys(word.casefold() for word in _WORD.findall(question)))
        words = [word for word in wanted if word not in STOP_WORDS and len(word) > 2] or wanted
        matches = self._matches(words)
        ranked = sorted(matches, key=lambda path: (-len(_kinds(matches[path])), -len(matches[path]), path))
        listing = "\n".join(f"{path}:{len(matches[path])}" for path in ranked[:LISTED])
        tokens, hops = count_tokens(listing), 1
        for path in ranked[:MOST_FILES]:
            lines, at = self._lines[path], matches[path]
            shown = sorted({number for number, _ in at})[:SHOWN]
            tokens += sum(count_tokens(f"{number}:{lines[number]}") for number in shown)
            hops += 1
            for start, end in _windows(at, len(lines)):
                tokens += count_tokens("\n".join(lines[start : end + 1]))
                hops += 1
                if any(
                    target.path == path and (target.end is None or start <= target.start <= end) for target in targets
                ):
                    return Walk(tokens, hops, True)
        return Walk(tokens, hops, False)

    def _matches(self, words: Sequence[str]) -> dict[str, list[tuple[int, str]]]:
        """(line, word) of every match, by path."""
        found: dict[str, list[tuple[int, str]]] = defaultdict(list)
        pattern = re.compile("|".join(re.escape(word) for word in words), re.IGNORECASE)
        for path, numbers in self._lines_with(words, pattern):
            for number in numbers:
                kinds = {match[0].casefold() for match in pattern.finditer(self._lines[path][number])}
                found[path] += [(number, kind) for kind in sorted(kinds)]
        return dict(found)

    def _lines_with(self, words: Sequence[str], pattern: re.Pattern[str]) -> Iterator[tuple[str, list[int]]]:
        if self._program is None:
            for path, lines in self._lines.items():
                if numbers := [number for number, line in enumerate(lines) if pattern.search(line)]:
                    yield path, numbers
            return
        asked = [part for word in words for part in ("-e", word)]
        arguments = [self._program, "--no-config", "-i", "-F", "-n", "--no-heading", "--null", *asked, "."]
        done = subprocess.run(arguments, cwd=self._root, capture_output=True, timeout=60, check=False)
        found: dict[str, list[int]] = defaultdict(list)
        for line in done.stdout.decode("utf-8", "replace").split("\n"):
            path, _, rest = line.removeprefix("./").partition("\0")
            if path in self._lines:
                found[path].append(int(rest.partition(":")[0]) - 1)
        yield from sorted(found.items())


def _kinds(matches: Sequence[tuple[int, str]]) -> set[str]:
    return {word for _, word in matches}


def _windows(matches: Sequence[tuple[int, str]], length: int) -> Iterator[tuple[int, int]]:
    """Stretches of lines around the matches, those with most different words first; no line twice."""
    words: dict[int, set[str]] = defaultdict(set)
    for number, word in matches:
        for near in range(max(0, number - WINDOW), min(length, number + WINDOW + 1)):
            words[near].add(word)
    density = Counter({number: len(words[number]) for number, _ in matches})
    read: set[int] = set()
    for number, _ in density.most_common():
        if number in read:
            continue
        start, end = max(0, number - WINDOW), min(length - 1, number + WINDOW)
        while start in read and start < number:
            start += 1
        while end in read and end > number:
            end -= 1
        read |= set(range(start, end + 1))
        yield start, end
