"""What becomes of edits that the agent made: undone, changed, or left as they are.

Pure but for its memory, which is bounded: the newest edit of each document is followed for ten minutes. It compares
whole texts around the edit, whatever their line ends, since an editor may write its own; and it tells once.
"""

from dataclasses import dataclass
from typing import Literal

from feedback.inference import lines_of
from feedback.regions import Edit
from feedback.survival import kept_share, unreverted_share

_FOLLOWED_SECONDS = 600.0
_MOST = 50
_AROUND = 200  # characters on each side of the edit that are compared
_CHANGED_BELOW = 0.999


@dataclass(frozen=True)
class Fate:
    """What became of the edit `reference`; `kept` is the share of it that is still there, from 0 to 1."""

    kind: Literal["agent_undone", "agent_changed"]
    reference: str
    workspace: str
    path: str
    kept: float


@dataclass(frozen=True)
class _Followed:
    reference: str
    workspace: str
    path: str
    at: float
    before: str
    after: str


class AgentEdits:
    """The agent's newest edit of each document."""

    def __init__(self) -> None:
        self._followed: dict[str, _Followed] = {}

    def made(self, document: str, edit: tuple[str, str], reference: str, place: tuple[str, str], at: float) -> None:
        """The agent turned the document's text into another (before, after); `place` is workspace and path."""
        self._followed.pop(document, None)
        if len(self._followed) >= _MOST:
            del self._followed[next(iter(self._followed))]
        before, after = (lines_of(text) for text in edit)
        self._followed[document] = _Followed(reference, *place, at, before, after)

    def changed(self, document: str, content: str) -> Fate | None:
        """The document has this text now."""
        followed = self._followed.get(document)
        if followed is None or lines_of(content) != followed.before:
            return None
        del self._followed[document]
        return Fate("agent_undone", followed.reference, followed.workspace, followed.path, 0.0)

    def tick(self, at: float, texts: dict[str, str]) -> list[Fate]:
        """Look at edits whose time is over; `texts` are those of the open documents that are followed."""
        due = {name: one for name, one in self._followed.items() if at - one.at >= _FOLLOWED_SECONDS}
        fates = []
        for name, one in due.items():
            del self._followed[name]
            if name in texts and (fate := _fate(one, lines_of(texts[name]))) is not None:
                fates.append(fate)
        return fates

    def due(self, at: float) -> bool:
        """True if `tick` has something to look at."""
        return any(at - one.at >= _FOLLOWED_SECONDS for one in self._followed.values())


def _fate(one: _Followed, now: str) -> Fate | None:
    """None where the edit stands as it was made."""
    whole = Edit.between(one.before, one.after)
    since = Edit.between(one.after, now)
    end = whole.start + len(whole.text)
    if since.end < whole.start or since.start > end or (not since.text and since.start == since.end):
        return None
    start, shift = max(whole.start - _AROUND, 0), len(now) - len(one.after)
    before = one.before[start : whole.end + _AROUND]
    after, there = one.after[start : end + _AROUND], now[start : end + shift + _AROUND]
    kept = min(kept_share(whole.text, there), unreverted_share(before, after, there))
    return Fate("agent_changed", one.reference, one.workspace, one.path, kept) if kept < _CHANGED_BELOW else None
