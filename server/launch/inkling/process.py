"""How a child process of ours is started: the same interpreter, blind to PYTHONPATH and the current folder."""

import os
import sys
from collections.abc import Mapping

# Variables that make a Python, Node or git child run code or read settings that a workspace may have planted.
_DROPPED = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "NODE_OPTIONS", "GIT_DIR", "GIT_WORK_TREE")


def command(*arguments: str) -> list[str]:
    """The argument vector that starts `inkling ARGUMENTS` isolated from the environment.

    `-E` ignores PYTHON* variables (so UTF-8 is asked for by `-X utf8`), `-P` keeps the current folder off `sys.path`.
    """
    return [sys.executable, "-E", "-P", "-X", "utf8", "-m", "inkling", *arguments]


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Build the environment of a child process: ours, without what could inject code, plus `extra`."""
    kept = {name: value for name, value in os.environ.items() if name not in _DROPPED}
    return {**kept, "PYTHONUTF8": "1", **(extra or {})}


# Weights are on disk already: no library may look for them elsewhere, or tell anybody that it was used.
OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "TOKENIZERS_PARALLELISM": "false"}
