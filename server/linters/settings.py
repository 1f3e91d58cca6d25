"""What the user can set about linters. Values only; `command.py` checks the commands."""

from dataclasses import dataclass

from server.linters.command import CommandLinter


@dataclass(frozen=True)
class LinterSettings:
    """`trusted` says that the user trusts the workspace: only then is a program run that the workspace could steer.

    `interpreter` is the Python whose packages pyright resolves; empty: `.venv` in the workspace, else pyright's guess.
    """

    ruff: bool = True
    pyright: bool = True
    commands: tuple[CommandLinter, ...] = ()
    timeout_seconds: float = 10.0
    trusted: bool = False
    interpreter: str = ""
