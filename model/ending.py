"""Where a completion ends: at the end of the line, or of the block that the cursor's line opened.

Pure text rules, by indentation, so that they hold in every language. A block runs while its lines are indented
deeper than the line that opened it, for at most `MAX_LINES` lines; a closing bracket at the opener's depth belongs.
"""

from typing import Literal

from model.completion import CompletionRequest

MAX_LINES = 12
_OPENERS = (":", "{", "(", "[", "=>")
_CLOSERS = ("}", ")", "]")


class Ending:
    """The rule for one request."""

    def __init__(self, request: CompletionRequest) -> None:
        current = request.prefix.rsplit("\n", 1)[-1]
        self._current = current
        rest_of_line = request.suffix.split("\n", 1)[0].strip()
        opener = self._opener(request.prefix, current)
        wanted = opener is not None and not rest_of_line if request.block is None else request.block
        self.kind: Literal["line", "block"] = "block" if wanted else "line"
        self._depth = _depth(opener if opener is not None else current)

    def of(self, written: str, *, final: bool) -> str | None:
        """The finished text once `written` holds its end, else None. `final`: nothing more will come."""
        if self.kind == "line":
            return self._line(written, final)
        return self._block(written, final)

    def cut_short(self, written: str) -> str:
        """What is worth keeping when there were not enough tokens: of a block its whole lines, of a line all."""
        whole, newline, _ = written.rpartition("\n")
        return whole.rstrip() if self.kind == "block" and newline and whole.strip() else written

    @staticmethod
    def _opener(prefix: str, current: str) -> str | None:
        """The line that opens a block at the cursor: the cursor's own, or the one above a blank one."""
        if current.strip():
            return current if current.rstrip().endswith(_OPENERS) else None
        above = [line for line in prefix.split("\n")[:-1] if line.strip()]
        if above and above[-1].rstrip().endswith(_OPENERS) and _depth(current) > _depth(above[-1]):
            return above[-1]
        return None

    def _line(self, written: str, final: bool) -> str | None:
        head, end, _ = written.partition("\n")
        return head if end or final else None

    def _block(self, written: str, final: bool) -> str | None:
        lines = (self._current + written).split("\n")
        for number, line in enumerate(lines[1:], start=1):
            complete = final or number < len(lines) - 1
            if line.strip() and _depth(line) <= self._depth:
                closes = line.strip().startswith(_CLOSERS) and _depth(line) == self._depth
                if closes and not complete:
                    return None  # the bracket belongs, and so does what follows it on its line
                return self._without_current(lines[: number + 1] if closes else lines[:number])
            if complete and number >= MAX_LINES:
                return self._without_current(lines[: number + 1])
        return self._without_current(lines) if final else None

    def _without_current(self, lines: list[str]) -> str:
        return "\n".join(lines)[len(self._current) :].rstrip()


def _depth(line: str) -> int:
    """How far a line is indented; a tab counts as four."""
    blank = line[: len(line) - len(line.lstrip())]
    return len(blank.expandtabs(4))
