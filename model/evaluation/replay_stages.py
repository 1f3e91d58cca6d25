"""What the nights of single stages read besides what was written: offers that the user judged, and commits.

Pure: asks, answers and hunks in, values out. What always holds: an example that gets an offer keeps its cursor and its
settled text, so that sft reads the same as without; a commit holds nothing that was written after it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from feedback.changes import Change
from feedback.examples import Example
from model.evaluation.replay_history import Day, Hunk
from model.evaluation.replay_requests import Ask, UserDay, settled_at
from model.evaluation.replay_user import Answer


def with_offers(day: UserDay, answers: Sequence[Answer]) -> list[Example]:
    """The day's examples; where lines of one were asked for, with what would stand there had the user taken each offer
    that was shown: rejected if one of them was.

    An example is a piece of a hunk and begins at a cursor of its own. Where that stands behind the cursor of an offer,
    the offer counts if the user could type through it until there.
    """
    shown = {answer.id: answer for answer in answers if answer.shown}
    asked: dict[str, list[Ask]] = {}
    for ask in day.asks:
        if ask.id in shown:
            asked.setdefault(_hunk_of(ask.id), []).append(ask)
    return [_judged(example, asked.get(_hunk_of(example.id), []), shown) for example in day.examples]


def commits(package: str, days: Sequence[Day]) -> Iterator[Change]:
    """Each file as a commit of its own, made when its last hunk of the day was written, oldest first.

    One commit in the evening would leave a night nothing: commits have to be older than what it is measured on.
    """
    written: dict[tuple[str, int], str] = {}  # what stands in a file on the way to a version
    for number, day in enumerate(days):
        last = {hunk.path: place for place, hunk in enumerate(day.hunks)}
        for place, hunk in enumerate(day.hunks):
            if last[hunk.path] != place:
                continue
            file = (hunk.path, hunk.version)
            before, after = written.get(file, hunk.files.get(hunk.path, "")), _text(hunk)
            written[file] = after
            yield Change(package, f"{number}.{place}", settled_at(number, place), hunk.path, before, after)


def _judged(example: Example, asks: Sequence[Ask], shown: dict[str, Answer]) -> Example:
    text, begin = example.prefix + example.target, len(example.prefix)
    taken, accepted = text, []
    for ask in reversed(asks):  # from the last line up, so that places before it stay where they are
        at, answer = len(ask.request.prefix), shown[ask.id]
        typed = text[at:begin]  # of this line, before the example's cursor
        offer, truth = answer.offer.rstrip(), answer.truth
        if at + len(truth) > len(text) or not offer.startswith(typed) or len(offer) == len(typed):
            continue
        taken = taken[: at + len(typed)] + offer[len(typed) :] + taken[at + len(truth) :]
        accepted.append(answer.accepted)
    if not accepted:
        return example
    return replace(example, offered=taken[begin:], outcome="accepted" if all(accepted) else "rejected")


def _hunk_of(id: str) -> str:
    """What an ask and the examples of its hunk have in common."""
    return id.rsplit(".", 1)[0]


def _text(hunk: Hunk) -> str:
    """The file as it was when the hunk was done."""
    return hunk.above + "".join(f"{line}\n" for line in hunk.lines) + hunk.below
