"""A PostgreSQL server for one test run: in a folder of its own, on a socket of its own, gone afterwards."""

import os
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import pytest

BOTH_STORES = pytest.mark.parametrize("place", ["sqlite", "postgresql"], indirect=True)
_FOLDERS = ("/usr/lib/postgresql", "/opt/homebrew/opt/postgresql", "/usr/local/opt/postgresql")


@dataclass(frozen=True)
class PostgresServer:
    folder: Path
    programs: Path
    user: str | None
    numbers: "count[int]"

    @classmethod
    def start(cls) -> "PostgresServer | None":
        """None where the programs, or a user that may run them, are missing."""
        programs = _programs()
        user = None if os.name != "posix" or os.getuid() else _unprivileged()
        if programs is None or find_spec("psycopg") is None or (os.name == "posix" and not os.getuid() and not user):
            return None
        folder = Path(tempfile.mkdtemp(prefix="inkling-postgres-"))
        if user:
            shutil.chown(folder, user)
        server = cls(folder, programs, user, count())
        server._run("initdb", "-D", str(folder / "data"), "-A", "trust", "-U", "inkling", "-E", "UTF8", "--no-sync")
        options = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off"
        server._run("pg_ctl", "-D", str(folder / "data"), "-w", "-o", options, "-l", str(folder / "log"), "start")
        return server

    def new_database(self) -> str:
        """The URL of an empty database."""
        name = f"feedback{next(self.numbers)}"
        self._run("createdb", "-h", str(self.folder), "-U", "inkling", name)
        return f"postgresql+psycopg://inkling@/{name}?host={self.folder}"

    def stop(self) -> None:
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-m", "immediate", "stop")
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [str(self.programs / program), *arguments],
            user=self.user,
            cwd=self.folder,
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=120,
        )


def _programs() -> Path | None:
    """The folder with `initdb` in it; distributions keep it off the path."""
    found = [path for folder in _FOLDERS for path in sorted(Path(folder).glob("**/bin/initdb"))]
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


def _unprivileged() -> str | None:
    """PostgreSQL refuses to run as root: its own user, or nobody."""
    for name in ("postgres", "nobody"):
        try:
            pwd.getpwnam(name)
        except KeyError:
            continue
        return name
    return None
