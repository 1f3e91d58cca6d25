"""How much of an accepted text is still there: two numbers from 0 to 1.

`kept_share` is the share of the accepted text's sequences of four characters (counted with repetition) that the text
now holds; `unreverted_share` tells whether the region went back to what it was. Four-grams and both measures are
those of GitHub Copilot Chat's survival telemetry (`compute4GramTextSimilarity`, `editSurvivalTracker.ts` in
microsoft/vscode-copilot-chat), save that the first has a direction here: text that the user adds within an accepted
block takes nothing of it away.
"""

from collections import Counter

_SIZE = 4


def kept_share(accepted: str, now: str) -> float:
    """The share of `accepted` that is kept in `now`; texts of less than four characters count by their own length."""
    size = min(_SIZE, len(accepted))
    if size == 0:
        return 1.0
    grams = _grams(accepted, size)
    return (grams & _grams(now, size)).total() / grams.total()


def unreverted_share(before: str, after: str, now: str) -> float:
    """1 where `now` is no nearer to `before` than `after` was, 0 where it is `before` again."""
    if before == after:
        return 1.0
    start = _likeness(before, after)
    return 1.0 - max(_likeness(before, now) - start, 0.0) / (1.0 - start)


def _likeness(one: str, other: str) -> float:
    """The Dice coefficient of the two texts' four-grams; equal texts are 1, and so are two empty ones."""
    if one == other:
        return 1.0
    size = min(_SIZE, len(one), len(other))
    if size == 0:
        return 0.0
    first, second = _grams(one, size), _grams(other, size)
    return min(2 * (first & second).total() / (first.total() + second.total()), 0.999)


def _grams(text: str, size: int) -> Counter[str]:
    return Counter(text[start : start + size] for start in range(len(text) - size + 1))
