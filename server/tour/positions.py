"""Real places of a repository where a completion can be judged: the rest of the line is known."""

import random
import re
from dataclasses import dataclass
from pathlib import Path

from index.files import read, walk

_LANGUAGES = {
    ".py": "python", ".ts": "typescript", ".tsx": "typescriptreact", ".js": "javascript", ".jsx": "javascriptreact",
}  # fmt: skip
_COMMENT = re.compile(r"^\s*(#|//|\*|/\*|\"\"\"|''')")
_LARGEST = 60_000  # characters; the tour should end soon


@dataclass(frozen=True)
class Place:
    """A cursor in a line: `offset` is where the known rest of the line, `rest`, begins."""

    path: Path
    language: str
    offset: int
    rest: str


def source_files(root: Path, most: int, seed: int) -> list[Path]:
    """Source files with something in them, the more lines the likelier."""
    found = [file for file in walk(root).files if Path(file.path).suffix in _LANGUAGES and 1_500 < file.size < _LARGEST]
    random.Random(seed).shuffle(found)
    return [root / file.path for file in sorted(found, key=lambda file: "test" in file.path)[:most]]


def places(root: Path, most: int, seed: int = 7) -> list[Place]:
    """Places in lines of code, from all over the repository, in the order of their files."""
    files = source_files(root, max(4, most // 3), seed)
    chosen: list[Place] = []
    for number, path in enumerate(files):
        text = read(root, path.relative_to(root).as_posix()).text
        wanted = (most * (number + 1)) // len(files) - len(chosen)
        candidates = list(_candidates(path, text))
        picked = random.Random(seed + number).sample(candidates, min(wanted, len(candidates)))
        chosen += sorted(picked, key=lambda place: place.offset)
    return chosen


def _candidates(path: Path, text: str) -> list[Place]:
    """A place in each line of code that is worth completing: behind its first third, in a word as often as not."""
    found, start = [], 0
    for line in text.splitlines(keepends=True):
        code = line.rstrip()
        indent = len(code) - len(code.lstrip())
        if len(code) - indent >= 20 and len(code) <= 100 and indent > 0 and not _COMMENT.match(code):
            cut = indent + (len(code) - indent) // 3
            found.append(Place(path, _LANGUAGES[path.suffix], start + cut, code[cut:]))
        start += len(line)
    return found
