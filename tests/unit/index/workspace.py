"""Small workspaces for the tests of the index, and an encoder that counts what it is asked."""

import subprocess
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.late import Question
from index.words import words

# What the child of an `Outliner` runs, but that it dies of every file whose name says so.
CRASHING = """
import os, sys
sys.path.insert(0, sys.argv[1])
from index import outlining
real = outlining.outline
outlining.outline = lambda path, text, language: os.abort() if "deadly" in path else real(path, text, language)
outlining.serve()
"""

# The same, but that others end it with a signal whenever it has such a file.
KILLED = CRASHING.replace("os.abort()", "os.kill(os.getpid(), {signal}) or time.sleep(60)").replace("os,", "os, time,")


class CountingEncoder:
    """Hashes words into 64 numbers: texts with the same words are near. A real encoder is tested under `weights`."""

    model = "hashed-words"

    def __init__(self) -> None:
        self.seen: list[str] = []

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.seen += texts
        vectors = np.full((len(texts), 64), 1e-3, dtype=np.float32)
        for row, text in enumerate(texts):
            for word in words(text):
                vectors[row, sha256(word.encode()).digest()[0] % 64] += 1
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def write(root: Path, files: dict[str, str | bytes]) -> None:
    """Make these files."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())


def repository(root: Path, files: dict[str, str | bytes]) -> Path:
    """A git repository with these files, none of them committed."""
    root.mkdir(parents=True, exist_ok=True)
    write(root, files)
    subprocess.run(["git", "-c", "init.defaultBranch=main", "init", "-q"], cwd=root, check=True, capture_output=True)
    return root


class PartsEncoder(CountingEncoder):
    """The same, and each word of a text is a part of it, and a token of a question."""

    model = "hashed-words-in-parts"

    def encode_parts(self, texts: Sequence[str]) -> tuple[NDArray[np.float32], list[NDArray[np.int8]]]:
        return self.encode(texts), [(127 * self._words(text)).astype(np.int8) for text in texts]

    def encode_question(self, text: str) -> tuple[NDArray[np.float32], Question]:
        tokens = self._words(text)
        return self.encode([text])[0], Question(tokens, np.full(len(tokens), 1 / len(tokens), dtype=np.float32))

    def _words(self, text: str) -> NDArray[np.float32]:
        places = [sha256(word.encode()).digest()[1] % 64 for word in words(text)]
        return np.eye(64, dtype=np.float32)[places]
