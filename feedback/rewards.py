"""What an outcome was worth: version 1 of the reward. A pure view on facts that never change; nothing is stored.

Unit: characters the user did not have to type. Three named components are added up:

- retained characters: what was taken over of the suggestion, times the share of it that survived;
- show cost: a constant price of a display that was refused, so that showing little and right beats showing much
  (acceptance alone rewards many short suggestions);
- likeness: how near the offer was to what the user finally had, where it was not taken over, so that a near miss is
  worth more than a far one. The similarity is 1 minus the normalised indel distance (`rapidfuzz.fuzz.ratio`).

Raise VERSION with every change of a number or rule: numbers of different versions must not be compared.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from rapidfuzz import fuzz

from feedback.records import Outcome, Survival

VERSION = 1
REJECTED_COST = 5.0  # characters: about what reading and dismissing costs in typing time
IGNORED_COST = 1.0
LIKENESS_WEIGHT = 4.0  # below REJECTED_COST: a refused display never pays


@dataclass(frozen=True)
class Component:
    """One part of a reward, in `unit`; `why` is a sentence for people."""

    name: str
    value: float
    unit: str
    why: str


@dataclass(frozen=True)
class Reward:
    """The components and their sum, in characters."""

    components: tuple[Component, ...]
    version: int = VERSION

    @property
    def total(self) -> float:
        return sum(component.value for component in self.components)


def reward(
    outcome: Outcome, offered: str, settled: str | None = None, survival: Sequence[Survival] = (), shown: bool = True
) -> Reward:
    """The reward of one suggestion. `settled` is what stands there instead of `offered`, None where not known."""
    return Reward((_retained(outcome, survival), _show_cost(outcome, shown), _likeness(outcome, offered, settled)))


def explain(value: Reward) -> list[str]:
    """The reward as lines for people: one per component, then the sum."""
    lines = [f"{part.name}: {part.value:+.2f} {part.unit} ({part.why})" for part in value.components]
    return [*lines, f"reward (version {value.version}): {value.total:+.2f} characters"]


def _retained(outcome: Outcome, survival: Sequence[Survival]) -> Component:
    if outcome.kind not in ("accepted", "partial"):
        return Component("retained characters", 0.0, "characters", f"{outcome.kind}: nothing was taken over")
    if not survival:
        why = f"{outcome.length} taken over, survival not known"
        return Component("retained characters", float(outcome.length), "characters", why)
    last = max(survival, key=lambda look: look.age)
    why = f"{outcome.length} taken over, {last.kept:.0%} of it there after {last.age} s"
    return Component("retained characters", outcome.length * last.kept, "characters", why)


def _show_cost(outcome: Outcome, shown: bool) -> Component:
    costs = {"rejected": REJECTED_COST, "ignored": IGNORED_COST}
    cost = costs.get(outcome.kind, 0.0) if shown else 0.0
    why = "was not shown" if not shown else f"{outcome.kind} display"
    return Component("show cost", -cost if cost else 0.0, "characters", why)


def _likeness(outcome: Outcome, offered: str, settled: str | None) -> Component:
    if settled is None:
        return Component("likeness", 0.0, "characters", "what the user finally had is not known")
    if outcome.kind in ("accepted", "partial"):
        return Component("likeness", 0.0, "characters", "counted in what was retained")
    similarity = fuzz.ratio(offered, settled) / 100
    return Component("likeness", LIKENESS_WEIGHT * similarity, "characters", f"{similarity:.0%} like the settled text")
