"""Infers what a user did with each suggestion, from nothing but the edits of the documents.

Not here: clocks, files, the editor's protocol. Every call carries its time (Unix seconds) and the same calls always
give the same events, so that a recorded trace can be replayed (`feedback.traces`). Always: each suggestion that was
offered ends in exactly one outcome, at the latest when its document is closed; it is settled at most once; and each
survival age is looked at most once. Time never runs backwards here, whatever the caller's clock does.

How it is told, while the suggestion is open: the text that appeared at the cursor since the offer is compared with
the suggestion (`feedback.inference`). Key by key to its end is typed_through; an edit that brings more than a key can
is an acceptance, whole (accepted) or of a leading part (partial); anything else at that place is a rejection; edits
elsewhere, or none for long, mean ignored; a newer suggestion in the document supersedes it; software that changes its
place (`feedback.authors`) and a document that is closed or cannot be followed invalidate it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from feedback.authors import Author, Change, author_of, changes_of
from feedback.inference import Limits
from feedback.regions import Edit
from feedback.watches import Event, Watch

__all__ = ["Event", "Limits", "Tracker"]

_MOST_PASSED = 12  # suggestions of one document that came to nothing and are still followed


@dataclass
class _Document:
    content: str
    last: tuple[int, list[Edit]] | None = None  # version and edits of the last notification
    watches: dict[str, Watch] = field(default_factory=dict)
    written: int = 0  # where the person last wrote


class Tracker:
    """Follows the suggestions of all documents. Not thread-safe: call it where the edits arrive."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._documents: dict[str, _Document] = {}
        self._places: dict[str, str] = {}  # suggestion -> document, while it is watched
        self._now = float("-inf")

    def offered(self, suggestion: str, document: str, offset: int, text: str, at: float, content: str) -> list[Event]:
        """A suggestion is shown at `offset` of the document, whose whole text is `content`.

        Raises ValueError if the suggestion was offered before, is empty, or the offset lies outside of the text.
        """
        if suggestion in self._places:
            raise ValueError(f"suggestion {suggestion} was offered before")
        if not text or not 0 <= offset <= len(content):
            raise ValueError(f"cannot offer {len(text)} characters at {offset} of {len(content)}")
        at = self._time(at)
        events: list[Event] = []
        held = self._documents.get(document)
        if held is not None and held.content != content:  # an edit was missed: the anchors mean nothing any more
            events += self._lose(document, at)
            held = None
        if held is None:
            held = self._documents[document] = _Document(content)
        for watch in held.watches.values():
            events += watch.superseded(offset, text, at, content)
        self._let_go(held)
        held.watches[suggestion] = Watch(suggestion, offset, text, at, content, self._limits)
        held.written = offset
        self._places[suggestion] = document
        return events

    def changed(
        self,
        document: str,
        edits: Sequence[Edit],
        at: float,
        version: int | None = None,
        author: Author | None = None,
    ) -> list[Event]:
        """One notification: its edits in order, each in the text that the last one left.

        Where a `version` tells of a notification that came twice or too late, and where there are more changes than
        can be followed, what is open is given up, never guessed. `author` is given where it is known.
        """
        held = self._documents.get(document)
        if held is None:
            return []
        at = self._time(at)
        changes = None if _stale(held, version, edits) else changes_of(held.content, edits)
        if changes is None:
            return self._lose(document, at)
        if not changes:
            return []
        if author is None:
            author = author_of(changes, self._near(held, changes))
        if author not in ("human", "multi_cursor"):
            changes = _in_pieces(changes)
            if changes is None:
                return self._lose(document, at)
        else:
            held.written = changes[-1].edit.start + len(changes[-1].edit.text)
        held.content = changes[-1].content
        events: list[Event] = []
        for watch in held.watches.values():
            events += watch.changed(changes, author, at)
        return events

    def accepted(self, suggestion: str, length: int | None, at: float) -> list[Event]:
        """The client says that the user took the suggestion over, or its first `length` characters."""
        found = self._watch(suggestion)
        return [] if found is None else found[0].accepted(length, self._time(at), found[1].content)

    def dismissed(self, suggestion: str, at: float) -> list[Event]:
        """The client says that the user sent the suggestion away."""
        found = self._watch(suggestion)
        return [] if found is None else found[0].dismissed(self._time(at), found[1].content)

    def closed(self, document: str, at: float) -> list[Event]:
        """The document is gone: what is open is decided, and what its text was is settled."""
        held = self._documents.pop(document, None)
        if held is None:
            return []
        at = self._time(at)
        events: list[Event] = []
        for watch in held.watches.values():
            del self._places[watch.suggestion]
            events += watch.closed(at, held.content)
        return events

    def tick(self, at: float) -> list[Event]:
        """Time passes: timeouts, settled texts and survival. Once a second is often enough."""
        at = self._time(at)
        events: list[Event] = []
        for document, held in list(self._documents.items()):
            for watch in list(held.watches.values()):
                events += watch.tick(at, held.content)
                if watch.finished:
                    del held.watches[watch.suggestion]
                    del self._places[watch.suggestion]
            if not held.watches:
                del self._documents[document]
        return events

    def follows(self, document: str) -> bool:
        """True if edits of the document still matter."""
        return document in self._documents

    def document_of(self, suggestion: str) -> str:
        """The document that a suggestion was offered in; "" once it is not followed any more."""
        return self._places.get(suggestion, "")

    @property
    def watching(self) -> int:
        """The number of suggestions that may still bring events."""
        return len(self._places)

    def _time(self, at: float) -> float:
        self._now = max(self._now, at)
        return self._now

    def _watch(self, suggestion: str) -> tuple[Watch, _Document] | None:
        document = self._places.get(suggestion)
        if document is None:
            return None
        held = self._documents[document]
        return held.watches[suggestion], held

    def _let_go(self, held: _Document) -> None:
        """Whoever types on gets a suggestion at every key: the oldest of those that came to nothing stay unsettled,
        as the newest ones see the same place, and every one that is followed costs each keystroke a little."""
        passed = [watch for watch in held.watches.values() if watch.passed]
        for watch in passed[: max(len(passed) - _MOST_PASSED, 0)]:
            del held.watches[watch.suggestion]
            del self._places[watch.suggestion]

    @staticmethod
    def _near(held: _Document, changes: Sequence[Change]) -> bool:
        """True if a change is where a suggestion stands or the person last wrote."""
        return any(
            change.edit.start <= held.written <= change.edit.end
            or any(watch.touches(change.edit) for watch in held.watches.values())
            for change in changes
        )

    def _lose(self, document: str, at: float) -> list[Event]:
        """Decide what is open and forget the document, without looking at a text that is not the user's."""
        events: list[Event] = []
        for watch in self._documents.pop(document).watches.values():
            del self._places[watch.suggestion]
            events += watch.lost(at, "missed_edit")
        return events


def _stale(held: _Document, version: int | None, edits: Sequence[Edit]) -> bool:
    """True if this notification came twice or too late. A client that never counts up is not held against it."""
    last = held.last
    if version is not None:
        held.last = version, list(edits)
    return last is not None and version is not None and (version < last[0] or held.last == last)


def _in_pieces(changes: Sequence[Change]) -> list[Change] | None:
    """The same changes, each as small as it can be: software likes to replace more than it changes. None if these
    are too many."""
    return changes_of(changes[0].before, [piece for change in changes for piece in change.edit.pieces(change.before)])
