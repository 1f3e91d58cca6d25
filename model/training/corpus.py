"""The code that `inkling pretrain` learns from: a pinned list of packages, fetched as archives and read as data.

None of their code is run and nothing is unpacked to disk. What always holds: an archive is what its sha256 says; a
package is either trained on or held out, never both; a text that stands in both is only held out.
"""

import os
import shutil
import subprocess
import tarfile
import tomllib
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

from inkling.errors import UserError
from inkling.folders import cache_folder
from model.catalog import Wheel
from model.download import Report, fetch
from model.training.corpus_files import CodeFile, code_files, is_code
from model.training.edits import Written
from model.weights import locate, quiet

LIST = Path(__file__).with_name("corpus.toml")
_LARGEST_ENTRY = 1_000_000  # bytes
_ASKING_SECONDS = 30.0


class NoRegistryError(UserError):
    """Nothing says where packages of JavaScript come from."""


class MissingPackageError(UserError):
    """A pinned package is not where it was."""


@dataclass(frozen=True)
class Package:
    """One entry of the list. `license` is an SPDX expression. `earlier`: a version before, whose wheel has that sha256;
    what was written since is learned from, too. "" for none."""

    name: str
    version: str
    license: str
    sha256: str
    held_out: bool = False
    registry: Literal["pypi", "npm"] = "pypi"
    earlier: str = ""
    earlier_sha256: str = ""


@dataclass(frozen=True)
class Corpus:
    """Files by package, in the order of the list; what was left out, by reason; what was written, where it was read
    (`model.training.edit_corpus`)."""

    packages: tuple[Package, ...]
    training: Mapping[str, tuple[CodeFile, ...]]
    held_out: Mapping[str, tuple[CodeFile, ...]]
    dropped: Mapping[str, int]
    written: Mapping[str, tuple[Written, ...]] = field(default_factory=dict)


def listed(path: Path = LIST) -> tuple[Package, ...]:
    """The pinned packages."""
    with path.open("rb") as file:
        return tuple(Package(**entry) for entry in tomllib.load(file)["package"])


def load_corpus(packages: tuple[Package, ...] | None = None, *, report: Report = quiet) -> Corpus:
    """Fetch what is missing and read it all.

    Raises NoNetworkError, MissingPackageError, NoRegistryError, WrongHashError or DiskFullError. What was fetched
    stays, so the next try goes on from there.
    """
    packages = packages or listed()
    seen: set[str] = set()
    dropped: Counter[str] = Counter()
    training: dict[str, tuple[CodeFile, ...]] = {}
    held_out: dict[str, tuple[CodeFile, ...]] = {}
    for package in sorted(packages, key=lambda entry: not entry.held_out):  # so that training loses a shared text
        files = code_files(package.name, entries(fetched(package, report)), seen, dropped)
        (held_out if package.held_out else training)[package.name] = files
    return Corpus(packages, training, held_out, dict(sorted(dropped.items())))


def fetched(package: Package, report: Report = quiet) -> Path:
    """The archive on disk, downloaded if it is not there yet."""
    ending = "whl" if package.registry == "pypi" else "tgz"
    flat = package.name.replace("/", "+")
    kept = cache_folder() / "corpus" / f"{flat}-{package.version}-{package.sha256[:12]}.{ending}"
    if not kept.is_file():
        if package.registry == "pypi":
            try:
                url, _, _ = locate(Wheel(package.name, package.version, package.sha256))
            except UserError as error:
                raise MissingPackageError(
                    f"{package.name} {package.version} of the corpus cannot be had ({error}). Take its entry out of "
                    f"{LIST.name}, or put another version with its sha256 there."
                ) from error
        else:
            bare = package.name.rsplit("/", 1)[-1]
            url = f"{npm_registry()}/{package.name}/-/{bare}-{package.version}.tgz"
        fetch(url, kept, package.sha256, report)
    return kept


def npm_registry() -> str:
    """Where npm gets packages from, without a slash at the end: NPM_CONFIG_REGISTRY, else what npm itself says."""
    named = os.environ.get("NPM_CONFIG_REGISTRY")
    if not named and (npm := shutil.which("npm")):
        asked = subprocess.run(
            [npm, "config", "get", "registry"], capture_output=True, text=True, timeout=_ASKING_SECONDS, check=False
        )
        named = asked.stdout.strip()
    if not named or not named.startswith("http"):
        raise NoRegistryError(
            "Packages of JavaScript are fetched as npm would: install npm, or set NPM_CONFIG_REGISTRY."
        )
    return named.rstrip("/")


def entries(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Path and bytes of each file of code in a wheel or an npm archive, the folder around everything taken off."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            for entry in wheel.infolist():
                beside = PurePosixPath(entry.filename).parts[0].endswith((".data", ".dist-info"))
                if is_code(entry.filename) and not beside and entry.file_size <= _LARGEST_ENTRY:
                    yield entry.filename, wheel.read(entry)
        return
    with tarfile.open(archive) as packed:
        for member in packed:
            if member.isreg() and is_code(member.name) and member.size <= _LARGEST_ENTRY:
                file = packed.extractfile(member)
                if file is not None:
                    yield member.name.partition("/")[2] or member.name, file.read()
