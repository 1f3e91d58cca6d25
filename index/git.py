"""How git is asked about a folder that somebody else may have configured.

Always: nothing that the folder configures is run (no hooks, monitors, pagers, signature programs or fetches), nothing
in it is changed, and neither variables nor a program of that name in the folder decide what is asked.
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


def ask(root: Path, *arguments: str) -> bytes | None:
    """What git answers in this folder; None where it is no repository, git is missing, fails or takes too long."""
    git = shutil.which("git")
    if git is None or Path(os.path.realpath(git)).is_relative_to(os.path.realpath(root)):
        return None
    settings = (part for setting in _SETTINGS for part in ("-c", setting))
    try:
        done = subprocess.run(
            [git, "--literal-pathspecs", "--no-pager", *settings, *arguments],
            cwd=root,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired, ValueError):
        return None
    return done.stdout if done.returncode == 0 else None


def _environment() -> dict[str, str]:
    """Our environment without GIT_* variables that point git elsewhere or inject configuration."""
    kept = {name: value for name, value in environment().items() if not name.startswith("GIT_") or name in _KEPT}
    return {**kept, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "GIT_NO_LAZY_FETCH": "1"}
