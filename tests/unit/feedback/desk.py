"""A document, a clock and a user in front of a tracker, for the tests of outcomes and of what comes after."""

from feedback.authors import Author
from feedback.outcomes import Event, Limits, Tracker
from feedback.records import Outcome, Settled
from feedback.regions import Edit


class Desk:
    """A document, a clock and a user in front of a tracker."""

    def __init__(self, content: str, limits: Limits | None = None) -> None:
        self.tracker = Tracker(limits)
        self.content = content
        self.now = 1000.0
        self.events: list[Event] = []

    def offer(self, text: str, offset: int | None = None, name: str = "s") -> None:
        at = len(self.content) if offset is None else offset
        self.events += self.tracker.offered(name, "a.py", at, text, self.now, self.content)

    def replace(self, start: int, end: int, text: str, author: Author | None = None) -> None:
        edit = Edit(start, end, text)
        self.content = edit.apply(self.content)
        self.now += 0.1
        self.events += self.tracker.changed("a.py", [edit], self.now, author=author)

    def insert(self, offset: int, text: str) -> None:
        self.replace(offset, offset, text)

    def type(self, offset: int, text: str) -> None:
        for place, character in enumerate(text):
            self.insert(offset + place, character)

    def wait(self, seconds: float) -> None:
        for _ in range(int(seconds)):
            self.now += 1
            self.events += self.tracker.tick(self.now)

    def close(self) -> None:
        self.events += self.tracker.closed("a.py", self.now)

    def outcomes(self, name: str = "s") -> list[Outcome]:
        return [event for event in self.events if isinstance(event, Outcome) and event.suggestion == name]

    def outcome(self, name: str = "s") -> tuple[str, int, str]:
        (event,) = self.outcomes(name)
        return event.kind, event.length, event.rule

    def settled(self, name: str = "s") -> str:
        (text,) = [event.text for event in self.events if isinstance(event, Settled) and event.suggestion == name]
        return text
