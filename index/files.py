"""Which files of a workspace are worth indexing, and their text.

Git decides what belongs to the workspace where there is git; without it `.gitignore` files are read by us. This module
lists and reads; it keeps nothing and judges no content beyond "text that a person wrote".

Always: nothing that a workspace configures is ever run (no hooks, fsmonitor or filters), symbolic links are never
followed, and a secret file is never opened.
"""

import os
import re
import shutil
import stat
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fnmatch import translate
from pathlib import Path, PurePath

from pathspec import GitIgnoreSpec

from inkling.process import environment

MAX_BYTES = 1_000_000
MAX_FILES = 50_000
MAX_LINE = 10_000  # characters; longer lines are written by programs
MAX_MEAN_LINE = 400  # characters per line, over a whole file of some size
SNIFFED = 8192
GIT_TIMEOUT = 60.0
MAX_NESTING = 8  # repositories inside repositories

_SECRET_NAMES = (
    ".env*", "*.env", "*.pem", "*.key", "*.p8", "*.p12", "*.pfx", "*.jks", "*.keystore", "*.kdb", "*.kdbx", "*.ppk",
    "*.crt", "*.cer", "*.der", "*.gpg", "*.pgp", "*.ovpn", "*.tfstate", "*.tfstate.*", "*.tfvars",
    "id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*", "ssh_host_*_key*", "*_rsa", "*_ed25519",
    ".netrc", "_netrc", ".pgpass", ".my.cnf", ".npmrc", ".pypirc", ".htpasswd", ".git-credentials", ".dockercfg",
    ".vault-token", "credentials*", "secrets.*", "secret.*", ".secrets*", "service-account*.json",
    "client_secret*.json",
)  # fmt: skip
_SECRET_FOLDERS = frozenset({".ssh", ".aws", ".gnupg", ".kube", ".docker", ".azure", ".secrets"})
_GENERATED_NAMES = (
    "*.min.js", "*.min.css", "*.map", "*.svg", "package-lock.json", "npm-shrinkwrap.json", "yarn.lock",
    "pnpm-lock.yaml", "poetry.lock", "uv.lock", "pdm.lock", "cargo.lock", "composer.lock", "gemfile.lock",
)  # fmt: skip
_SKIPPED_FOLDERS = frozenset({".git", ".hg", ".svn", ".jj"})
# Without git nobody tells us what is installed or built, so these are left out there.
_INSTALLED_FOLDERS = frozenset(
    {"node_modules", "venv", ".venv", "__pycache__", ".tox", ".nox", ".mypy_cache", ".ruff_cache", ".pytest_cache"}
)
_GIT_VARIABLES_KEPT = frozenset({"GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM"})


def _any_of(patterns: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(translate(pattern) for pattern in patterns))


_SECRET = _any_of(_SECRET_NAMES)
_GENERATED = _any_of(_GENERATED_NAMES)


@dataclass(frozen=True)
class File:
    """A file that may be indexed. `path` is relative to the root, with forward slashes."""

    path: str
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class Text:
    """The text of a file. `encoding` is "utf-8", or "latin-1" where it was not valid UTF-8."""

    text: str
    encoding: str


@dataclass
class Walk:
    """What a walk found. `skipped` counts the files left out per reason, `notes` are sentences for a person."""

    files: list[File] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)


class UnreadableError(Exception):
    """A file has no text for us. The message is one of a few stable words: "gone", "binary", "generated", ..."""


def is_secret(path: str | PurePath) -> bool:
    """True for files that may hold keys, passwords or certificates, judged by name alone (any case, either slash).

    Such files are never indexed, prompted or logged. Accepts absolute and relative paths.
    """
    parts = str(path).replace("\\", "/").casefold().split("/")
    return _SECRET.match(parts[-1].rstrip(". ")) is not None or not _SECRET_FOLDERS.isdisjoint(parts[:-1])


def decode(data: bytes) -> Text:
    """UTF-8 without its byte order mark, else Latin-1 (which never fails)."""
    try:
        return Text(data.decode("utf-8-sig"), "utf-8")
    except UnicodeDecodeError:
        return Text(data.decode("latin-1"), "latin-1")


