"""What `inkling doctor` looks at: is everything here that Inkling needs, and if not, which command mends it.

It only looks and never repairs. It draws nothing: the result is a list of values that the command line shows as a
table or as JSON. Heavy packages are never imported here; torch is asked in a child process, whose crash is a finding
like any other. No check raises: what cannot be determined is a finding too.
"""

import importlib.util
import json
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from sqlalchemy.exc import SQLAlchemyError

from feedback.consent import Consent, list_consents
from inkling.errors import UserError
from inkling.folders import (
    config_folder,
    data_folder,
    feedback_database,
    index_folder,
    logs_folder,
    models_folder,
)
from inkling.process import environment
from model.catalog import CATALOG
from model.training.packages import command, missing
from model.weights import resolve
from server.settings import Settings, feedback_place, user_settings

State = Literal["ok", "warn", "fail"]

OLDEST_PYTHON = (3, 11)
LITTLE_SPACE = 2 * 1024**3  # a night writes checkpoints and an index of a large workspace takes hundreds of megabytes
NO_SPACE = 200 * 1024**2
TORCH_SECONDS = 120.0

# Distributions whose import name is not their own name.
_MODULES = {"faiss-cpu": "faiss", "onnxruntime-gpu": "onnxruntime"}

_ASK_TORCH = """
import json, torch
cuda = torch.cuda.is_available()
mps = torch.backends.mps.is_available()
name = torch.cuda.get_device_name() if cuda else ""
print(json.dumps({"version": torch.__version__, "device": "cuda" if cuda else "mps" if mps else "cpu",
                  "name": name, "built_for_cuda": torch.version.cuda, "threads": torch.get_num_threads()}))
"""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. `mend` is a command or a setting, "" where the state is "ok"."""

    name: str
    state: State
    found: str
    mend: str = ""


def checks(*, ask_torch: bool = True) -> list[Check]:
    """Look at everything. `ask_torch=False` leaves out the one slow question (a few seconds)."""
    found: list[Check] = [python(), isolation(), *settings(), *packages(), training(), onnx_runtime()]
    if ask_torch:
        found.append(torch_device())
    found += [*weights(), feedback(), index(), disk(), full_text_search(), logs(), *programs()]
    return found


def worst(found: list[Check]) -> State:
    """The state of the whole: that of the worst check."""
    states = {check.state for check in found}
    return "fail" if "fail" in states else "warn" if "warn" in states else "ok"


def python() -> Check:
    """The interpreter, and whether it is new enough."""
    here = f"{sys.version.split()[0]} at {sys.executable}"
    if sys.version_info[:2] < OLDEST_PYTHON:
        return Check("python", "fail", here, "Install Inkling with Python 3.11 or newer.")
    return Check("python", "ok", here)


def isolation() -> Check:
    """Whether this process ignores PYTHON* variables and the current folder."""
    missing = [flag for flag, on in (("-E", sys.flags.ignore_environment), ("-P", sys.flags.safe_path)) if not on]
    if missing:
        found = f"started without {' and '.join(missing)}: a workspace could bring its own modules"
        return Check("isolation", "fail", found, f"Start the `inkling` command, or {sys.executable} -E -P -m inkling.")
    return Check("isolation", "ok", "PYTHONPATH and the current folder are ignored")


def packages() -> list[Check]:
    """Every package that our own distribution requires: there, importable, and of a version that fits."""
    try:
        required = metadata.requires("inkling") or []
    except metadata.PackageNotFoundError:
        mend = 'Install Inkling as its README says under "Use it".'
        return [Check("package inkling", "fail", "not installed", mend)]
    needed = [Requirement(line) for line in required]
    return [package(each) for each in needed if each.marker is None or each.marker.evaluate({"extra": ""})]


def package(required: Requirement) -> Check:
    """One required package. Imports nothing: metadata and the place of the module are enough."""
    name, mend = f"package {required.name}", f"{sys.executable} -m pip install '{_bare(required)}'"
    try:
        version = metadata.version(required.name)
    except metadata.PackageNotFoundError:
        return Check(name, "fail", "not installed", mend)
    if required.specifier and not required.specifier.contains(version, prereleases=True):
        return Check(name, "fail", f"{version}, but {required.specifier} is needed", mend)
    module = _MODULES.get(canonicalize_name(required.name), required.name.replace("-", "_"))
    if importlib.util.find_spec(module) is None:
        return Check(name, "fail", f"{version}, but its module {module} is gone", f"{mend} --force-reinstall")
    return Check(name, "ok", version)


def training() -> Check:
    """What nights need beside what serves."""
    if lacking := missing():
        found = f"{' and '.join(lacking)} not installed: nothing is trained, all else works"
        return Check("training", "warn", found, command())
    return Check("training", "ok", "nights can train here")


def settings() -> Iterator[Check]:
    """The user's own settings file: where it is, and what in it cannot be used."""
    file = config_folder() / "settings.toml"
    try:
        _, problems = user_settings()
    except UserError as error:
        yield Check("settings", "fail", str(error), f"Mend {file}.")
        return
    yield Check("settings", "ok", f"{file}" if file.exists() else f"{file} is not there: all defaults")
    for problem in problems:
        yield Check("settings", "warn", problem, f"Mend {file}.")


