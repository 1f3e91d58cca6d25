"""The registry's file and the folders that it names: how they are read, checked and replaced.

It decides nothing; `model.adapters` does. What always holds: a file is replaced as a whole or not at all, and one that
contradicts itself is not read.
"""

import hashlib
import json
import os
import re
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from inkling.errors import UserError

State = Literal["candidate", "canary", "champion", "retired"]
STATES: tuple[State, ...] = get_args(State)
CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
RECORD_FILE = "record.json"
NOTE_FILE = "note.txt"  # the user's own
RUNS_FOLDER = ".runs"  # where adapters are made: a finished one is renamed into its place, never copied
_VERSION = 1
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")


class RegistryError(UserError):
    """The registry, or a folder that it names, is not what it should be."""


@dataclass(frozen=True)
class Adapter:
    """One adapter on disk. `digest` is the sha256 of its weights, `at` when it was registered (Unix seconds).

    `dropped`: its weights were removed to give back their room, and only its record is left.
    """

    name: str
    base: str
    state: State
    at: float
    digest: str
    folder: Path
    dropped: bool = False


@dataclass(frozen=True)
class Trial:
    """An adapter whose live figures are watched.

    `share` of the sessions get it. Below 1 it is the canary of its base; at 1 it is the champion, held against what
    `against` (None: the bare base) had come to before. `since`: Unix seconds.
    """

    adapter: str
    against: str | None
    share: float
    since: float


@dataclass(frozen=True)
class Contents:
    """What `registry.json` says. `champions`: per base, oldest first, the last is served; None is the bare base.

    `trials`: at most one per base.
    """

    adapters: dict[str, Adapter]
    champions: dict[str, list[str | None]]
    trials: dict[str, Trial]


def read_contents(path: Path) -> Contents:
    """What the file says; nothing where there is none. Raises RegistryError if it is damaged."""
    if not path.exists():
        return Contents({}, {}, {})
    raw = json_object(path, "The adapter registry")
    try:
        return _parsed(raw, path.parent)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _damaged(path, "The adapter registry", error) from error


def write_contents(path: Path, contents: Contents) -> None:
    """Replace the file. Raises RegistryError, and leaves it, where the contents contradict themselves: such a file
    would not be read again."""
    raw = {
        "version": _VERSION,
        "adapters": {
            name: {key: getattr(adapter, key) for key in ("base", "state", "at", "digest", "dropped")}
            for name, adapter in sorted(contents.adapters.items())
        },
        "champions": contents.champions,
        "trials": {base: asdict(trial) for base, trial in contents.trials.items()},
    }
    try:
        _parsed(raw, path.parent)
    except (KeyError, ValueError) as error:
        raise RegistryError(
            f"The adapter registry {path} stays as it is: what was to be written says {error}."
        ) from error
    write_atomically(path, (json.dumps(raw, indent=2) + "\n").encode())


def _parsed(raw: dict[str, Any], folder: Path) -> Contents:
    if raw["version"] != _VERSION:
        raise ValueError(f"version {raw['version']!r}, expected {_VERSION}")
    adapters = {name: _adapter(name, entry, folder) for name, entry in raw["adapters"].items()}
    champions: dict[str, list[str | None]] = {base: [*names] for base, names in raw["champions"].items()}
    for base, names in champions.items():
        if not names:
            raise ValueError(f"no champion named for {base}")
        for name in names:
            if name is not None and adapters[name].base != base:
                raise ValueError(f"{name} is a champion of {base} but was made for {adapters[name].base}")
    served = {names[-1] for names in champions.values()} - {None}
    claimed = {adapter.name for adapter in adapters.values() if adapter.state == "champion"}
    if served != claimed:
        raise ValueError(f"champions are {sorted(map(str, served))}, states say {sorted(claimed)}")
    trials = {base: Trial(**entry) for base, entry in raw.get("trials", {}).items()}
    canaries = {trial.adapter for trial in trials.values() if trial.share < 1}
    claimed = {adapter.name for adapter in adapters.values() if adapter.state == "canary"}
    if canaries != claimed or any(adapters[trial.adapter].base != base for base, trial in trials.items()):
        raise ValueError(f"canaries are {sorted(canaries)}, states say {sorted(claimed)}")
    return Contents(adapters, champions, trials)