def looks_generated(text: str) -> bool:
    """True if the lines are longer than people write them."""
    lines = text.split("\n")
    longest = max(len(line) for line in lines)
    return longest > MAX_LINE or (len(text) > 20_000 and len(text) / len(lines) > MAX_MEAN_LINE)


def read(root: Path, path: str, *, max_bytes: int = MAX_BYTES) -> Text:
    """The text of one listed file. Raises UnreadableError where it is gone, denied, binary, too big or generated."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        with os.fdopen(os.open(root / path, flags), "rb") as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                raise UnreadableError("not a plain file")
            data = stream.read(max_bytes + 1)
    except FileNotFoundError as error:
        raise UnreadableError("gone") from error
    except OSError as error:
        raise UnreadableError("unreadable") from error
    if len(data) > max_bytes:
        raise UnreadableError("too big")
    if b"\0" in data[:SNIFFED]:
        raise UnreadableError("binary")
    text = decode(data)
    if looks_generated(text.text):
        raise UnreadableError("generated")
    return text


def walk(
    root: Path, paths: Iterable[str] | None = None, *, max_files: int = MAX_FILES, max_bytes: int = MAX_BYTES
) -> Walk:
    """The files below `root` that may be indexed, sorted by path; with `paths`, only those files and folders."""
    root = Path(os.path.realpath(root))
    found = Walk()
    wanted = None if paths is None else sorted(set(paths))
    if wanted == []:
        return found
    folders: dict[str, bool] = {}
    names = sorted(set(_listed(root, wanted, found)))
    for name in names:
        if len(found.files) >= max_files:
            found.skipped["over the limit"] = len(names) - names.index(name)
            found.notes.append(
                f"Only the first {max_files:,} files are indexed; {found.skipped['over the limit']:,} are left out. "
                "Open a smaller folder, or list generated folders in .gitignore."
            )
            break
        file, reason = _inspect(root, name, folders, max_bytes)
        if file:
            found.files.append(file)
        else:
            found.skipped[reason] += 1
    return found


def _inspect(root: Path, name: str, folders: dict[str, bool], max_bytes: int) -> tuple[File | None, str]:
    """The file called `name`, or None and why it is left out."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return None, "name is not UTF-8"
    if is_secret(name):
        return None, "secret"
    base = name.rpartition("/")
    if _GENERATED.match(base[2].casefold()):
        return None, "generated"
    if base[0] not in folders:  # a tracked folder may have become a link to somewhere else
        expected = root / base[0]
        folders[base[0]] = os.path.realpath(expected) == str(expected)
    if not folders[base[0]]:
        return None, "behind a link"
    try:
        found = os.lstat(root / name)
    except OSError:
        return None, "gone"
    if not stat.S_ISREG(found.st_mode):
        return None, "link" if stat.S_ISLNK(found.st_mode) else "not a plain file"
    if found.st_size > max_bytes:
        return None, "too big"
    return File(name, found.st_size, found.st_mtime_ns), ""


def _listed(root: Path, wanted: list[str] | None, found: Walk, depth: int = 0) -> Iterator[str]:
    """Relative names of candidates: from git where it works, else from the folder itself."""
    asked = None if wanted is None else sorted({_outermost(root, path) for path in wanted})
    names = _from_git(root, asked)
    if names is None or (not names and not (root / ".git").exists()):
        # Not a repository, or a folder that an outer repository ignores as a whole but that was opened on purpose.
        yield from (name for name in _from_folder(root) if wanted is None or _below(name, wanted))
        return
    for name in names:
        if _SKIPPED_FOLDERS.isdisjoint(name.split("/")):
            inner = root / name
            if not (name.endswith("/") or (inner.is_dir() and not inner.is_symlink())):
                if wanted is None or _below(name, wanted):
                    yield name
            elif depth < MAX_NESTING:  # a repository of its own: ask it
                prefix = name.rstrip("/")
                inside = None if wanted is None else _inside(prefix, wanted)
                yield from (f"{prefix}/{below}" for below in _listed(root / prefix, inside, found, depth + 1))
            else:
                found.notes.append(f"{name!r} lies more than {MAX_NESTING} repositories deep and is left out.")


