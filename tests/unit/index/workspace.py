"""Small workspaces for the tests of the index, and an encoder that counts what it is asked."""

import subprocess
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

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