def _adapter(name: str, entry: dict[str, Any], folder: Path) -> Adapter:
    if not NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no adapter name")
    if entry["state"] not in STATES:
        raise ValueError(f"state {entry['state']!r} of {name}, expected one of {', '.join(STATES)}")
    return Adapter(
        name, str(entry["base"]), entry["state"], float(entry["at"]), str(entry["digest"]), folder / name,
        bool(entry.get("dropped", False)),
    )  # fmt: skip


def free_name(contents: Contents, folder: Path, at: float) -> str:
    """`night-2026-11-24-a` for a night of that time, or the next letter that is free."""
    day = time.strftime("%Y-%m-%d", time.localtime(at))
    for suffix in _suffixes():
        name = f"night-{day}-{suffix}"
        if name not in contents.adapters and not (folder / name).exists():
            return name
    raise AssertionError("the suffixes never end")


def _suffixes() -> Iterator[str]:
    """a, b, ..., z, za, zb, ..., zz, zza, ...: in this order they also sort as text."""
    head = ""
    while True:
        for letter in "abcdefghijklmnopqrstuvwxyz":
            yield head + letter
        head += "z"


def check_folder(folder: Path) -> str:
    """The sha256 of the weights in a PEFT folder; RegistryError if the folder is not a whole LoRA adapter."""
    config = json_object(folder / CONFIG_FILE, "The adapter's configuration")
    if config.get("peft_type") != "LORA":
        raise RegistryError(
            f"{folder / CONFIG_FILE} describes {config.get('peft_type')!r}, expected a LoRA (peft_type LORA)."
        )
    weights = folder / WEIGHTS_FILE
    try:
        with weights.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise RegistryError(f"The adapter's weights {weights} cannot be read ({error.strerror}).") from error
    return digest


def write_atomically(path: Path, data: bytes) -> None:
    """Replace `path` by `data`, so that a reader and a crash see the old file or the new one, never a part."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """What was renamed in it survives a power cut."""
    if os.name == "nt":  # a folder cannot be opened there; NTFS journals the rename
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def json_object(path: Path, what: str) -> dict[str, Any]:
    """The object in a JSON file; `what` is its name in errors."""
    try:
        raw = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise RegistryError(f"{what} is missing: {path}.") from error
    except (OSError, ValueError) as error:
        raise _damaged(path, what, error) from error
    if not isinstance(raw, dict):
        raise _damaged(path, what, f"a {type(raw).__name__} where an object should be")
    return raw


def _damaged(path: Path, what: str, why: object) -> RegistryError:
    return RegistryError(
        f"{what} {path} is damaged ({why}). No adapter is served until it is mended: restore the file from a backup, "
        "or move it away to go on with the bare base (the adapters' own folders stay)."
    )


def share_of(session: str, adapter: str) -> float:
    """A number in [0, 1) that is always the same for a session and an adapter, and spread evenly over sessions."""
    return int.from_bytes(hashlib.sha256(f"{session} {adapter}".encode()).digest()[:8]) / 2**64


def read_note(folder: Path) -> str:
    """What the user noted about the adapter there; "" without a note."""
    path = folder / NOTE_FILE
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def write_note(folder: Path, text: str) -> None:
    """Keep the note; an empty one takes it away. Raises RegistryError where that cannot be written."""
    path = folder / NOTE_FILE
    try:
        if text.strip():
            write_atomically(path, text.encode())
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise RegistryError(f"The note {path} cannot be written ({error.strerror}).") from error
