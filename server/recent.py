"""What the user did with suggestions lately: never offer again what was just turned down, be quieter after a run of it.

Belongs to the event loop, remembers a bounded number and writes nothing: it works without consent, and forgets when
the session ends. A text counts as the same at the same place, whether or not its beginning was typed meanwhile.
"""

import re
from collections import deque

from feedback.records import OutcomeKind
from model.gate import Situation

_REMEMBERED = 200
_RUN_SECONDS = 300.0  # a run of rejections is forgotten after so long without another
_PER_OUTCOME = 0.1  # how much the newest outcome counts in the recent share
_BLANK = re.compile(r"\s+")


class Recent:
    """The outcomes of one session."""

    def __init__(self) -> None:
        self._rejected: deque[str] = deque(maxlen=_REMEMBERED)
        self._last = 0.0
        self._run = 0
        self._acceptance = 0.5
        self._at = float("-inf")

    def ended(self, kind: OutcomeKind, line: str, text: str, at: float) -> None:
        """A suggestion `text`, offered after `line`, came to its end."""
        if kind == "rejected":
            self._rejected.append(_place(line, text))
        if kind in ("superseded", "invalidated"):
            return
        taken = kind in ("accepted", "partial", "typed_through")
        self._last = 1.0 if taken else -1.0
        self._acceptance += _PER_OUTCOME * (float(taken) - self._acceptance)
        if taken:
            self._run = 0
        elif kind == "rejected":
            self._run = self._run + 1 if at - self._at < _RUN_SECONDS else 1
            self._at = at

    def was_rejected(self, line: str, text: str) -> bool:
        """True if this text was turned down here."""
        return _place(line, text) in self._rejected

    def situation(self, language: str, line: str, rest: str, at: float) -> Situation:
        """What the gate may know besides the completion."""
        run = self._run if at - self._at < _RUN_SECONDS else 0
        return Situation(language, line, rest, self._last, run, self._acceptance)


def _place(line: str, text: str) -> str:
    """Line and text together: `x = ` + `foo()` is where `x = f` + `oo()` is. White space makes no difference."""
    return _BLANK.sub(" ", (line.rpartition("\n")[2] + text).strip())
