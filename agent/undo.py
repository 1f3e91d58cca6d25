"""Takes back what the agent changed in a text, and nothing that somebody changed since.

Pure. Works by whole lines: a place of the agent's edit that the user has touched, or that lies right beside what the
user changed, stays as it is and is counted. An editor that gives what is inserted its own line ends changed nothing.
"""

from dataclasses import dataclass

from agent.shadow import changes, lines_with_ends
from feedback.inference import lines_of

_Span = tuple[int, int]


@dataclass(frozen=True)
class Undone:
    """`text` without the agent's edit; `back` places were taken back, `kept` ones were changed since."""

    text: str
    back: int
    kept: int


def undo(before: str, after: str, now: str) -> Undone:
    """The agent turned `before` into `after`; others have made it `now`."""
    old, made, current = (lines_with_ends(text) for text in (_ended_as(now, before), _ended_as(now, after), now))
    agents, users = list(changes(old, made)), list(changes(made, current))
    back = kept = 0
    for start, end, first, last in reversed(agents):
        if any(_touch((first, last), (i1, i2)) for i1, i2, _, _ in users):
            kept += 1
            continue
        shift = sum((j2 - j1) - (i2 - i1) for i1, i2, j1, j2 in users if i2 <= first)
        current[first + shift : last + shift] = old[start:end]
        back += 1
    return Undone("".join(current), back, kept)


def _ended_as(model: str, text: str) -> str:
    """The text with the line ends of another one, as it is where those are of several kinds."""
    both, feeds = model.count("\r\n"), model.count("\n")
    if feeds == 0 or both not in (0, feeds):
        return text
    return lines_of(text) if both == 0 else lines_of(text).replace("\n", "\r\n")


def _touch(one: _Span, other: _Span) -> bool:
    """Whether two ranges of lines overlap or meet."""
    return one[0] <= other[1] and other[0] <= one[1]