def _outermost(root: Path, path: str) -> str:
    """The outermost repository below `root` that holds `path`, which git names but does not look into; else `path`."""
    parts = path.split("/")
    inner = ("/".join(parts[:depth]) for depth in range(1, len(parts)))
    return next((folder for folder in inner if (root / folder / ".git").exists()), path)


def _below(name: str, wanted: list[str]) -> bool:
    return any(name == path or path in ("", ".") or name.startswith(path.rstrip("/") + "/") for path in wanted)


def _inside(prefix: str, wanted: list[str]) -> list[str] | None:
    """`wanted` as the repository at `prefix` sees it; None if it is wanted as a whole."""
    if _below(prefix, wanted):
        return None
    return [path.removeprefix(prefix + "/") for path in wanted if path.startswith(prefix + "/")]


def _git_environment() -> dict[str, str]:
    """Our environment without GIT_* variables that point git elsewhere or inject configuration."""
    ours = environment()
    kept = {name: value for name, value in ours.items() if not name.startswith("GIT_") or name in _GIT_VARIABLES_KEPT}
    return {**kept, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "GIT_NO_LAZY_FETCH": "1"}


def _from_git(root: Path, wanted: list[str] | None) -> list[str] | None:
    """What git counts as part of the workspace; None where git cannot say.

    `ls-files -c -o` reads the index and the folder, never contents, so that filters and attributes stay idle.
    """
    git = shutil.which("git")
    if git is None or Path(os.path.realpath(git)).is_relative_to(root):
        return None
    arguments = [
        git, "--literal-pathspecs", "--no-pager", "-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}",
        "-c", "core.untrackedCache=false", "-c", "protocol.allow=never",
        "ls-files", "-c", "-o", "--exclude-standard", "-z", "--",
    ]  # fmt: skip
    names: list[str] = []
    batches = [[]] if wanted is None else [wanted[at : at + 100] for at in range(0, len(wanted), 100)]
    for batch in batches:
        try:
            done = subprocess.run(
                [*arguments, *batch],
                cwd=root,
                env=_git_environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=GIT_TIMEOUT,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired, ValueError):
            return None
        if done.returncode != 0:
            return None
        names += [os.fsdecode(name) for name in done.stdout.split(b"\0") if name]
    return names


def _from_folder(root: Path) -> Iterator[str]:
    """Every file below `root` that no `.gitignore` on its way excludes; the deepest opinion counts, as in git."""
    ignores: dict[str, tuple[tuple[str, GitIgnoreSpec], ...]] = {}
    for folder, folders, names in os.walk(root, followlinks=False):
        here = Path(folder).relative_to(root).as_posix()
        here = "" if here == "." else here + "/"
        parent = here.rstrip("/").rpartition("/")[0]
        inherited = ignores.get(f"{parent}/" if parent else "", ()) if here else ()
        ignores[here] = (*inherited, *_ignore_file(Path(folder), here))
        folders[:] = [
            name
            for name in folders
            if name not in _SKIPPED_FOLDERS | _INSTALLED_FOLDERS and not _ignored(f"{here}{name}/", ignores[here])
        ]
        yield from (f"{here}{name}" for name in names if not _ignored(f"{here}{name}", ignores[here]))


def _ignore_file(folder: Path, here: str) -> Iterator[tuple[str, GitIgnoreSpec]]:
    try:
        lines = read(folder, ".gitignore").text.splitlines()
    except UnreadableError:
        return
    patterns = []
    for line in lines:
        try:
            GitIgnoreSpec.from_lines([line])
        except ValueError:  # git, too, passes over a pattern that makes no sense
            continue
        patterns.append(line)
    yield here, GitIgnoreSpec.from_lines(patterns)


def _ignored(name: str, ignores: tuple[tuple[str, GitIgnoreSpec], ...]) -> bool:
    for base, spec in reversed(ignores):
        verdict = spec.check_file(name.removeprefix(base)).include
        if verdict is not None:
            return verdict
    return False
