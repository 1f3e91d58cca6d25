"""A user whose intention is known: makes traces in which it is known beforehand what every suggestion came to.

It knows editors, not our rules: each habit below is what an editor sends when a person (or a program beside the
person) does that thing. Anything that is random comes from one seed. What no edit can show (a name chosen from the
editor's own list that is exactly the next word of the ghost text, before a letter of it was typed) is in here too, as
rarely as it is likely, so that the measured share is honest.
"""

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from feedback.outcomes import Event, Limits, Tracker
from feedback.records import Outcome, OutcomeKind
from feedback.regions import Edit

_CODE = '''import os
from pathlib import Path


class Store:
    """Keeps things."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.items: dict[str, int] = {}

    def load(self, name: str) -> int:
        value = self.items.get(name, 0)
        return value


def main(argv: list[str]) -> int:
    store = Store(Path(argv[1]))
    for name in os.listdir(argv[1]):
        print(name, store.load(name))
    return 0
'''
_SUGGESTIONS = (
    "self.items[name] = value",
    "return sorted(self.items.values())",
    "if name not in self.items:\n            raise KeyError(name)\n        return self.items[name]",
    "store.load(argv[2])",
    "print(f'{name}: {value}')",
    'logger.info("loaded %s", name)',
    "for key, value in self.items.items():\n            print(key, value)",
    "Path(root) / name",
    "assert value >= 0",
    "items.append((name, value))",
    "with open(self.root / name) as file:\n            return int(file.read())",
)
_OTHER = ("del name", "raise ValueError(name)", "# later", "yield None", "zip(a, b)", "while True:")
_WORD = re.compile(r"\s*\w+|\s*[^\w\s]+|\s+")


@dataclass
class Trace:
    """The scenario, what it came to, and every event. `at_the_end` is when the user left."""

    habit: str
    truth: OutcomeKind
    length: int | None
    events: list[Event]

    @property
    def outcome(self) -> Outcome:
        (found,) = [event for event in self.events if isinstance(event, Outcome) and event.suggestion == "s"]
        return found

    @property
    def right(self) -> bool:
        return self.outcome.kind == self.truth and self.length in (None, self.outcome.length)


@dataclass
class Editor:
    """One open document with one suggestion in it. `reports`: this client tells what the user did with it."""

    chance: random.Random
    reports: bool
    eol: str
    tracker: Tracker = field(default_factory=lambda: Tracker(Limits()))
    now: float = 1_700_000_000.0
    version: int = 1
    content: str = ""
    cursor: int = 0
    text: str = ""
    events: list[Event] = field(default_factory=list)

    def open(self) -> None:
        lines = _CODE.split("\n")
        row = self.chance.randrange(3, len(lines) - 1)
        indent = " " * self.chance.choice((0, 4, 8))
        begun = self.chance.choice(("", "", "x = ", "value = ", "yield "))
        behind = self.chance.choice(("", "", "", ")", "  # why"))
        before = self.eol.join([*lines[:row], indent + begun])
        self.content = before + behind + self.eol + self.eol.join(lines[row:])
        self.cursor = len(before)
        self.text = self.chance.choice(_SUGGESTIONS).replace("\n", self.eol)
        self.tracker.tick(self.now)
        self.events += self.tracker.offered("s", "a.py", self.cursor, self.text, self.now, self.content)
        self.wait(self.chance.uniform(0.1, 1.2))

    def send(self, *edits: Edit, author: str | None = None) -> None:
        """One notification; the edits are in the text that the last one left."""
        for edit in edits:
            self.content = edit.apply(self.content)
        self.version += 1
        self.events += self.tracker.changed("a.py", edits, self.now, self.version, author)  # type: ignore[arg-type]

    def wait(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            self.now = min(until, self.now + 0.5)
            self.events += self.tracker.tick(self.now)

    def key(self, text: str) -> None:
        """A key at the cursor, or what the editor makes of it."""
        self.send(Edit(self.cursor, self.cursor, text))
        self.cursor += len(text)
        self.wait(self.chance.uniform(0.03, 0.3))

    def type(self, text: str) -> None:
        """Typing; a line break brings its indentation, and brackets are sometimes closed by the editor."""
        closes = self.chance.random() < 0.5
        at = 0
        while at < len(text):
            if text.startswith("\r\n", at) or text[at] == "\n":
                brought = re.match(r"\r?\n[ ]*", text[at:])
                assert brought is not None
                self.key(brought.group())
                at += len(brought.group())
            elif closes and text[at] in "([{" and at + 1 < len(text):
                pair = text[at] + ")]}"["([{".index(text[at])]
                self.send(Edit(self.cursor, self.cursor, pair))
                self.cursor += 1
                self.wait(self.chance.uniform(0.03, 0.3))
                at += 1
                at = self._inside(text, at, pair[1])
            else:
                self.key(text[at])
                at += 1

    def _inside(self, text: str, at: int, closer: str) -> int:
        """Type up to the closer and type over it, as editors do; whatever stands after it waits."""
        depth = 1
        while at < len(text):
            character = text[at]
            if character == closer and depth == 1:
                self.cursor += 1
                return at + 1
            depth += (character in "([{") - (character in ")]}")
            self.key(character)
            at += 1
        return at

    def insert(self, text: str, replaced: int = 0) -> None:
        self.send(Edit(self.cursor, self.cursor + replaced, text))
        self.cursor += len(text)

    def backspace(self, count: int) -> None:
        for _ in range(count):
            self.send(Edit(self.cursor - 1, self.cursor, ""))
            self.cursor -= 1
            self.wait(0.01)

    def report_accepted(self, length: int | None = None) -> None:
        if self.reports:
            self.events += self.tracker.accepted("s", length, self.now)

    def elsewhere(self) -> int:
        """A place two lines or more from the cursor."""
        start = self.content.find("\n", self.content.find("\n", self.cursor) + 1) + 1
        return start if start > 0 and self.chance.random() < 0.6 else 0

    def close(self) -> None:
        self.events += self.tracker.closed("a.py", self.now)


Habit = Callable[[Editor], tuple[OutcomeKind, int | None]]
HABITS: dict[str, tuple[float, Habit]] = {}


def habit(weight: float) -> Callable[[Habit], Habit]:
    def add(made: Habit) -> Habit:
        HABITS[made.__name__] = (weight, made)
        return made

    return add


def size(text: str) -> int:
    return len(text.replace("\r\n", "\n"))


def words(text: str) -> list[str]:
    return _WORD.findall(text)


def simulate(seed: int) -> Trace:
    """One trace: a habit by its weight, in a random place, in an editor that reports or does not."""
    chance = random.Random(seed)
    name = chance.choices(list(HABITS), [weight for weight, _ in HABITS.values()])[0]
    return perform(name, chance)


def perform(name: str, chance: random.Random) -> Trace:
    """One trace of this habit."""
    editor = Editor(chance, reports=chance.random() < 0.5, eol=chance.choice(("\n", "\n", "\n", "\r\n")))
    editor.open()
    truth, length = HABITS[name][1](editor)
    editor.wait(75)
    editor.close()
    return Trace(name, truth, length, editor.events)


def misjudged(traces: Sequence[Trace]) -> dict[str, int]:
    """How many of each habit were told wrongly."""
    found: dict[str, int] = {}
    for trace in traces:
        if not trace.right:
            told = f"{trace.habit}: {trace.truth} told as {trace.outcome.kind} ({trace.outcome.rule})"
            found[told] = found.get(told, 0) + 1
    return found
