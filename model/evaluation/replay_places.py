"""The places where a replayed user writes, in order, with what stands beside the cursor there.

It follows the hunks of `replay_history`; it runs no model. What always holds: a place knows only what was there when it
was written, documents as the index finds them and edits as they are served.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from feedback.records import RECENT_EDITS, SIMILAR_EDITS
from index.context import EDITED
from model.document import Document
from model.evaluation.completion_cases import Sizes
from model.evaluation.replay_context import FolderContext
from model.evaluation.replay_history import Day, Hunk
from model.prompt import Layout
from model.recent_edits import path_for, recent_edits
from model.similar_edits import REMEMBERED, Edited, similar_edits

_AROUND = 2000  # characters above and below a hunk


@dataclass(frozen=True)
class Place:
    """A hunk, the `number`th of its `day`, both from 0.

    `documents` are parts of other files, `memory` what the user wrote before, in any file.
    """

    day: int
    number: int
    hunk: Hunk
    documents: tuple[Document, ...]
    memory: tuple[Document, ...]


def places(days: Sequence[Day], layout: Layout, sizes: Sizes) -> Iterator[Place]:
    """Every hunk of these days."""
    written: list[tuple[Hunk, Edited]] = []
    with FolderContext(layout, sizes.document, sizes.whole) as folder:
        for day, several in enumerate(days):
            for number, hunk in enumerate(several.hunks):
                documents = folder.documents(hunk.files, hunk.path, hunk.above, hunk.below, _edited(written, hunk))
                yield Place(day, number, hunk, documents, _memory(written, hunk, layout, sizes.document))
                written.append((hunk, Edited(hunk.path, hunk.lines, _end(hunk.above), _beginning(hunk.below))))


def _memory(written: Sequence[tuple[Hunk, Edited]], now: Hunk, layout: Layout, most: int) -> tuple[Document, ...]:
    """The edits that are most like this place, and the newest, each as one document as it is served, without what
    stands above anyway. `most`: tokens of a document."""
    encode = layout.tokens.encode
    above = layout.window(now.above)
    away = [edit for hunk, edit in written[-REMEMBERED:] if hunk.path != now.path or "\n".join(hunk.lines) not in above]

    def size(line: str) -> int:
        return len(encode(line))

    def room(name: str) -> int:
        return most - len(layout.document(Document(path_for(".py", name), "")))

    last = recent_edits(((edit.path, edit.lines) for edit in reversed(away)), ".py", room(RECENT_EDITS), size)
    like = similar_edits(away, _end(now.above), _beginning(now.below), ".py", room(SIMILAR_EDITS), size, last)
    return tuple(made for made in (like, last) if made is not None)


def _edited(written: Sequence[tuple[Hunk, Edited]], now: Hunk) -> list[tuple[str, int]]:
    """Other files that were edited lately, each with the line of its last edit (from 0), the newest first."""
    found: dict[str, int] = {}
    for hunk, _ in reversed(written):
        if hunk.path != now.path and len(found) < EDITED:
            found.setdefault(hunk.path, hunk.first_line + len(hunk.lines) - 2)
    return list(found.items())


def _end(text: str) -> tuple[str, ...]:
    return tuple(text[-_AROUND:].split("\n"))


def _beginning(text: str) -> tuple[str, ...]:
    return tuple(text[:_AROUND].split("\n"))
