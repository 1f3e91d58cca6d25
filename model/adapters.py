"""The adapter registry: which LoRA adapters there are, in which state, and which one is served.

An adapter is a PEFT folder (`adapter_config.json`, `adapter_model.safetensors`) below the adapters folder,
with the record of the night that made it. `registry.json` beside the folders names states and keeps the
champions of each base. It knows nothing of tensors: it checks names, sizes and digests. What always holds:
the registry is replaced as a whole or not at all, the folder exists before the registry names it, and a
champion whose bytes are not the ones that were registered is never handed out; a canary is served to its share of
sessions only, each of them always getting the same.
"""

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any, cast

from filelock import FileLock, Timeout

from model.registry_file import (
    CONFIG_FILE,
    NAME,
    NOTE_FILE,
    RECORD_FILE,
    RUNS_FOLDER,
    STATES,
    WEIGHTS_FILE,
    Adapter,
    Contents,
    RegistryError,
    State,
    Trial,
    check_folder,
    free_name,
    json_object,
    read_contents,
    read_note,
    share_of,
    sync_folder,
    write_atomically,
    write_contents,
    write_note,
)

__all__ = [
    "CONFIG_FILE",
    "KEPT_CHAMPIONS",
    "NOTE_FILE",
    "RECORD_FILE",
    "RUNS_FOLDER",
    "STATES",
    "WEIGHTS_FILE",
    "Adapter",
    "Registry",
    "RegistryError",
    "Trial",
    "check_folder",
    "write_atomically",
]

