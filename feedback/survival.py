"""How much of an accepted text is still there: one number from 0 to 1.

The share of the accepted text's sequences of four characters (counted with repetition) that the text now holds.
Four-grams are what GitHub Copilot Chat's survival telemetry counts (`compute4GramTextSimilarity` in
microsoft/vscode-copilot-chat, `editSurvivalTracker.ts`). That measure is symmetric; this one has a direction, because
text that the user adds within an accepted block takes nothing of it away.
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


def _grams(text: str, size: int) -> Counter[str]:
    return Counter(text[start : start + size] for start in range(len(text) - size + 1))
