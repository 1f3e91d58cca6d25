"""Where a linter's program lies, and how it is started and ended.

A program is looked for beside our own interpreter first, then on PATH; entries of PATH that are relative or lie in the
workspace count only when the workspace is trusted, so that opening a folder runs nothing of it. A started program has
its own process group, and on Linux it dies with us even if we are killed.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from inkling.process import environment

# Asks the kernel to kill this process when its parent dies, then becomes the program. `preexec_fn` could do the same
# only by running Python between fork and exec, which may deadlock in a process with threads.
_DIE_WITH_PARENT = (
    "import ctypes,os,sys;ctypes.CDLL(None).prctl(1,9,0,0,0);"
    "os.getppid()==int(sys.argv[1]) or os._exit(1);os.execve(sys.argv[2],sys.argv[2:],os.environ)"
)
_KEPT_STDERR = 2_000
_NEW_GROUP = 0x200  # CREATE_NEW_PROCESS_GROUP


def find(name: str, root: Path | None, *, trusted: bool) -> Path | None:
    """The program, or None. `name` may be an absolute path; one in the workspace is found only when trusted."""
    given = Path(name)
    if given.is_absolute():
        return _executable(given, root, trusted)
    beside = Path(sys.executable).parent
    found = shutil.which(str(beside / name))
    if found is not None and given.name == name:
        return Path(found)
    if given.name != name:  # a relative path speaks of the workspace
        return _executable(root / given, root, trusted) if root is not None else None
    for entry in os.environ.get("PATH", "").split(os.pathsep):
        if not entry or not Path(entry).is_absolute():
            continue
        program = _executable(Path(entry) / name, root, trusted)
        if program is not None:
            return program
    return None


def _executable(program: Path, root: Path | None, trusted: bool) -> Path | None:
    found = shutil.which(str(program))
    if found is None:
        return None
    places = (Path(found), Path(found).resolve())
    inside = root is not None and any(place.is_relative_to(base) for place in places for base in (root, root.resolve()))
    return None if inside and not trusted else Path(found)


async def start(
    program: Path, arguments: Sequence[str], root: Path | None, extra: Mapping[str, str] | None = None
) -> asyncio.subprocess.Process:
    """Start a program in the workspace with pipes for stdin, stdout and stderr. Raises OSError."""
    argv = [str(program), *arguments]
    if sys.platform == "linux":
        argv = [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid()), *argv]
    folder = root if root is not None and os.path.isdir(root) else Path.home()  # noqa: ASYNC240, PTH112
    return await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=folder,
        env=environment(extra),
        process_group=None if os.name == "nt" else 0,
        creationflags=_NEW_GROUP if os.name == "nt" else 0,
    )


def kill(process: asyncio.subprocess.Process) -> None:
    """Kill the program and what it started, at once. Harmless when it has ended."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if os.name == "nt":
            process.kill()
        else:  # the group outlives its leader: a wrapper may have ended while its node still runs
            os.killpg(process.pid, signal.SIGKILL)


async def drained(stream: asyncio.StreamReader) -> str:
    """Read a stream to its end so that the writer never blocks; answers with its last words."""
    last = b""
    while chunk := await stream.read(65_536):
        last = (last + chunk)[-_KEPT_STDERR:]
    return last.decode("utf-8", "replace").strip()
