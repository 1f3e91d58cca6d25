"""What a replay has finished, on disk: one line of JSON per unit of work, so that a killed run goes on.

A unit is an arm's night or an arm's answers of a day. What always holds: a line is written whole or does not count;
a folder holds the results of one set of settings, and one process writes into it at a time.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from inkling.errors import UserError
from model.adapters import write_atomically

RESULTS_FILE = "results.jsonl"
SETTINGS_FILE = "settings.json"


class ResultsError(UserError):
    """The folder of results cannot be used."""


@dataclass(frozen=True)
class Unit:
    """One piece of work. `kind`: night, answers or old. `day` counts from 0."""

    kind: str
    package: str
    seed: int
    arm: str
    day: int


class Store:
    """The results in one folder. Use as a context manager: it holds the folder's lock, unless it is only read, which
    may be done beside the run that writes."""

    def __init__(self, folder: Path, settings: dict[str, Any], *, reading: bool = False) -> None:
        self.folder = folder
        self._reading = reading
        self._settings = settings
        self._done: dict[Unit, dict[str, Any]] = {}
        self._lock = FileLock(folder / "results.lock", timeout=0)

    def __enter__(self) -> "Store":
        if self._reading:
            self._check_settings()
            self._read()
            return self
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        except Timeout as error:
            raise ResultsError(
                f"Another run writes into {self.folder}: wait for it, or choose another --out."
            ) from error
        except OSError as error:
            raise ResultsError(f"{self.folder} cannot be written ({error.strerror}). Choose another --out.") from error
        try:
            self._check_settings()
            self._read()
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self._lock.release()

    def __contains__(self, unit: Unit) -> bool:
        return unit in self._done

    def __getitem__(self, unit: Unit) -> dict[str, Any]:
        return self._done[unit]

    def __len__(self) -> int:
        return len(self._done)

    @property
    def done(self) -> dict[Unit, dict[str, Any]]:
        """All that is finished."""
        return dict(self._done)

    def add(self, unit: Unit, found: dict[str, Any]) -> None:
        """Write it down, through to the disk."""
        line = json.dumps({**unit.__dict__, "found": found}, allow_nan=False) + "\n"
        with (self.folder / RESULTS_FILE).open("a", encoding="utf-8") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        self._done[unit] = found

    def _check_settings(self) -> None:
        file = self.folder / SETTINGS_FILE
        plain = json.loads(json.dumps(self._settings))
        if not file.exists():
            if not self._reading:
                write_atomically(file, (json.dumps(plain, indent=2) + "\n").encode())
            return
        try:
            there = json.loads(file.read_text(encoding="utf-8"))
        except ValueError:
            there = {}
        other = sorted(name for name in {*plain, *there} if plain.get(name) != there.get(name))
        if other:
            raise ResultsError(
                f"{self.folder} holds the results of other settings ({', '.join(other)}). Choose another --out, or "
                "empty it."
            )

    def _read(self) -> None:
        """What is there. A last line that was cut off is taken away, so that the next one starts anew."""
        file = self.folder / RESULTS_FILE
        if not file.exists():
            return
        data = file.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        for number, line in enumerate(whole.decode("utf-8").splitlines(), start=1):
            try:
                value = json.loads(line)
                found = value.pop("found")
                self._done[Unit(**value)] = found
            except (ValueError, TypeError, KeyError) as error:
                raise ResultsError(
                    f"Line {number} of {file} is damaged ({error}). Remove it, or choose another --out."
                ) from error
        if len(whole) < len(data) and not self._reading:
            write_atomically(file, whole)
