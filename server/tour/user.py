"""The simulated user: decides about an offer by a rule that is fixed beforehand, then types what is really there.

The rule: ghost text that is much like the known rest of the line is accepted (and then corrected by hand), text
that is not is dismissed, ignored or typed over in turn. Whatever happens, the line ends up as it is in the
repository, so what settles is the truth.
"""

import time
from dataclasses import dataclass
from typing import Literal

from rapidfuzz.distance import Indel

from server.documents import OpenDocument
from server.tour.editor import Editor
from server.tour.positions import Place

ACCEPT_FROM = 0.6  # likeness of the offer's first line to the rest of the real line, from 0 to 1
Did = Literal["accepted", "typed through", "dismissed", "typed over", "nothing offered"]


@dataclass(frozen=True)
class Move:
    """What happened at one place. `seconds` is from the request to the answer."""

    place: Place
    offered: str | None
    did: Did
    likeness: float
    seconds: float


def likeness(offered: str, rest: str) -> float:
    """Normalised indel similarity of the offer's first line and the real rest, from 0 to 1."""
    return float(Indel.normalized_similarity(offered.split("\n", 1)[0], rest))


async def move(editor: Editor, buffer: OpenDocument, place: Place, turn: int) -> Move:
    """Delete the rest of the line, ask, decide, and leave the line as it is in the repository."""
    editor.replace(buffer, place.offset, place.offset + len(place.rest), "")
    started = time.perf_counter()
    item = await editor.complete(buffer, place.offset)
    seconds = time.perf_counter() - started
    if item is None or not isinstance(item.insert_text, str):
        editor.type(buffer, place.offset, place.rest)
        return Move(place, None, "nothing offered", 0.0, seconds)
    offered = item.insert_text
    like = likeness(offered, place.rest)
    did: Did
    if like >= ACCEPT_FROM:
        end = await editor.accept(buffer, item)
        if offered != place.rest:
            editor.replace(buffer, place.offset, end, place.rest)
        did = "accepted"
    elif turn % 4 == 3 and "\n" not in offered:
        end = editor.type(buffer, place.offset, offered)
        editor.replace(buffer, place.offset, end, place.rest)
        did = "typed through"
    elif turn % 2 == 0 and item.command is not None:
        await editor.run("inkling.dismiss", *(item.command.arguments or []))
        editor.type(buffer, place.offset, place.rest)
        did = "dismissed"
    else:
        editor.type(buffer, place.offset, place.rest)
        did = "typed over"
    return Move(place, offered, did, like, seconds)
