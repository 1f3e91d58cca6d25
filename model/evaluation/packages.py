"""Source code of packages, as data: text by path, for measuring on what a person names.

A package is NAME, NAME==VERSION or the path of a folder (./NAME where it lies here). The first two come from the
package index (a wheel, else a source archive), without dependencies, and stay in the cache folder. What always holds:
none of their code is run, nothing is unpacked to disk, and whatever an archive claims, no more than the limits below
is read of it.
"""

import os
import re
import tarfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

from inkling.errors import UserError
from inkling.folders import cache_folder
from model.download import Report, fetch
from model.weights import on_index, quiet

if TYPE_CHECKING:
    from pypi_simple import DistributionPackage

LARGEST_ARCHIVE = 200_000_000  # bytes
LARGEST_UNPACKED = 1_000_000_000  # bytes that the entries of an archive may claim together
LARGEST_FILE = 1_000_000  # bytes; larger ones are left out
LARGEST_TEXT = 64_000_000  # bytes of all files that are read
MOST_ENTRIES = 50_000
_LEFT_OUT = frozenset({"_vendor", "_vendored", "vendor", "vendored", "third_party", "_third_party", "extern"})
_PINNED = re.compile(r"(?P<name>[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?)(?:==(?P<version>[\w.+!-]+))?")


class PackageError(UserError):
    """The package cannot be had, or is not what a package should be."""


@dataclass(frozen=True)
class SourcePackage:
    """Python files of a package: text by path, with forward slashes and sorted. `version` is "" for a folder."""

    name: str
    version: str
    files: Mapping[str, str]

    def __str__(self) -> str:
        return f"{self.name}=={self.version}" if self.version else self.name


def load_package(text: str, report: Report = quiet) -> SourcePackage:
    """The package that a person names. Raises PackageError, NoNetworkError and what else `fetch` raises."""
    folder = Path(text).expanduser()
    if ("/" in text or os.sep in text or text in (".", "..")) and folder.is_dir():
        return read_folder(folder)
    match = _PINNED.fullmatch(text)
    if match is None:
        raise PackageError(f"Expected NAME, NAME==VERSION or the path of a folder (./NAME), found {text!r}.")
    name = re.sub(r"[-_.]+", "-", match["name"]).lower()
    archive, version = _archive(name, match["version"], report)
    return SourcePackage(name, version, read_archive(archive))


def read_folder(folder: Path) -> SourcePackage:
    """The files of a folder that is already here. Links are not followed, hidden folders are left out.

    Paths start at the folder, or with its name if it is an import package itself.
    """
    root = folder.resolve()
    base = root.parent if (root / "__init__.py").is_file() else root
    found = (path for path in sorted(root.rglob("*.py")) if not path.is_symlink() and path.is_file())
    names = ((path.relative_to(base).as_posix(), path) for path in found)
    wanted = ((name, path) for name, path in names if readable_name(name) and path.stat().st_size <= LARGEST_FILE)
    return SourcePackage(root.name, "", _texts(((name, path.read_bytes()) for name, path in wanted), str(folder)))


def read_archive(archive: Path) -> dict[str, str]:
    """Python files of a wheel or a source archive: text by path. Raises PackageError where it breaks a limit."""
    if archive.stat().st_size > LARGEST_ARCHIVE:
        raise _refused(archive.name, f"it is larger than {LARGEST_ARCHIVE // 1_000_000} MB")
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as opened:
                return _stripped(_texts(_of_zip(opened, archive.name), archive.name))
        with tarfile.open(archive) as unpacked:
            return _stripped(_texts(_of_tar(unpacked, archive.name), archive.name))
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError, NotImplementedError) as error:
        raise _refused(archive.name, f"it cannot be read as zip or tar ({error})") from error


def _archive(name: str, version: str | None, report: Report) -> tuple[Path, str]:
    """The archive on disk and its version. One of a named version that is there already is taken without asking."""
    folder = cache_folder() / "packages" / name
    if version is not None:
        there = sorted(path for path in (folder / version).glob("*") if not path.name.endswith(".part"))
        if there:
            return there[0], version
    chosen = _best(on_index(name), name, version)
    sha256 = chosen.digests.get("sha256", "")
    if not sha256:
        raise PackageError(f"The index gives no sha256 for {chosen.filename}, so that it cannot be checked.")
    if (chosen.size or 0) > LARGEST_ARCHIVE:
        raise _refused(chosen.filename, f"it is larger than {LARGEST_ARCHIVE // 1_000_000} MB")
    found = str(chosen.version)
    return fetch(chosen.url, folder / found / PurePosixPath(chosen.filename).name, sha256, report), found