def onnx_runtime() -> Check:
    """Exactly one of the two flavours: they share a folder, and each overwrites the other's files."""
    found = {each: _version(each) for each in ("onnxruntime", "onnxruntime-gpu")}
    there = [f"{name} {version}" for name, version in found.items() if version]
    pip = f"{sys.executable} -m pip"
    if len(there) == 2:
        keep = "onnxruntime" if sys.platform == "darwin" else "onnxruntime-gpu"
        mend = (
            f"{pip} uninstall -y onnxruntime onnxruntime-gpu && {pip} install {keep} "
            "(for a machine without an NVIDIA card: onnxruntime)"
        )
        return Check("onnx runtime", "fail", " and ".join(there) + ", which overwrite each other", mend)
    if not there:
        return Check(
            "onnx runtime",
            "warn",
            "not installed: the model runs on torch alone",
            f"{pip} install onnxruntime (or onnxruntime-gpu where there is an NVIDIA card)",
        )
    return Check("onnx runtime", "ok", there[0])


def torch_device(code: str = _ASK_TORCH) -> Check:
    """Which device torch would use, asked in a child process: importing torch takes seconds and may crash."""
    mend = f"{sys.executable} -m pip install --force-reinstall torch"
    try:
        answer = subprocess.run(
            [sys.executable, "-E", "-P", "-X", "utf8", "-c", code],
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=TORCH_SECONDS,
            env=environment(),
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        return Check("torch", "fail", f"did not answer within {TORCH_SECONDS:.0f} seconds", mend)
    except OSError as error:
        return Check("torch", "fail", f"could not be asked: {error}", mend)
    if answer.returncode != 0:
        last = (answer.stderr.strip().splitlines() or [f"exit code {answer.returncode}"])[-1]
        return Check("torch", "fail", f"cannot be imported: {last}", mend)
    try:
        about = json.loads(answer.stdout.strip().splitlines()[-1])
    except (IndexError, json.JSONDecodeError):
        return Check("torch", "fail", f"gave an answer that is not understood: {answer.stdout.strip()[:80]!r}", mend)
    return _torch_found(about, nvidia=shutil.which("nvidia-smi") is not None)


def _torch_found(about: dict[str, object], nvidia: bool) -> Check:
    """The finding for torch's answer. A machine with an NVIDIA driver whose torch cannot use it gets a warning."""
    version, device, name = about["version"], about["device"], about["name"]
    found = f"{version} on {device}" + (f" ({name})" if name else f", {about['threads']} threads")
    if device == "cpu" and nvidia:
        why = "was built without CUDA" if not about["built_for_cuda"] else "finds no usable card (see nvidia-smi)"
        return Check(
            "torch", "warn", f"{found}: there is an NVIDIA driver, but torch {why}", "Install a CUDA build of torch."
        )
    return Check("torch", "ok", found)


def weights() -> Iterator[Check]:
    """The weights that the settings name: whole, and where."""
    own = _own_settings()
    for role, source in (("base", own.model.base), ("embedding", own.index.embedding)):
        try:
            yield Check(f"weights {role}", "ok", str(resolve(source)))
        except UserError as error:
            mend = f"Mend inkling.{'model.base' if role == 'base' else 'index.embedding'}, or: "
            known = source in CATALOG
            yield Check(
                f"weights {role}",
                "fail",
                f"{source} is not in {models_folder()}" if known else str(error),
                f"{'' if known else mend}inkling models pull {source}",
            )


def feedback() -> Check:
    """The feedback database: does it open, how large is it, how many workspaces gave consent. Never creates one."""
    elsewhere, place = bool(_own_settings().feedback.database), feedback_database()
    if not elsewhere and not place.exists():
        return Check("feedback", "ok", "no database: nobody has consented yet, so nothing is written")
    try:
        consents = list_consents(feedback_place() if elsewhere else place)
    except (UserError, SQLAlchemyError) as error:
        if elsewhere:  # the address may hold a password
            told = "the database that feedback.database names cannot be read"
            return Check("feedback", "fail", told, "Mend feedback.database in settings.toml, or start its server.")
        return Check(
            "feedback", "fail", f"{place}: {error}", f"Move {place} away; a new one is made on the next consent."
        )
    given = sum(value is not Consent.OFF for value in consents.values())
    where = "in the database that feedback.database names" if elsewhere else f"{_size(place.stat().st_size)} at {place}"
    return Check("feedback", "ok", f"{where}, consent from {given} workspaces")


def index() -> Check:
    """How much the indexes of all workspaces take."""
    folder = index_folder()
    if not folder.is_dir():
        return Check("index", "ok", "no workspace has been indexed yet")
    try:
        count, size = _below(folder)
    except OSError as error:
        return Check("index", "warn", f"{folder} cannot be read: {error.strerror}", f"Make {folder} readable.")
    return Check("index", "ok", f"{_size(size)} in {count} files at {folder}")


def disk() -> Check:
    """Free space where the data lie."""
    folder = _existing(data_folder())
    free = shutil.disk_usage(folder).free
    found = f"{_size(free)} free at {folder}"
    mend = "Free some space, or set INKLING_HOME to a folder on a larger disk."
    if free < NO_SPACE:
        return Check("disk", "fail", found, mend)
    return Check("disk", "warn", found, mend) if free < LITTLE_SPACE else Check("disk", "ok", found)


def full_text_search() -> Check:
    """Whether Python's SQLite has FTS5, which the word search stands on."""
    with sqlite3.connect(":memory:") as connection:
        try:
            connection.execute("CREATE VIRTUAL TABLE probe USING fts5(text)")
        except sqlite3.OperationalError as error:
            mend = "Use a Python whose SQLite has FTS5 (those of python.org, Debian, Homebrew, conda and uv do)."
            return Check("sqlite", "fail", f"{sqlite3.sqlite_version} without FTS5: {error}", mend)
        finally:
            connection.rollback()
    return Check("sqlite", "ok", f"{sqlite3.sqlite_version} with FTS5")


def logs() -> Check:
    """Whether a log can be written."""
    folder = logs_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        mend = f"Make {folder} writable, or set INKLING_HOME to a folder that is."
        return Check("logs", "fail", f"{folder}: {error.strerror or error}", mend)
    return Check("logs", "ok", str(folder))


def programs(find: Callable[[str], str | None] | None = None) -> Iterator[Check]:
    """Programs that are used where they are found. `find` answers like `shutil.which`."""
    find = find or _which
    pip = f"{sys.executable} -m pip"
    wanted = (
        (("ruff",), f"{pip} install ruff"),
        (("basedpyright-langserver", "pyright-langserver", "basedpyright", "pyright"), f"{pip} install basedpyright"),
        (("git",), "Install git, so that ignored files are left out and history can be learned from."),
    )
    for names, mend in wanted:
        place = next((place for name in names if (place := find(name))), None)
        title = f"program {names[-1]}"
        yield Check(title, "ok", place) if place else Check(title, "warn", "not found", mend)


def _own_settings() -> Settings:
    """The user's own; the defaults where they cannot be read, which is a finding of its own."""
    try:
        return user_settings()[0]
    except UserError:
        return Settings()


def _which(name: str) -> str | None:
    """Beside our interpreter first, as a virtual environment need not be on PATH."""
    return shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _bare(required: Requirement) -> str:
    """The requirement without its marker, as a person gives it to pip."""
    return f"{required.name}{required.specifier}"


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return next(each for each in (folder, *folder.absolute().parents) if each.exists())


def _below(folder: Path) -> tuple[int, int]:
    """Number and bytes of the files below a folder that others may be writing to."""
    count = size = 0
    for each in folder.rglob("*"):
        with suppress(FileNotFoundError):
            if each.is_file():
                count, size = count + 1, size + each.stat().st_size
    return count, size


def _size(count: int) -> str:
    """Bytes for people."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count} bytes"
