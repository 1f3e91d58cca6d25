"""What linters and tests say about a section that a night wrote: ruff on the text, a command of the user's on a copy.

It runs ruff, which runs nothing of the workspace, and, only where the user named a command, that command in a copy of
the commit below a temporary folder. What always holds: the user's own files are never touched; what takes too long is
ended with all that it started and counts as failed; a commit whose own text fails says nothing.
"""

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time
from collections import OrderedDict
from pathlib import Path
from typing import IO, TYPE_CHECKING

from inkling import git
from inkling.errors import UserError
from inkling.process import environment
from server.linters import programs

if TYPE_CHECKING:
    from model.training.section_tasks import Section

_LINT_SECONDS = 10.0
_GIT_SECONDS, _GIT_LOOK_SECONDS = 30.0, 0.05
_LARGEST_COMMIT = 100_000_000  # bytes of an archive
_KEPT_COPIES = 2


class RuffLint:
    """How many findings the finished file has, by the workspace's own settings of ruff; 0 for other languages."""

    def __init__(self) -> None:
        self._program = programs.find("ruff", None, trusted=False)

    def __call__(self, section: "Section", text: str) -> int:
        if self._program is None or section.request.language != "python":
            return 0
        before, behind = section.finished
        root = Path(section.workspace)
        try:
            done = subprocess.run(
                [str(self._program), "check", "--no-cache", "--exit-zero", "--quiet", "--output-format", "json",
                 "--stdin-filename", section.request.path, "-"],
                input=(before + text + behind).encode(), capture_output=True, timeout=_LINT_SECONDS, check=False,
                cwd=root if root.is_dir() else Path.home(), env=environment(),
            )  # fmt: skip
            return len(json.loads(done.stdout))
        except (OSError, subprocess.TimeoutExpired, ValueError):
            return 0


class CommandTests:
    """Whether a command ends with 0 in a copy of the commit with this text in its place. Use as a context manager."""

    def __init__(self, command: str, seconds: float = 60.0) -> None:
        """Raises UserError for a command that cannot be read."""
        try:
            self._command = shlex.split(command)
        except ValueError as error:
            raise UserError(f"The command {command!r} cannot be read: {error} (--tests).") from error
        if not self._command or shutil.which(self._command[0]) is None:
            raise UserError(f"There is no program {command.split(' ')[0]!r} to run tests with (--tests).")
        self._seconds = seconds
        self._copies: OrderedDict[tuple[str, str], Path | None] = OrderedDict()
        self._folder = tempfile.TemporaryDirectory(prefix="inkling-tests-", ignore_cleanup_errors=True)

    def __enter__(self) -> "CommandTests":
        return self

    def __exit__(self, *error: object) -> None:
        self._folder.cleanup()

    def __call__(self, section: "Section", text: str) -> bool | None:
        """None where there is no commit to copy."""
        copy = self._copy(section.workspace, section.commit)
        file = copy / section.request.path if copy is not None else None
        if copy is None or file is None or not file.is_file() or file.is_symlink():
            return None
        real = file.read_bytes()
        before, behind = section.finished
        try:
            file.write_bytes((before + text + behind).encode())
            return self._passes(copy)
        finally:
            file.write_bytes(real)

    def _passes(self, folder: Path) -> bool:
        try:
            process = subprocess.Popen(
                self._command, cwd=folder, env=environment({"PYTHONDONTWRITEBYTECODE": "1"}),
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip
        except OSError:
            return False
        try:
            return process.wait(self._seconds) == 0
        except subprocess.TimeoutExpired:
            return False
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                if os.name == "nt":
                    process.kill()
                else:  # what it started goes too
                    os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _copy(self, workspace: str, commit: str) -> Path | None:
        """The commit's files in a folder of their own; the newest copies are kept."""
        key = (workspace, commit)
        if key not in self._copies:
            self._copies[key] = self._exported(workspace, commit) if commit else None
            while len(self._copies) > _KEPT_COPIES:
                _, old = self._copies.popitem(last=False)
                if old is not None:
                    shutil.rmtree(old, ignore_errors=True)
        self._copies.move_to_end(key)
        return self._copies[key]

    def _exported(self, workspace: str, commit: str) -> Path | None:
        try:
            with tempfile.TemporaryFile(dir=self._folder.name) as packed:
                packing = subprocess.Popen(
                    git.command(Path(workspace), "archive", "--format=tar", commit), cwd=workspace, env=git.settings(),
                    stdin=subprocess.DEVNULL, stdout=packed, stderr=subprocess.DEVNULL,
                )  # fmt: skip
                if not _packs(packing, packed):
                    return None
                packed.seek(0)
                target = Path(tempfile.mkdtemp(dir=self._folder.name))
                with tarfile.open(fileobj=packed) as archive:
                    archive.extractall(target, filter="data")
        except (OSError, tarfile.TarError, git.NoAnswerError):
            return None
        return target


def _packs(packing: "subprocess.Popen[bytes]", packed: IO[bytes]) -> bool:
    """Whether git ends well, within its seconds, before the archive is larger than what is unpacked."""
    end = time.monotonic() + _GIT_SECONDS
    try:
        while time.monotonic() < end and os.fstat(packed.fileno()).st_size <= _LARGEST_COMMIT:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return packing.wait(_GIT_LOOK_SECONDS) == 0 and os.fstat(packed.fileno()).st_size <= _LARGEST_COMMIT
        return False
    finally:
        packing.kill()
        packing.wait()
