"""The adapter registry: which LoRA adapters there are, in which state, and which one is served.

An adapter is a PEFT folder (`adapter_config.json`, `adapter_model.safetensors`) below the adapters folder,
with the record of the night that made it. `registry.json` beside the folders names states and keeps the
champions of each base. It knows nothing of tensors: it checks names, sizes and digests. What always holds:
the registry is replaced as a whole or not at all, the folder exists before the registry names it, and a
champion whose bytes are not the ones that were registered is never handed out.
"""

import hashlib
import json
import os
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

from filelock import FileLock, Timeout

from inkling.errors import UserError

State = Literal["candidate", "champion", "retired"]
STATES: tuple[State, ...] = ("candidate", "champion", "retired")
KEPT_CHAMPIONS = 5  # earlier champions per base that a rollback can still reach
CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
RECORD_FILE = "record.json"
NOTE_FILE = "note.txt"  # the user's own
RUNS_FOLDER = ".runs"  # where adapters are made: a finished one is renamed into its place, never copied
_VERSION = 1
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")
_LOCK_SECONDS = 30


class RegistryError(UserError):
    """The registry, or a folder that it names, is not what it should be."""


@dataclass(frozen=True)
class Adapter:
    """One adapter on disk. `digest` is the sha256 of its weights, `at` when it was registered (Unix seconds)."""

    name: str
    base: str
    state: State
    at: float
    digest: str
    folder: Path


@dataclass(frozen=True)
class Contents:
    """What `registry.json` says. `champions`: per base, oldest first, the last is served; None is the bare base."""

    adapters: dict[str, Adapter]
    champions: dict[str, list[str | None]]


