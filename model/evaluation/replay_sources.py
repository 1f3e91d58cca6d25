"""Where a replayed history comes from: versions of a package, folders, or the commits of a repository.

It parses what a person names and reads files as data. What always holds: nothing of a package is run; versions are
replayed from the oldest to the newest, folders in the order in which they are named.
"""

import hashlib
import json
import re
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from inkling.errors import UserError
from model.evaluation.packages import SourcePackage, load_package, read_folder
from model.evaluation.replay_git import commits
from model.evaluation.replay_history import Snapshot

_OTHER = "email"  # of the standard library: somebody else's habits where one package alone is replayed
_OLD = ("json", "logging", "http", "unittest")  # of the standard library: what must not be forgotten
_GENERAL = ("asyncio", "multiprocessing", "importlib", "xml", "concurrent", "wsgiref", "ctypes", "html", "sqlite3")
_VERSIONS = re.compile(r"(?P<name>[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?)==(?P<versions>[\w.+!-]+(?:,[\w.+!-]+)+)")


class SourceError(UserError):
    """What was named is no history."""


@dataclass(frozen=True)
class Source:
    """A package with its snapshots, oldest first. `name` is what the model reads as the repository's name."""

    name: str
    snapshots: tuple[Snapshot, ...]

    @property
    def versions(self) -> list[str]:
        """By name."""
        return [snapshot.name for snapshot in self.snapshots]

    @property
    def digest(self) -> str:
        """sha256 of every version's texts: folders of one name hold others tomorrow."""
        texts = [sorted(snapshot.files.items()) for snapshot in self.snapshots]
        return hashlib.sha256(json.dumps(texts).encode()).hexdigest()


def of_package(text: str) -> Source:
    """`NAME==V1,V2,...`, or folders, FOLDER1,FOLDER2,... Raises SourceError and what `load_package` raises."""
    from packaging.version import InvalidVersion, Version

    if "/" in text:
        folders = [load_package(part) for part in text.split(",")]
        if len(folders) < 2:
            raise SourceError(f"{text} is one folder; a history needs at least two, separated by commas.")
        snapshots = tuple(Snapshot(f"{number}", folder.files) for number, folder in enumerate(folders, start=1))
        return Source(folders[-1].name, snapshots)
    match = _VERSIONS.fullmatch(text)
    if match is None:
        raise SourceError(f"Expected NAME==V1,V2,... with at least two versions, or folders; found {text!r}.")
    try:
        versions = sorted(dict.fromkeys(match["versions"].split(",")), key=Version)
    except InvalidVersion as error:
        raise SourceError(f"{text}: {error}.") from error
    packages = [load_package(f"{match['name']}=={version}") for version in versions]
    return Source(packages[0].name, tuple(Snapshot(package.version, package.files) for package in packages))


def of_repository(folder: Path, count: int, most: int) -> Source:
    """`count` snapshots of the last `most` commits. Raises GitError."""
    return Source(folder.resolve().name, commits(folder, count, most))


def somebody_else() -> Source:
    """A package of the standard library as if it were written from nothing."""
    package = _standard(_OTHER)
    return Source(package.name, (Snapshot("nothing", {}), Snapshot("all of it", package.files)))


def old_packages() -> list[SourcePackage]:
    """Packages that nobody in a replay writes. All of the standard library, so that they need no network."""
    return [_standard(name) for name in _OLD]


def general_packages() -> list[SourcePackage]:
    """More of the standard library, none of those: what nights may look at so that they do not forget."""
    return [_standard(name) for name in _GENERAL]


def unique(sources: Sequence[Source]) -> None:
    """Raise SourceError if two have the same name: their results could not be told apart."""
    names = [source.name for source in sources]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SourceError(f"{', '.join(twice)}: named twice. Put all versions of a package into one argument.")


def _standard(name: str) -> SourcePackage:
    return read_folder(Path(sysconfig.get_path("stdlib")) / name)
