"""What every linter of ours is: something that reads one text and answers with findings, or fails with a reason."""

from dataclasses import dataclass
from typing import Literal, Protocol

from agent.findings import Finding
from inkling.errors import InklingError

# missing: no such program; slow: no answer in time; crashed: it ended; broken: it answered what nobody can read
Failure = Literal["missing", "slow", "crashed", "broken"]


class LinterError(InklingError):
    """A linter did not answer. The message is for people and names what mends it where there is something."""

    def __init__(self, failure: Failure, message: str) -> None:
        super().__init__(message)
        self.failure = failure


@dataclass(frozen=True)
class LintedText:
    """The unsaved text of one document. `path` is what the caller called it, `uri` what language servers call it."""

    path: str
    uri: str
    language: str
    text: str


class Linter(Protocol):
    """One linter. `lint` raises LinterError and nothing else; a cancelled `lint` leaves nothing running."""

    @property
    def name(self) -> str: ...

    @property
    def state(self) -> str:
        """A few words for a person: is it running, idle, given up, and why."""

    def applies(self, language: str) -> bool: ...

    async def lint(self, text: LintedText) -> list[Finding]: ...

    async def forget(self, uri: str) -> None:
        """The document was closed."""

    async def close(self) -> None: ...