def _best(packages: "Iterable[DistributionPackage]", name: str, version: str | None) -> "DistributionPackage":
    """Of this version, else of the newest final one: a wheel for every machine, another wheel, a source archive."""
    from packaging.version import InvalidVersion, Version

    def rank(package: "DistributionPackage") -> int | None:
        if package.package_type == "wheel":
            return 0 if package.filename.endswith("-none-any.whl") else 1
        return 2 if package.package_type == "sdist" and package.filename.endswith((".tar.gz", ".zip")) else None

    usable = [package for package in packages if rank(package) is not None and package.version]
    versions: dict[str, Version] = {}
    for package in usable:
        try:
            versions[str(package.version)] = Version(str(package.version))
        except InvalidVersion:
            continue
    if version is None:
        pulled = {str(package.version) for package in usable if package.is_yanked}
        final = [text for text, parsed in versions.items() if not parsed.is_prerelease and text not in pulled]
        version = max(final or versions, key=lambda text: versions[text], default=None)
    fitting = [package for package in usable if str(package.version) == version]
    if not fitting:
        known = ", ".join(sorted(versions, key=lambda text: versions[text])[-8:]) or "none"
        raise PackageError(f"The package index has no archive of {name} {version or ''}; the newest it has: {known}.")
    return min(fitting, key=lambda package: (rank(package), package.filename))


def _of_zip(opened: zipfile.ZipFile, name: str) -> Iterator[tuple[str, bytes]]:
    entries = opened.infolist()
    _check(len(entries), sum(entry.file_size for entry in entries), name)
    for entry in entries:
        encrypted, linked = entry.flag_bits & 1, (entry.external_attr >> 28) == 0o12
        if entry.is_dir() or encrypted or linked or entry.file_size > LARGEST_FILE or not readable_name(entry.filename):
            continue
        with opened.open(entry) as file:
            yield entry.filename, _read(file, name)


def _of_tar(unpacked: tarfile.TarFile, name: str) -> Iterator[tuple[str, bytes]]:
    size = 0
    for count, member in enumerate(unpacked, start=1):
        size += member.size
        _check(count, size, name)  # before what is claimed is passed over
        if not member.isreg() or member.size > LARGEST_FILE or not readable_name(member.name):
            continue
        file = unpacked.extractfile(member)
        if file is not None:
            yield member.name, _read(file, name)


def _read(file: IO[bytes], name: str) -> bytes:
    """All of it, but never more than the limit: sizes in headers are claims."""
    data = file.read(LARGEST_FILE + 1)
    if len(data) > LARGEST_FILE:
        raise _refused(name, "an entry is larger than it says")
    return data


def readable_name(name: str) -> bool:
    """Whether this is a Python file at a place below the root that is worth reading."""
    path = PurePosixPath(name)
    outside = path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name or "\0" in name
    hidden = any(part.startswith(".") or part in _LEFT_OUT for part in path.parts)
    return path.suffix == ".py" and not outside and not hidden


def _texts(files: Iterable[tuple[str, bytes]], name: str) -> dict[str, str]:
    """Those that are UTF-8, with plain line ends, sorted by path."""
    found, size = {}, 0
    for path, data in files:
        size += len(data)
        if size > LARGEST_TEXT:
            raise _refused(name, f"its Python files have more than {LARGEST_TEXT // 1_000_000} MB")
        try:
            found[path] = data.decode("utf-8").replace("\r\n", "\n")
        except UnicodeDecodeError:
            continue
    return dict(sorted(found.items()))


def _stripped(files: dict[str, str]) -> dict[str, str]:
    """Without the one folder that a source archive puts around everything, and without `src/`."""
    tops = {path.partition("/")[0] for path in files}
    if len(tops) == 1 and "/" in next(iter(files)) and re.search(r"-\d", next(iter(tops))):
        files = {path.partition("/")[2]: text for path, text in files.items()}
    return {path.removeprefix("src/"): text for path, text in files.items()}


def _check(entries: int, size: int, name: str) -> None:
    if entries > MOST_ENTRIES:
        raise _refused(name, f"it has more than {MOST_ENTRIES:,} entries")
    if size > LARGEST_UNPACKED:
        raise _refused(name, f"its entries are said to have more than {LARGEST_UNPACKED // 1_000_000:,} MB")


def _refused(name: str, why: str) -> PackageError:
    return PackageError(f"{name} is not read: {why}. Name another version, or a folder that you unpacked yourself.")
