"""Who made a change: the person at the keys, several cursors at once, a formatter, the agent, or other software.

Told from one notification's edits and the text before them; nobody's protocol says it. Only the agent's own edits
are declared, because the server makes them. Always: what one key can bring is the person's, and when in doubt a
change counts as the person's, so that software is never mistaken for a refusal.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from feedback.regions import Edit

Author = Literal["human", "multi_cursor", "formatter", "agent", "extension"]

_PAIRS = frozenset(("()", "[]", "{}", "<>", '""', "''", "``"))
_BEFORE_CLOSER = re.compile(r",(?=[)\]}])")
_LONGEST_LAYOUT = 200_000  # characters that are compared for layout
_MOST_TEXT = 100_000_000  # characters that the texts of one notification's changes have together


@dataclass(frozen=True)
class Change:
    """One edit of a notification. `edit` is trimmed, `raw` as it was sent; `before` and `content` are whole texts."""

    edit: Edit
    raw: Edit
    before: str
    content: str


def changes_of(content: str, edits: Sequence[Edit]) -> list[Change] | None:
    """The edits of one notification, in order; those that change nothing are left out.

    None if one does not fit, or if they are too many for a text of this size: each change holds the whole of it.
    """
    if len(edits) * len(content) > _MOST_TEXT:
        return None
    found: list[Change] = []
    for raw in edits:
        if not raw.fits(content):
            return None
        edit = raw.trimmed(content)
        if edit.start < edit.end or edit.text:
            after = edit.apply(content)
            found.append(Change(edit, raw, content, after))
            content = after
    return found


def author_of(changes: Sequence[Change], near: bool) -> Author:
    """Who made these changes. `near`: one of them is where a suggestion stands or the person last wrote."""
    if not changes or (len(changes) == 1 and (_is_key(changes[0]) or (near and _adds_only(changes[0])))):
        return "human"
    alike = len(changes) > 1 and len({(c.edit.text, c.edit.end - c.edit.start) for c in changes}) == 1
    if not (alike and near) and _layout_only(changes):
        return "formatter"
    if alike:
        return "multi_cursor"
    return "human" if near or all(not change.edit.text for change in changes) else "extension"


def one_key(inserted: str) -> bool:
    """True if one key can bring this: a character, a pair of brackets, a line break with its indentation."""
    return len(inserted) <= 1 or inserted in _PAIRS or (inserted[0] in "\r\n" and not inserted.strip())


def _is_key(change: Change) -> bool:
    """True if a key, pressed over at most a selection on one line, can have made this change."""
    removed = change.before[change.edit.start : change.edit.end]
    return one_key(change.edit.text) and "\n" not in removed.strip("\r\n")


def _adds_only(change: Change) -> bool:
    return change.edit.start == change.edit.end


def _layout_only(changes: Sequence[Change]) -> bool:
    """True if only white space, quotes, trailing commas, semicolons or the order of whole lines changed."""
    first, last = changes[0], changes[-1]
    whole = Edit.between(first.before, last.content)
    removed = first.before[whole.start : whole.end]
    if max(len(removed), len(whole.text)) > _LONGEST_LAYOUT:
        return False
    if _skeleton(removed) == _skeleton(whole.text):
        return True
    start = first.before.rfind("\n", 0, whole.start) + 1
    end = first.before.find("\n", whole.end)
    grown = len(last.content) - len(first.before)
    old = first.before[start : end if end >= 0 else None]
    new = last.content[start : end + grown if end >= 0 else None]
    return "\n" in old and sorted(map(str.strip, old.split("\n"))) == sorted(map(str.strip, new.split("\n")))


def _skeleton(text: str) -> str:
    bare = "".join(text.split()).replace("'", '"').replace(";", "")
    return _BEFORE_CLOSER.sub("", bare)