class Registry:
    """The adapters below one folder. Safe between processes; every call reads the disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "registry.json"

    def stamp(self) -> tuple[int, int] | None:
        """A value that changes with every change of the registry (mtime in ns, inode); None before the first."""
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return None
        return status.st_mtime_ns, status.st_ino

    def list(self) -> list[Adapter]:
        """All registered adapters, newest first."""
        return sorted(self._read().adapters.values(), key=lambda adapter: (adapter.at, adapter.name), reverse=True)

    def get(self, name: str) -> Adapter:
        """The adapter of this name."""
        return self._named(self._read(), name)

    def history(self, base: str) -> tuple[str | None, ...]:
        """The champions of `base`, oldest first, the one that is served last; None stands for the bare base."""
        return tuple(self._read().champions.get(base, [None]))

    def champion(self, base: str) -> Adapter | None:
        """The adapter to serve on `base`, its files checked; None for the bare base.

        Raises RegistryError if the registry or the champion's folder is damaged: never serve it then.
        """
        contents = self._read()
        name = contents.champions.get(base, [None])[-1]
        if name is None:
            return None
        adapter = contents.adapters[name]
        self._check(adapter)
        return adapter

    def record(self, name: str) -> dict[str, Any]:
        """The record of the night that made this adapter; empty if it came without one."""
        path = self.get(name).folder / RECORD_FILE
        if not path.exists():
            return {}
        return cast(dict[str, Any], _json_object(path, f"The record of adapter {name}"))

    def note(self, name: str) -> str:
        """What the user noted about this adapter; "" without a note."""
        path = self.get(name).folder / NOTE_FILE
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def set_note(self, name: str, text: str) -> None:
        """Keep the user's note about this adapter; an empty one takes it away."""
        path = self.get(name).folder / NOTE_FILE
        try:
            if text.strip():
                write_atomically(path, text.encode())
            else:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise RegistryError(f"The note {path} cannot be written ({error.strerror}).") from error

    def add_candidate(self, source: Path, *, base: str, name: str | None = None, at: float | None = None) -> Adapter:
        """Move the finished PEFT folder `source` in, and register it as a candidate for `base`.

        `source` must lie on the same filesystem (the runs folder does). Without a `name` it becomes
        `night-2026-11-24-a`, the next letter where that one is taken.
        """
        at = time.time() if at is None else at
        digest = check_folder(source)
        with self._locked():
            contents = self._read()
            name = self._free_name(contents, at) if name is None else name
            if not _NAME.fullmatch(name):
                raise RegistryError(f"{name!r} is no adapter name: use lower-case letters, digits, '.', '_' and '-'.")
            target = self.folder / name
            if name in contents.adapters or target.exists():
                raise RegistryError(f"There is already an adapter {name} in {self.folder}: choose another name.")
            source.rename(target)
            _sync_folder(self.folder)
            adapter = Adapter(name, base, "candidate", at, digest, target)
            contents.adapters[name] = adapter
            self._write(contents)
        return adapter

    def promote(self, name: str) -> Adapter:
        """Make this adapter the champion of its base; the one before it is retired but can be rolled back to."""
        with self._locked():
            contents = self._read()
            adapter = self._named(contents, name)
            self._check(adapter)
            champions = contents.champions.setdefault(adapter.base, [None])
            if champions[-1] == name:
                return adapter
            self._set_state(contents, champions[-1], "retired")
            self._set_state(contents, name, "champion")
            contents.champions[adapter.base] = [*champions, name][-(KEPT_CHAMPIONS + 1) :]
            self._write(contents)
            return contents.adapters[name]

    def rollback(self, base: str) -> Adapter | None:
        """Retire the champion of `base` and serve the one before it again; None means the bare base."""
        with self._locked():
            contents = self._read()
            champions = contents.champions.get(base, [None])
            if len(champions) < 2:
                served = champions[-1] or "the bare base"
                raise RegistryError(f"There is nothing to roll back to on {base}: {served} has no predecessor.")
            previous = champions[-2]
            if previous is not None:
                self._check(contents.adapters[previous])
                self._set_state(contents, previous, "champion")
            self._set_state(contents, champions[-1], "retired")
            contents.champions[base] = champions[:-1]
            self._write(contents)
            return contents.adapters[previous] if previous is not None else None

    def retire(self, name: str) -> Adapter:
        """Put an adapter that is not served out of the running: no rollback reaches it any more. Its files stay."""
        with self._locked():
            contents = self._read()
            adapter = self._named(contents, name)
            champions = contents.champions.get(adapter.base, [None])
            if champions[-1] == name:
                raise RegistryError(f"{name} is the champion of {adapter.base}: roll it back instead of retiring it.")
            contents.champions[adapter.base] = [champion for champion in champions if champion != name]
            self._set_state(contents, name, "retired")
            self._write(contents)
            return contents.adapters[name]

    def _named(self, contents: Contents, name: str) -> Adapter:
        if name not in contents.adapters:
            known = ", ".join(sorted(contents.adapters)) or "none yet"
            raise RegistryError(f"There is no adapter {name} in {self.folder}. Known: {known}.")
        return contents.adapters[name]

    def _check(self, adapter: Adapter) -> None:
        try:
            digest = check_folder(adapter.folder)
        except RegistryError as error:
            raise RegistryError(f"Adapter {adapter.name} cannot be served: {error} {_MEND}") from error
        if digest != adapter.digest:
            raise RegistryError(
                f"Adapter {adapter.name} cannot be served: the weights in {adapter.folder} are not the ones that were "
                f"registered (sha256 {digest[:12]}, expected {adapter.digest[:12]}). {_MEND}"
            )

    @staticmethod
    def _set_state(contents: Contents, name: str | None, state: State) -> None:
        if name is not None:
            contents.adapters[name] = replace(contents.adapters[name], state=state)

    def _free_name(self, contents: Contents, at: float) -> str:
        day = time.strftime("%Y-%m-%d", time.localtime(at))
        for suffix in _suffixes():
            name = f"night-{day}-{suffix}"
            if name not in contents.adapters and not (self.folder / name).exists():
                return name
        raise AssertionError("the suffixes never end")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder / "registry.lock", timeout=_LOCK_SECONDS)
        try:
            with lock:
                yield
        except Timeout as error:
            raise RegistryError(
                f"Another process has held {lock.lock_file} for {_LOCK_SECONDS} s: end it, then try again."
            ) from error

    def _read(self) -> Contents:
        if not self.path.exists():
            return Contents({}, {})
        raw = _json_object(self.path, "The adapter registry")
        try:
            return self._parsed(raw)
        except (KeyError, TypeError, ValueError) as error:
            raise _damaged(self.path, "The adapter registry", error) from error

    def _parsed(self, raw: dict[str, Any]) -> Contents:
        if raw["version"] != _VERSION:
            raise ValueError(f"version {raw['version']!r}, expected {_VERSION}")
        adapters = {name: self._adapter(name, entry) for name, entry in raw["adapters"].items()}
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
        return Contents(adapters, champions)

    def _adapter(self, name: str, entry: dict[str, Any]) -> Adapter:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no adapter name")
        if entry["state"] not in STATES:
            raise ValueError(f"state {entry['state']!r} of {name}, expected one of {', '.join(STATES)}")
        return Adapter(
            name, str(entry["base"]), entry["state"], float(entry["at"]), str(entry["digest"]), self.folder / name
        )

    def _write(self, contents: Contents) -> None:
        raw = {
            "version": _VERSION,
            "adapters": {
                name: {"base": adapter.base, "state": adapter.state, "at": adapter.at, "digest": adapter.digest}
                for name, adapter in sorted(contents.adapters.items())
            },
            "champions": contents.champions,
        }
        write_atomically(self.path, (json.dumps(raw, indent=2) + "\n").encode())


_MEND = "Restore its files, or serve the adapter before it with `inkling models rollback`."


def check_folder(folder: Path) -> str:
    """The sha256 of the weights in a PEFT folder; RegistryError if the folder is not a whole LoRA adapter."""
    config = _json_object(folder / CONFIG_FILE, "The adapter's configuration")
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
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # a folder cannot be opened there; NTFS journals the rename
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _json_object(path: Path, what: str) -> dict[str, Any]:
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


def _suffixes() -> Iterator[str]:
    """a, b, ..., z, za, zb, ..., zz, zza, ...: in this order they also sort as text."""
    head = ""
    while True:
        for letter in "abcdefghijklmnopqrstuvwxyz":
            yield head + letter
        head += "z"
