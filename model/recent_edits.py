"""What the user wrote, as one document: the form in which it is served, learned from and replayed.

Pure: the places come from whoever follows the edits. It is named like no file, so that it can be told apart.
"""

from collections.abc import Callable, Iterable, Sequence

from model.document import Document

RECENT = "recent_edits"  # its ending is that of the active file
SIMILAR = "similar_edits"  # of `model.similar_edits`, in the same form
NAMES = (RECENT, SIMILAR)
_LINES = 24  # of a place that are shown, the last


def recent_edits(
    places: Iterable[tuple[str, Sequence[str]]], ending: str, room: int, size: Callable[[str], int]
) -> Document | None:
    """The places as file and lines, the newest first; in the document the newest stands last. None if none fits.

    `room` is what all lines may take together by `size`, which is asked about each line with its end.
    """
    found = "".join(reversed(edited_lines(places, room, size)))
    return Document(path_for(ending), found, RECENT) if found else None


def edited_lines(places: Iterable[tuple[str, Sequence[str]]], room: int, size: Callable[[str], int]) -> list[str]:
    """A text for each place, as many as there is room for: its last lines below the name of its file. Of the last
    text, the beginning may be missing."""
    found: list[str] = []
    for name, lines in places:
        shown = [line for line in lines if line.strip()][-_LINES:]
        text = ""
        for line in (*reversed(shown), *([f"# {name}"] if shown else [])):
            room -= size(f"{line}\n")
            if room < 0:
                break
            text = f"{line}\n{text}"
        found.append(text)
        if room < 0:
            break
    return found


def path_for(ending: str, name: str = RECENT) -> str:
    """What such a document is called where the active file ends so, such as `.py`."""
    return f"{name}{ending}"


def is_of_edits(path: str) -> bool:
    """Whether this is the path of no file but of what the user wrote."""
    return path.split(".", 1)[0] in NAMES
