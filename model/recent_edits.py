"""What the user wrote last, as one document: the form in which it is served, learned from and replayed.

Pure: the places come from whoever follows the edits. It is named like no file, so that it can be told apart.
"""

from collections.abc import Callable, Iterable, Sequence

from model.document import Document

NAME = "recent_edits"  # its ending is that of the active file
_LINES = 24  # of a place that are shown, the last


def recent_edits(
    places: Iterable[tuple[str, Sequence[str]]], ending: str, room: int, size: Callable[[str], int]
) -> Document | None:
    """The places as file and lines, the newest first; in the document the newest stands last. None if none fits.

    `room` is what all lines may take together by `size`, which is asked about each line with its end.
    """
    found: list[str] = []
    for name, lines in places:
        shown = [line for line in lines if line.strip()][-_LINES:]
        for line in (*reversed(shown), *([f"# {name}"] if shown else [])):
            room -= size(f"{line}\n")
            if room < 0:
                break
            found.append(f"{line}\n")
        if room < 0:
            break
    return Document(path_for(ending), "".join(reversed(found)), NAME) if found else None


def path_for(ending: str) -> str:
    """What such a document is called where the active file ends so, such as `.py`."""
    return f"{NAME}{ending}"


def is_recent_edits(path: str) -> bool:
    """Whether this is the path of no file but of what the user wrote last."""
    return path.split(".", 1)[0] == NAME
