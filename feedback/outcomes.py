"""Infers what a user did with each suggestion, from nothing but the edits of the documents.

Not here: clocks, files, the editor's protocol. Every call carries its time (Unix seconds) and the same calls always
give the same events, so that a recorded trace can be replayed. Always: each suggestion that was offered ends in
exactly one outcome, at the latest when its document is closed; it is settled at most once; and each survival age
is looked at most once.

How it is told, while the suggestion is open (`feedback.watches` holds the state of one suggestion):
the text that appeared at the cursor since the offer is compared with the suggestion. Key by key to its end is
typed_through; an edit that brings more than a key can is an acceptance, whole (accepted) or of a leading part
(partial); anything else at that place is a rejection; edits elsewhere, or none for long, mean ignored; a newer
suggestion in the document supersedes it. Completed suggestions wait `regret` seconds before they count, for what is
accepted and deleted at once was rejected.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from feedback.records import Outcome, Settled, Survival
from feedback.regions import Edit
from feedback.watches import Limits, Watch

Event = Outcome | Settled | Survival


@dataclass
class _Document:
    content: str
    watches: dict[str, Watch] = field(default_factory=dict)


class Tracker:
    """Follows the suggestions of all documents. Not thread-safe: call it where the edits arrive."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._documents: dict[str, _Document] = {}
        self._places: dict[str, str] = {}  # suggestion -> document, while it is watched

    def offered(self, suggestion: str, document: str, offset: int, text: str, at: float, content: str) -> list[Event]:
        """A suggestion is shown at `offset` of the document, whose whole text is `content`.

        Raises ValueError if the suggestion was offered before, is empty, or the offset lies outside of the text.
        """
        if suggestion in self._places:
            raise ValueError(f"suggestion {suggestion} was offered before")
        if not text or not 0 <= offset <= len(content):
            raise ValueError(f"cannot offer {len(text)} characters at {offset} of {len(content)}")
        events: list[Event] = []
        held = self._documents.get(document)
        if held is not None and held.content != content:  # an edit was missed: the anchors mean nothing any more
            events += self._lose(document, at)
            held = None
        if held is None:
            held = self._documents[document] = _Document(content)
        for watch in held.watches.values():
            events += watch.superseded(offset, text, at, content)
        held.watches[suggestion] = Watch(suggestion, offset, text, at, content, self._limits)
        self._places[suggestion] = document
        return events

    def changed(self, document: str, edit: Edit, at: float) -> list[Event]:
        """One edit was made. Several at once are given one by one, each in the text that the last one left."""
        held = self._documents.get(document)
        if held is None:
            return []
        if not edit.fits(held.content):
            return self._lose(document, at)
        before = held.content
        held.content = edit.apply(before)
        small = edit.trimmed(before)
        events: list[Event] = []
        for watch in held.watches.values():
            events += watch.changed(small, at, held.content)
        return events

    def accepted(self, suggestion: str, length: int | None, at: float) -> list[Event]:
        """The client says that the user took the suggestion over, or its first `length` characters."""
        watch = self._watch(suggestion)
        return [] if watch is None else watch.confirmed(length, at)

    def dismissed(self, suggestion: str, at: float) -> list[Event]:
        """The client says that the user sent the suggestion away."""
        watch = self._watch(suggestion)
        return [] if watch is None else watch.dismissed(at)

    def closed(self, document: str, at: float) -> list[Event]:
        """The document is gone: what is open is decided, and what its text was is settled."""
        held = self._documents.pop(document, None)
        if held is None:
            return []
        events: list[Event] = []
        for watch in held.watches.values():
            del self._places[watch.suggestion]
            events += watch.closed(at, held.content)
        return events

    def tick(self, at: float) -> list[Event]:
        """Time passes: timeouts, settled texts and survival. Once a second is often enough."""
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

    @property
    def watching(self) -> int:
        """The number of suggestions that may still bring events."""
        return len(self._places)

    def _watch(self, suggestion: str) -> Watch | None:
        document = self._places.get(suggestion)
        return None if document is None else self._documents[document].watches[suggestion]

    def _lose(self, document: str, at: float) -> list[Event]:
        """Decide what is open and forget the document, without looking at a text that is not the user's."""
        watches: Iterable[Watch] = self._documents.pop(document).watches.values()
        events: list[Event] = []
        for watch in watches:
            del self._places[watch.suggestion]
            events += watch.lost(at)
        return events
