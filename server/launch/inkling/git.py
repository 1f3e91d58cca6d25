"""How git is asked about a folder that somebody else may have configured. The one place that starts it.

Always: nothing that the folder configures is run (no hooks, monitors, pagers, signature programs or fetches), nothing
in it is changed, and neither variables nor a program of that name in the folder decide what is asked. Patches are asked
for with `--no-ext-diff` and `--no-textconv` by whoever asks for them.
"""

import os
import shutil
import subprocess
from pathlib import Path

from inkling.process import environment

SECONDS = 60.0
_SETTINGS = (
    "core.fsmonitor=false",
    f"core.hooksPath={os.devnull}",
    "core.quotePath=false",
    "core.untrackedCache=false",
    "log.showSignature=false",
    "protocol.allow=never",
)
_KEPT = frozenset({"GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM"})
_QUIET = {
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
}


class NoAnswerError(Exception):
    """git is missing, took too long or failed; the message is git's own first line where it gave one."""


def ask(root: Path, *arguments: str, seconds: float = SECONDS) -> bytes | None:
    """What git answers in this folder; None where it is no repository, git is missing, fails or takes too long."""
    try:
        return answer(root, *arguments, seconds=seconds)
    except NoAnswerError:
        return None


def answer(root: Path, *arguments: str, asked: bytes = b"", seconds: float = SECONDS) -> bytes:
    """The same, or NoAnswerError with the reason. `asked` is what git reads."""
    try:
        done = subprocess.run(
            command(root, *arguments), cwd=root, env=settings(), input=asked, capture_output=True, timeout=seconds,
            check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired, ValueError) as error:
        raise NoAnswerError(f"git could not be asked ({error})") from error
    if done.returncode != 0:
        raise NoAnswerError(done.stderr.decode("utf-8", "replace").strip().split("\n")[0] or "git failed")
    return done.stdout


def command(root: Path, *arguments: str) -> list[str]:
    """The argument vector, to be run in `root` with `settings()`. Raises NoAnswerError where there is no git."""
    git = shutil.which("git")
    if git is None or Path(os.path.realpath(git)).is_relative_to(os.path.realpath(root)):
        raise NoAnswerError("there is no program git on PATH")
    quiet = (part for setting in _SETTINGS for part in ("-c", setting))
    return [git, "--literal-pathspecs", "--no-pager", *quiet, *arguments]


def settings() -> dict[str, str]:
    """Our environment without GIT_* variables that point git elsewhere or inject configuration."""
    kept = {name: value for name, value in environment().items() if not name.startswith("GIT_") or name in _KEPT}
    return {**kept, **_QUIET}
