"""Ruff, as `ruff server`.

It reads the workspace's own ruff settings and runs none of its code, so it needs no trust.
"""

from dataclasses import replace
from pathlib import Path

from agent.findings import Finding
from server.linters import programs
from server.linters.language_server import LanguageServerLinter
from server.linters.session import Program

_MISSING = (
    "ruff was not found; `pip install ruff` beside Inkling brings it, `inkling.linters.ruff: false` does without."
)
# a suppression comment is not a repair, so ruff need not offer any
_SETTINGS = {"codeAction": {"disableRuleComment": {"enable": False}}, "logLevel": "warn"}


class Ruff(LanguageServerLinter):
    """Python findings with ruff's own fixes."""

    def __init__(self, root: Path | None, *, trusted: bool, timeout_seconds: float) -> None:
        def where() -> Program | None:
            executable = programs.find("ruff", root, trusted=trusted)
            if executable is None:
                return None
            return Program("ruff", executable, ("server",), root, initialization={"settings": _SETTINGS})

        super().__init__("ruff", frozenset({"python"}), where, _MISSING, timeout_seconds=timeout_seconds)

    def cleaned(self, finding: Finding) -> Finding:
        """Without the help that ruff appends to the message: it is the fix's title too."""
        fixes = tuple(replace(fix, title=fix.title.removeprefix(f"Ruff ({finding.code}): ")) for fix in finding.fixes)
        return replace(finding, message=finding.message.split("\n\nhelp:", 1)[0], fixes=fixes)
