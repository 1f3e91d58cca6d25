"""How much better a suggestion did than others in its context: its reward minus a baseline.

A context is the language and where the cursor stood. Its baseline is the mean reward of the others in it, drawn
towards the language's mean and that towards the mean of all, the more the fewer they are (each mean counts as much as
SHRINKAGE observations). Pure; a suggestion never counts in its own baseline, so that a lone one has none to beat but
the wider mean.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from feedback.reading import Entry

SHRINKAGE = 10.0


@dataclass(frozen=True)
class Advantage:
    """`value` is the reward minus `baseline`; `others` of the same context made it."""

    value: float
    baseline: float
    context: str
    others: int


@dataclass
class _Sum:
    count: int = 0
    total: float = 0.0

    def without(self, value: float, towards: float) -> float:
        return (self.total - value + SHRINKAGE * towards) / (self.count - 1 + SHRINKAGE)


def place_of(entry: Entry) -> str:
    """Where the cursor stood on its line."""
    before = (entry.prefix or "").rpartition("\n")[2]
    if not before.strip():
        return "at the start of a line"
    return "within a line" if entry.rest.strip() else "at the end of a line"


def advantages(entries: Iterable[Entry]) -> dict[str, Advantage]:
    """By suggestion; those without a reward are left out."""
    known = [(entry, value.total) for entry in entries if (value := entry.reward) is not None]
    everywhere = _Sum()
    languages: dict[str, _Sum] = defaultdict(_Sum)
    contexts: dict[tuple[str, str], _Sum] = defaultdict(_Sum)
    for entry, total in known:
        for held in (everywhere, languages[entry.language], contexts[entry.language, place_of(entry)]):
            held.count += 1
            held.total += total
    found = {}
    for entry, total in known:
        place = place_of(entry)
        held = contexts[entry.language, place]
        overall = everywhere.without(total, 0.0)
        baseline = held.without(total, languages[entry.language].without(total, overall))
        found[entry.id] = Advantage(total - baseline, baseline, f"{entry.language}, {place}", held.count - 1)
    return found


def explain(advantage: Advantage) -> list[str]:
    """The advantage as lines for people."""
    return [
        f"baseline: {advantage.baseline:+.2f} characters ({advantage.others} others: {advantage.context})",
        f"advantage: {advantage.value:+.2f} characters",
    ]