KEPT_CHAMPIONS = 5  # earlier champions per base that a rollback can still reach
_LOCK_SECONDS = 30


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

    def trial(self, base: str) -> Trial | None:
        """The adapter of `base` whose live figures are watched, if there is one."""
        return self._read().trials.get(base)

    def serving(self, base: str, session: str) -> Adapter | None:
        """The adapter that this session gets, always the same one while nothing changes: the canary or the champion.

        A damaged canary is left out. Raises RegistryError as `champion` does.
        """
        contents = self._read()
        trial = contents.trials.get(base)
        if trial is not None and trial.share < 1 and share_of(session, trial.adapter) < trial.share:
            with suppress(RegistryError):
                self._check(contents.adapters[trial.adapter])
                return contents.adapters[trial.adapter]
        return self.champion(base)

    def record(self, name: str) -> dict[str, Any]:
        """The record of the night that made this adapter; empty if it came without one."""
        path = self.get(name).folder / RECORD_FILE
        if not path.exists():
            return {}
        return cast(dict[str, Any], json_object(path, f"The record of adapter {name}"))

    def note(self, name: str) -> str:
        """What the user noted about this adapter; "" without a note."""
        return read_note(self.get(name).folder)

    def set_note(self, name: str, text: str) -> None:
        """Keep the user's note about this adapter; an empty one takes it away."""
        write_note(self.get(name).folder, text)

    def add_candidate(self, source: Path, *, base: str, name: str | None = None, at: float | None = None) -> Adapter:
        """Move the finished PEFT folder `source` in, and register it as a candidate for `base`.

        `source` must lie on the same filesystem (the runs folder does). Without a `name` it becomes
        `night-2026-11-24-a`, the next letter where that one is taken.
        """
        at = time.time() if at is None else at
        digest = check_folder(source)
        with self._locked():
            contents = self._read()
            name = free_name(contents, self.folder, at) if name is None else name
            self._refuse_name(contents, name)
            target = self.folder / name
            source.rename(target)
            sync_folder(self.folder)
            adapter = Adapter(name, base, "candidate", at, digest, target)
            contents.adapters[name] = adapter
            self._write(contents)
        return adapter

    def introduce(self, name: str, share: float) -> Adapter:
        """Serve a candidate that earned it, and watch its live figures: to that share of the sessions first.

        With 0, or 1 and more, it becomes the champion at once. A canary that is there makes room.
        """
        with self._locked():
            contents = self._read()
            adapter = self._named(contents, name)
            self._check(adapter)
            served = contents.champions.get(adapter.base, [None])[-1]
            if served == name:
                return adapter
            self._end_trial(contents, adapter.base)
            whole = not 0 < share < 1
            if whole:
                self._crown(contents, name)
            else:
                self._set_state(contents, name, "canary")
            contents.trials[adapter.base] = Trial(name, served, 1.0 if whole else share, time.time())
            self._write(contents)
            return contents.adapters[name]

    def settle(self, trial: Trial, *, keep: bool) -> bool:
        """End a trial as it was read: a canary becomes champion or is retired, a champion stays or is rolled back.

        False, and nothing happens, if somebody else decided meanwhile.
        """
        with self._locked():
            contents = self._read()
            base = contents.adapters[trial.adapter].base if trial.adapter in contents.adapters else ""
            if contents.trials.get(base) != trial:
                return False
            del contents.trials[base]
            if trial.share < 1 and keep:
                self._check(contents.adapters[trial.adapter])
                self._crown(contents, trial.adapter)
                contents.trials[base] = Trial(trial.adapter, trial.against, 1.0, time.time())
            elif trial.share < 1:
                self._set_state(contents, trial.adapter, "retired")
            elif not keep:
                self._roll_back(contents, base)
            self._write(contents)
            return True

    def restart(self, trial: Trial, since: float) -> Trial:
        """Let a trial as it was read begin then; the one that there is, if somebody else decided meanwhile."""
        with self._locked():
            contents = self._read()
            base = contents.adapters[trial.adapter].base
            if contents.trials.get(base) == trial:
                contents.trials[base] = trial = replace(trial, since=since)
                self._write(contents)
            return contents.trials.get(base, trial)

    def promote(self, name: str) -> Adapter:
        """Make this adapter the champion of its base by hand; the one before is retired but can be rolled back to.

        It is not watched: who decides by hand also decides when it goes.
        """
        with self._locked():
            contents = self._read()
            adapter = self._named(contents, name)
            self._check(adapter)
            self._end_trial(contents, adapter.base)
            if contents.champions.get(adapter.base, [None])[-1] != name:
                self._crown(contents, name)
            self._write(contents)
            return contents.adapters[name]

    def rollback(self, base: str) -> Adapter | None:
        """Take back what came last: the canary of `base`, else its champion, for the one before it.

        Returns what is served now; None means the bare base.
        """
        with self._locked():
            contents = self._read()
            trial = contents.trials.get(base)
            if trial is None or trial.share == 1:
                self._roll_back(contents, base)
            self._end_trial(contents, base)
            self._write(contents)
            previous = contents.champions.get(base, [None])[-1]
            return contents.adapters[previous] if previous is not None else None

    def retire(self, name: str) -> Adapter:
        """Put an adapter that is not champion out of the running: no rollback reaches it any more. Its files stay."""
        with self._locked():
            contents = self._read()
            adapter = self._named(contents, name)
            champions = contents.champions.get(adapter.base, [None])
            if champions[-1] == name:
                raise RegistryError(
                    f"{name} is the champion of {adapter.base}: roll it back instead (`inkling models rollback`)."
                )
            if adapter.state == "canary":
                self._end_trial(contents, adapter.base)
            if adapter.base in contents.champions:
                left = [champion for champion in champions if champion != name]
                contents.champions[adapter.base] = [champion for champion, _ in groupby(left)]
            self._set_state(contents, name, "retired")
            self._write(contents)
            return contents.adapters[name]

    def rename(self, name: str, new: str) -> Adapter:
        """Give an adapter another name. What was recorded under the old one is not found under the new one."""
        with self._locked():
            contents = self._read()
            adapter = self._named(contents, name)
            if not adapter.dropped:
                self._check(adapter)
            if any(name in (trial.adapter, trial.against) for trial in contents.trials.values()):
                raise RegistryError(
                    f"{name} is on trial or another one is compared with it, and figures are kept by name: rename it "
                    "afterwards."
                )
            self._refuse_name(contents, new)
            shutil.copytree(adapter.folder, self.folder / new)  # the folder is there before the registry names it
            sync_folder(self.folder)
            contents.adapters[new] = replace(contents.adapters.pop(name), name=new, folder=self.folder / new)
            for base, champions in contents.champions.items():
                contents.champions[base] = [new if champion == name else champion for champion in champions]
            self._write(contents)
            shutil.rmtree(adapter.folder, ignore_errors=True)
            return contents.adapters[new]

    def drop_weights(self, name: str) -> bool:
        """Give back the room that an adapter's weights take; its record stays, and it can never be served again.

        False, and nothing happens, for one that is served, on trial, compared with or within reach of a rollback.
        """
        with self._locked():
            contents = self._read()
            adapter = self._named(contents, name)
            trial = contents.trials.get(adapter.base)
            needed = {*contents.champions.get(adapter.base, ()), *((trial.adapter, trial.against) if trial else ())}
            if name in needed:
                return False
            contents.adapters[name] = replace(adapter, dropped=True)
            self._write(contents)
            with suppress(OSError):  # a server that still reads them holds them on Windows: the next call is luckier
                (adapter.folder / WEIGHTS_FILE).unlink(missing_ok=True)
            return True

    def amend(self, name: str, change: Callable[[dict[str, Any]], Mapping[str, Any]]) -> None:
        """Replace the adapter's record by what `change` makes of it, while nobody else writes it."""
        with self._locked():
            path, record = self.get(name).folder / RECORD_FILE, self.record(name)
            changed = dict(change(record))
            if changed != record:
                write_atomically(path, (json.dumps(changed, indent=2) + "\n").encode())

    def note_live(self, name: str, entry: Mapping[str, Any]) -> None:
        """Add what its live figures led to, to the adapter's record (under "live")."""
        self.amend(name, lambda record: {**record, "live": [*record.get("live", ()), dict(entry)]})

    def _crown(self, contents: Contents, name: str) -> None:
        adapter = contents.adapters[name]
        champions = contents.champions.setdefault(adapter.base, [None])
        self._set_state(contents, champions[-1], "retired")
        self._set_state(contents, name, "champion")
        contents.champions[adapter.base] = [*champions, name][-(KEPT_CHAMPIONS + 1) :]

    def _roll_back(self, contents: Contents, base: str) -> None:
        champions = contents.champions.get(base, [None])
        if len(champions) < 2:
            served = champions[-1] or "the bare base"
            raise RegistryError(f"There is nothing to roll back to on {base}: {served} has no predecessor.")
        left = champions[:-1]
        while left and left[-1] is not None and not self._whole(contents.adapters[left[-1]]):
            left.pop()  # what was found to be worse must not stay because the one before it is damaged
        left = left or [None]
        self._set_state(contents, champions[-1], "retired")
        self._set_state(contents, left[-1], "champion")
        contents.champions[base] = left

    def _end_trial(self, contents: Contents, base: str) -> None:
        """A canary that makes room is retired; a champion just is not watched any more."""
        trial = contents.trials.pop(base, None)
        if trial is not None and trial.share < 1:
            self._set_state(contents, trial.adapter, "retired")

    def _named(self, contents: Contents, name: str) -> Adapter:
        if name not in contents.adapters:
            known = ", ".join(sorted(contents.adapters)) or "none yet"
            raise RegistryError(f"There is no adapter {name} in {self.folder}. Known: {known}.")
        return contents.adapters[name]

    def _refuse_name(self, contents: Contents, name: str) -> None:
        if not NAME.fullmatch(name):
            raise RegistryError(f"{name!r} is no adapter name: use lower-case letters, digits, '.', '_' and '-'.")
        if name in contents.adapters or (self.folder / name).exists():
            raise RegistryError(f"There is already an adapter {name} in {self.folder}: choose another name.")

    def _whole(self, adapter: Adapter) -> bool:
        try:
            self._check(adapter)
        except RegistryError:
            return False
        return True

    def _check(self, adapter: Adapter) -> None:
        if adapter.dropped:
            raise RegistryError(
                f"Adapter {adapter.name} cannot be served: its weights were dropped to give back their room, only its "
                f"record is left (`inkling models show {adapter.name}`). Choose another one of `inkling models list`."
            )
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
        return read_contents(self.path)

    def _write(self, contents: Contents) -> None:
        write_contents(self.path, contents)


_MEND = "Restore its files, or serve the adapter before it with `inkling models rollback`."
