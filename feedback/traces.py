"""Traces: the calls that a `Tracker` got, as JSON lines, and what comes out when they are made again.

The first line says the version and the limits, each other line is one call. `TraceWriter` writes them down beside a
tracker that is in use; `replay` makes them again. Always: the same trace gives the same lines, byte for byte, which is
how a fault that somebody met is looked at, and how a change of the rules is compared with what they said before.
A trace holds the user's text: it is written only where that was asked for, with consent.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from feedback.authors import Author
from feedback.outcomes import Event, Limits, Tracker
from feedback.regions import Edit
from inkling.errors import UserError

VERSION = 1
_LARGEST = 50_000_000  # bytes: a trace that was forgotten stops growing


class TraceError(UserError):
    """A trace cannot be read."""


class TraceWriter:
    """Appends calls to a file that only its owner may read. Stops silently at 50 MB."""

    def __init__(self, file: Path, limits: Limits) -> None:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self._file: IO[str] = os.fdopen(descriptor, "w", buffering=1, encoding="utf-8", errors="replace")
        self._write({"trace": VERSION, "limits": asdict(limits)})

    def call(self, name: str, **values: Any) -> None:
        """One call of the tracker's method `name`."""
        self._write({"call": name, **values})

    def close(self) -> None:
        self._file.close()

    def _write(self, value: dict[str, Any]) -> None:
        if not self._file.closed and self._file.tell() < _LARGEST:
            self._file.write(line(value) + "\n")


class TracedTracker(Tracker):
    """A tracker that writes down every call that can matter, about documents that `may` be written down."""

    def __init__(self, limits: Limits, writer: TraceWriter, may: Callable[[str], bool] = lambda document: True) -> None:
        super().__init__(limits)
        self._writer = writer
        self._may = may

    def offered(self, suggestion: str, document: str, offset: int, text: str, at: float, content: str) -> list[Event]:
        if self._may(document):
            self._writer.call(
                "offered", suggestion=suggestion, document=document, offset=offset, text=text, at=at, content=content
            )
        return super().offered(suggestion, document, offset, text, at, content)

    def changed(
        self, document: str, edits: Sequence[Edit], at: float, version: int | None = None, author: Author | None = None
    ) -> list[Event]:
        if self.follows(document) and self._may(document):
            spans = [[edit.start, edit.end, edit.text] for edit in edits]
            self._writer.call("changed", document=document, edits=spans, at=at, version=version, author=author)
        return super().changed(document, edits, at, version, author)

    def accepted(self, suggestion: str, length: int | None, at: float) -> list[Event]:
        if self._may(self.document_of(suggestion)):
            self._writer.call("accepted", suggestion=suggestion, length=length, at=at)
        return super().accepted(suggestion, length, at)

    def dismissed(self, suggestion: str, at: float) -> list[Event]:
        if self._may(self.document_of(suggestion)):
            self._writer.call("dismissed", suggestion=suggestion, at=at)
        return super().dismissed(suggestion, at)

    def closed(self, document: str, at: float) -> list[Event]:
        if self.follows(document) and self._may(document):
            self._writer.call("closed", document=document, at=at)
        return super().closed(document, at)

    def tick(self, at: float) -> list[Event]:
        if self.watching:
            self._writer.call("tick", at=at)
        return super().tick(at)


def replay(lines: Iterable[str]) -> Iterator[Event]:
    """The events of a trace, in order. Raises TraceError for a line that is no call."""
    tracker: Tracker | None = None
    for number, text in enumerate(lines, 1):
        if not text.strip():
            continue
        try:
            values = json.loads(text)
            if tracker is None:
                tracker = Tracker(_limits(values))
                continue
            events = _make(tracker, values)
        except (ValueError, KeyError, TypeError) as error:
            raise TraceError(f"Line {number} of the trace is not a call that can be made again: {error}") from error
        yield from events


def row(event: Event) -> str:
    """An event as one line: its table, then its columns by name. The same event is always the same line."""
    return line({"table": type(event).__name__.lower(), **asdict(event)})


def line(value: dict[str, Any]) -> str:
    """JSON without anything that could differ between two runs."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _limits(values: dict[str, Any]) -> Limits:
    if values.get("trace") != VERSION:
        raise TraceError(f"Expected a trace of version {VERSION} in its first line, found {values.get('trace')!r}.")
    limits = dict(values["limits"])
    return Limits(**{**limits, "survival_ages": tuple(limits["survival_ages"])})


def _make(tracker: Tracker, values: dict[str, Any]) -> list[Event]:
    name = values.pop("call")
    if name not in ("offered", "changed", "accepted", "dismissed", "closed", "tick"):
        raise KeyError(f"there is no call {name!r}")
    if name == "changed":
        values["edits"] = [Edit(*edit) for edit in values["edits"]]
    made: list[Event] = getattr(tracker, name)(**values)
    return made
