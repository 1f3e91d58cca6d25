"""What the user wrote, as one document: the form in which it is served, learned from and replayed.

Pure: the places come from whoever follows the edits. It is named like no file, so that it can be told apart.
"""

from collections.abc import Callable, Iterable, Sequence

from feedback.records import RECENT_EDITS
from model.document import Document

_LINES = 24  # of a place that are shown, the last


def recent_edits(
    places: Iterable[tuple[str, Sequence[str]]], ending: str, room: int, size: Callable[[str], int]
) -> Document | None:
    """The places as file and lines, the newest first; in the document the newest stands last. None if none fits.

    `room` is what all lines may take together by `size`, which is asked about each line with its end.
    """
    found = "".join(reversed(edited_lines(places, room, size)))
    return Document(path_for(ending), found, RECENT_EDITS) if found else None


def edited_lines(places: Iterable[tuple[str, Sequence[str]]], room: int, size: Callable[[str], int]) -> list[str]:
    """A text for each place, as many as there is room for: its last lines below the name of its file. Of the last text
    lines may be missing, the name never: by it secrets are told, as what is none in Python may be one in YAML."""
    found: list[str] = []
    for name, lines in places:
        kept: list[str] = []
        room -= size(f"# {name}\n")
        for line in reversed([line for line in lines if line.strip()][-_LINES:]):
            room -= size(f"{line}\n")
            if room < 0:
                break
            kept.append(f"{line}\n")
        if kept:
            found.append("".join((f"# {name}\n", *reversed(kept))))
        if room < 0:
            break
    return found


def path_for(ending: str, name: str = RECENT_EDITS) -> str:
    """What such a document is called where the active file ends so, such as `.py`."""
    return f"{name}{ending}"
