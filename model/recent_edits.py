"""What the user wrote, as one document: the form in which it is served, learned from and replayed.

Pure: the places come from whoever follows the edits. It is named like no file, so that it can be told apart.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby

from feedback.records import RECENT_EDITS
from model.document import Document

_LINES = 24  # of a place that are shown, the last


def recent_edits(
    places: Iterable[tuple[str, Sequence[str]]], ending: str, room: int, size: Callable[[str], int]
) -> Document | None:
    """The places as file and lines, the newest first; in the document the newest stands last. None if none fits.

    `room` is what all lines may take together by `size`, which is asked about each line with its end.
    """
    pieces = edited_pieces(places, room, size)
    return Document(path_for(ending), below_names(reversed(pieces)), RECENT_EDITS) if pieces else None


def edited_pieces(
    places: Iterable[tuple[str, Sequence[str]]], room: int, size: Callable[[str], int]
) -> list[tuple[str, str]]:
    """File and last lines of each place, as many as there is room for, the names of their files counted. Of the last
    one, lines may be missing."""
    found: list[tuple[str, str]] = []
    for name, lines in places:
        kept: list[str] = []
        if not found or found[-1][0] != name:
            room -= size(f"# {name}\n")
        for line in reversed([line for line in lines if line.strip()][-_LINES:]):
            room -= size(f"{line}\n")
            if room < 0:
                break
            kept.append(f"{line}\n")
        if kept:
            found.append((name, "".join(reversed(kept))))
        if room < 0:
            break
    return found


def below_names(pieces: Iterable[tuple[str, str]]) -> str:
    """The pieces, each below the name of its file, which is said once where several follow each other. None is without:
    secrets are told by it, as what is none in Python may be one in YAML."""
    return "".join(
        f"# {name}\n{''.join(text for _, text in run)}" for name, run in groupby(pieces, key=lambda piece: piece[0])
    )


def path_for(ending: str, name: str = RECENT_EDITS) -> str:
    """What such a document is called where the active file ends so, such as `.py`."""
    return f"{name}{ending}"
