"""Pyright, as `basedpyright-langserver` or `pyright-langserver`, whichever is installed.

Only for a trusted workspace: it runs the workspace's Python to learn where packages lie, and the PyPI wrapper of
pyright may download node. The workspace's own pyright settings win over ours.
"""

from pathlib import Path
from typing import Any

from server.linters import programs
from server.linters.language_server import LanguageServerLinter
from server.linters.session import Program
from server.linters.wire import Message

_NAMES = ("basedpyright-langserver", "pyright-langserver")
_MISSING = "pyright is not installed; `pip install basedpyright` beside Inkling brings it."
_HINT = 4


def _interpreter(root: Path | None, chosen: str) -> str | None:
    if chosen or root is None:
        return chosen or None
    own = (root / ".venv" / "bin" / "python", root / ".venv" / "Scripts" / "python.exe")
    return next((str(python) for python in own if python.exists()), None)


class Pyright(LanguageServerLinter):
    """Type findings. Hints are left out: they grey out names in an editor and say nothing is wrong."""

    def __init__(self, root: Path | None, *, interpreter: str, timeout_seconds: float) -> None:
        def where() -> Program | None:
            found = (programs.find(name, root, trusted=True) for name in _NAMES)
            executable = next((program for program in found if program is not None), None)
            if executable is None:
                return None
            analysis = {"diagnosticMode": "openFilesOnly", "typeCheckingMode": "standard"}
            python: dict[str, Any] = {"analysis": analysis}
            if (chosen := _interpreter(root, interpreter)) is not None:
                python["pythonPath"] = chosen
            configuration = {"python": python, "basedpyright": {"analysis": analysis}}
            return Program("pyright", executable, ("--stdio",), root, configuration=configuration)

        super().__init__("pyright", frozenset({"python"}), where, _MISSING, timeout_seconds=timeout_seconds)

    def keep(self, raw: Message) -> bool:
        """Everything but hints."""
        return raw.get("severity") != _HINT
