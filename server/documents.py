"""The open documents, as the editor has them: text, version, and positions turned into offsets.

This is the only copy of the text that the server keeps (pygls' own workspace is not fed), and the only place
where the protocol's positions meet offsets. Offsets and columns are code points; positions are in the encoding
that was negotiated. A client that lies (a position past the end, a change to a document that was never opened)
is clamped or ignored, never believed and never fatal. Belongs to the event loop: no locks.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lsprotocol import types as lsp
from pygls.uris import to_fs_path

from feedback.regions import Edit
from index.context import EDITED
from server.positions import points, units
from server.recent_edits import RecentEdits


def line_starts(text: str) -> list[int]:
    """Offsets at which lines start. Lines end at CRLF, LF or CR, as the protocol has it, and at nothing else."""
    starts, at = [0], 0
    if "\r" not in text:
        while (at := text.find("\n", at) + 1) > 0:
            starts.append(at)
        return starts
    for index, character in enumerate(text):
        if character == "\n" or (character == "\r" and text[index + 1 : index + 2] != "\n"):
            starts.append(index + 1)
    return starts


@dataclass(frozen=True)
class Snapshot:
    """A document as it stood at one version; safe to hand to another thread."""

    uri: str
    path: Path | None  # None for what is not a file: untitled documents, notebook cells, virtual documents
    language: str
    version: int
    text: str


@dataclass
class OpenDocument:
    """One open document. `text` always equals what the editor shows, provided the client tells the truth."""

    uri: str
    language: str
    version: int
    text: str
    encoding: lsp.PositionEncodingKind
    starts: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.starts = line_starts(self.text)

    @property
    def path(self) -> Path | None:
        """The file behind the document, or None if it has none (`untitled:` and the like)."""
        return path_of(self.uri)

    def snapshot(self) -> Snapshot:
        """The document as it stands now."""
        return Snapshot(self.uri, self.path, self.language, self.version, self.text)

    def line(self, number: int) -> str:
        """A line without its ending; "" past the end."""
        if not 0 <= number < len(self.starts):
            return ""
        end = self.starts[number + 1] if number + 1 < len(self.starts) else len(self.text)
        return self.text[self.starts[number] : end].rstrip("\r\n")

    def lines(self, first: int, stop: int) -> tuple[str, ...]:
        """The lines from one to before another without their endings, as far as there are any."""
        return tuple(self.line(number) for number in range(max(0, first), min(stop, len(self.starts))))

    def offset(self, position: lsp.Position) -> int:
        """The offset of a position; past a line's end: its end; past the last line: the end of the text."""
        if position.line < 0:
            return 0
        if position.line >= len(self.starts):
            return len(self.text)
        column = points(self.line(position.line), position.character, self.encoding)
        return self.starts[position.line] + column

    def position(self, offset: int) -> lsp.Position:
        """The position of an offset, which is clamped to the text."""
        offset = max(0, min(offset, len(self.text)))
        number = bisect_right(self.starts, offset) - 1
        character = units(self.line(number), offset - self.starts[number], self.encoding)
        return lsp.Position(number, character)

    def apply(self, change: lsp.TextDocumentContentChangeEvent) -> Edit:
        """Apply one change of a `didChange`; the edit is in offsets of the text before it."""
        if isinstance(change, lsp.TextDocumentContentChangeWholeDocument):
            return self._replace_all(change.text)
        start, end = self.offset(change.range.start), self.offset(change.range.end)
        start, end = min(start, end), max(start, end)
        self._splice(start, end, change.text)
        return Edit(start, end, change.text)

    def _replace_all(self, text: str) -> Edit:
        """Full synchronisation: what changed is the smallest single edit, so that outcomes can be told."""
        edit = Edit.between(self.text, text)
        self.text, self.starts = text, line_starts(text)
        return edit

    def _splice(self, start: int, end: int, text: str) -> None:
        """Replace a stretch and mend the table of lines around it, not all of it."""
        first = bisect_right(self.starts, start) - 1
        last = bisect_right(self.starts, end)  # the first line that starts after the stretch
        if first > 0 and self.text[self.starts[first] - 1] == "\r":
            first -= 1  # a line feed may now join the carriage return before it
        if last < len(self.starts):
            last += 1
        old_end = self.starts[last] if last < len(self.starts) else len(self.text)
        grown = len(text) - (end - start)
        self.text = self.text[:start] + text + self.text[end:]
        base = self.starts[first]
        middle = [base + s for s in line_starts(self.text[base : old_end + grown])]
        after = self.starts[last:]
        if after and middle[-1] == after[0] + grown:
            middle.pop()
        self.starts[first:] = middle + ([s + grown for s in after] if grown else after)


class Documents:
    """All documents that the client has open."""

    def __init__(self, encoding: lsp.PositionEncodingKind = lsp.PositionEncodingKind.Utf16) -> None:
        self.encoding = encoding
        self._open: dict[str, OpenDocument] = {}
        self._uris: dict[Path, str] = {}  # of the documents that are files
        self._edited: dict[Path, int] = {}  # the line of the last edit, the newest file last
        self.recent = RecentEdits()

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[OpenDocument]:
        return iter(list(self._open.values()))

    def open(self, item: lsp.TextDocumentItem) -> OpenDocument:
        """Take over a document; opened twice, the later text counts."""
        self.close(item.uri)
        document = OpenDocument(item.uri, item.language_id, item.version, item.text, self.encoding)
        self._open[item.uri] = document
        if document.path is not None:
            self._uris[document.path] = item.uri
            self.recent.opened(document.path, document.lines)
        return document

    def get(self, uri: str) -> OpenDocument | None:
        """The open document, or None if the client never opened it."""
        return self._open.get(uri)

    def at(self, *paths: Path) -> OpenDocument | None:
        """The open document of a file, which may go by any of these paths; None if the client never opened it."""
        return next((self._open[self._uris[path]] for path in paths if path in self._uris), None)

    def change(
        self, uri: str, version: int, changes: Sequence[lsp.TextDocumentContentChangeEvent]
    ) -> Iterator[tuple[OpenDocument, Edit]]:
        """Apply the changes one by one; yields the document and the edit after each. Nothing for an unknown uri."""
        document = self._open.get(uri)
        if document is None:
            return
        document.version = version
        for change in changes:
            lines = len(document.starts)
            edit = document.apply(change)
            if document.path is not None:
                line = bisect_right(document.starts, edit.start) - 1
                added = len(line_starts(edit.text)) - 1
                removed = max(0, added - (len(document.starts) - lines))
                self.recent.edited(document.path, line, removed, added, text=bool(edit.text.strip()))
                self._edited.pop(document.path, None)
                self._edited[document.path] = line
                if len(self._edited) > EDITED:
                    del self._edited[next(iter(self._edited))]
            yield document, edit

    def edited(self) -> list[tuple[Path, int]]:
        """Files that were edited lately, with the line of the last edit; the newest first, closed ones included."""
        return list(reversed(self._edited.items()))

    def close(self, uri: str) -> OpenDocument | None:
        """Let go of a document."""
        document = self._open.pop(uri, None)
        if document is not None and document.path is not None:
            self._uris.pop(document.path, None)
            self.recent.closed(document.path, document.lines)
        return document


def path_of(uri: str) -> Path | None:
    """The path of a `file:` URI; None for any other scheme."""
    if not uri.startswith("file:"):
        return None
    path = to_fs_path(uri)
    return Path(path) if path else None
