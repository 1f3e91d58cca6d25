"""What the agent's tools see of the user's project: search, texts and findings, never more than the project holds.

Whoever has the project passes one: the language server with the editor's unsaved texts, the MCP face with the files
on disk. Paths are relative to the project, with forward slashes. What always holds: a path that leads out of the
project and a file that may hold secrets are refused before anything is read.
"""

import os
import re
from collections.abc import Sequence
from pathlib import PurePath, PurePosixPath
from typing import Protocol

from agent.findings import Finding
from index.files import SKIPPED_FOLDERS, is_secret
from index.records import Hit
from inkling.errors import InklingError

_WINDOWS = os.name == "nt"
_DRIVE = re.compile(r"[A-Za-z]:")
_NO_NAME = re.compile("[\0\ud800-\udfff]")


class ToolError(InklingError):
    """A tool cannot do what it was asked to; the text says why, for the model and the user."""


class Project(Protocol):
    """One folder with code in it."""

    async def find(self, query: str, limit: int, path: str | None) -> Sequence[Hit]:
        """The best hits of the index; `path` is a pattern as in .gitignore."""
        ...

    async def read(self, path: str) -> str | None:
        """The text of a file as the user has it; None if there is none. Raises ToolError if it is no text."""
        ...

    async def lint(self, path: str, text: str) -> list[Finding]:
        """The findings of any text under the name of a file. Raises LintIncompleteError where they are not known."""
        ...


def unseen(path: PurePath) -> bool:
    """Whether no agent ever sees a file, by its path in the project: it may hold secrets, or is version control's."""
    folders = (part.casefold().rstrip(". ") for part in path.parts)  # what Windows leaves out at the end of a name
    return is_secret(path) or not SKIPPED_FOLDERS.isdisjoint(folders)


def checked(path: str) -> str:
    """A path in its plain form. Raises ToolError for one outside of the project or of a file that may hold secrets."""
    plain = PurePosixPath(path.replace("\\", "/"))
    if plain.is_absolute() or ".." in plain.parts or not plain.parts or _DRIVE.match(path) or _NO_NAME.search(path):
        raise ToolError(f"{path!r} is no path inside the project: give one relative to its folder.")
    if _WINDOWS and ":" in path:  # `server.pem::$DATA` is server.pem under a name that looks like no key's
        raise ToolError(f"{path!r} has a colon, which on Windows names a part of a file: give the file's plain path.")
    if unseen(plain):
        raise ToolError(f"{plain} may hold secrets and is never read.")
    return str(plain)


async def existing(project: Project, path: str) -> str:
    """The text of a file. Raises ToolError if there is none."""
    plain = checked(path)
    text = await project.read(plain)
    if text is None:
        raise ToolError(f"There is no file {plain}; find files with semantic_search.")
    return text
