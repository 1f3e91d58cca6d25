"""What an outcome was worth: a pure view on facts that never change. Nothing is stored, everything can be recomputed.

Unit: characters the user did not have to type. Named components are added up; version 2 (the default) has

- acceptance: the characters that were taken over, and retention: those of them that did not survive;
- show cost: what a display costs, more where it was refused, so that showing little and right beats showing much
  (acceptance alone rewards many short suggestions);
- likeness: how near the offered *edit* was to the edit that the user finally made, where it was not taken over, so
  that a near miss is worth more than a far one;
- reversal: what was taken over and then taken back cost more than a glance;
- syntax, lint, tests: faults that came or went with it, where they were counted.

Version 1 (retained characters, show cost, likeness of texts) stays, so that old numbers can be had again. Raise
VERSION with every change of a number or rule: numbers of different versions must not be compared.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rapidfuzz import fuzz
from rapidfuzz.distance import Indel

from feedback.records import Check, CheckKind, Outcome, Survival
from inkling.errors import UserError

VERSION = 2
REJECTED_COST = 5.0  # characters: about what reading and dismissing costs in typing time
IGNORED_COST = 1.0
SHOW_COST = 0.5  # of a display that was not refused
LIKENESS_WEIGHT = 4.0  # below REJECTED_COST: a refused display never pays
REVERSAL_COST = 5.0
FAULT_COSTS: dict[CheckKind, float] = {"syntax": 3.0, "lint": 1.0, "tests": 5.0}  # each new fault
MOST_FAULTS = 4  # of one kind that count
_TAKEN_BACK = ("undone", "deleted_after_accept", "deleted_after_partial")


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


@dataclass(frozen=True)
class Happened:
    """What a reward is computed from. `settled` is the whole region, None where not known; `rest` stood behind the
    cursor on its line when the suggestion was offered."""

    outcome: Outcome
    offered: str
    rest: str = ""
    settled: str | None = None
    survival: Sequence[Survival] = ()
    checks: Sequence[Check] = ()
    shown: bool = True

    @property
    def taken(self) -> bool:
        return self.outcome.kind in ("accepted", "partial")


def reward(happened: Happened, version: int = VERSION) -> Reward:
    """The reward of one suggestion by the rules of a version. Raises UserError for a version that never was."""
    if version not in _VERSIONS:
        raise UserError(f"There is no version {version} of the reward; there are {', '.join(map(str, _VERSIONS))}.")
    return Reward(tuple(component(happened) for component in _VERSIONS[version]), version)


def explain(value: Reward) -> list[str]:
    """The reward as lines for people: one per component, then the sum."""
    lines = [f"{part.name}: {part.value:+.2f} {part.unit} ({part.why})" for part in value.components]
    return [*lines, f"reward (version {value.version}): {value.total:+.2f} characters"]


def edit_likeness(before: str, offered: str, settled: str) -> float:
    """How alike two edits of `before` are, from 0 to 1: 1 - d(offered, settled) / (d(before, offered) + d(before,
    settled)), where d is the indel distance. What neither edit touches does not count. Two empty edits are alike."""
    sizes = Indel.distance(before, offered) + Indel.distance(before, settled)
    return 1.0 if sizes == 0 else 1.0 - Indel.distance(offered, settled) / sizes


def _characters(name: str, value: float, why: str) -> Component:
    return Component(name, value or 0.0, "characters", why)


def _acceptance(h: Happened) -> Component:
    if not h.taken:
        return _characters("acceptance", 0.0, f"{h.outcome.kind}: nothing was taken over")
    return _characters("acceptance", float(h.outcome.length), f"{h.outcome.length} characters were taken over")


def _retention(h: Happened) -> Component:
    if not h.taken:
        return _characters("retention", 0.0, "nothing to retain")
    if not h.survival:
        return _characters("retention", 0.0, "survival is not known")
    last = max(h.survival, key=lambda look: look.age)
    kept = min(last.kept, last.unreverted)
    return _characters("retention", -h.outcome.length * (1 - kept), f"{kept:.0%} of it is there after {last.age} s")


def _show_cost(h: Happened) -> Component:
    if not h.shown:
        return _characters("show cost", 0.0, "was not shown")
    costs = {"rejected": REJECTED_COST, "ignored": IGNORED_COST, "superseded": 0.0, "invalidated": 0.0}
    return _characters("show cost", -costs.get(h.outcome.kind, SHOW_COST), f"{h.outcome.kind} display")


def _edit_likeness(h: Happened) -> Component:
    if h.settled is None:
        return _characters("likeness", 0.0, "what the user finally had is not known")
    if h.taken:
        return _characters("likeness", 0.0, "counted in what was retained")
    likeness = edit_likeness(h.rest, h.offered + h.rest, h.settled)
    return _characters("likeness", LIKENESS_WEIGHT * likeness, f"{likeness:.0%} like the user's own edit")


def _reversal(h: Happened) -> Component:
    if h.outcome.rule in _TAKEN_BACK:
        return _characters("reversal", -REVERSAL_COST, "was taken over and taken back at once")
    back = 1 - min((look.unreverted for look in h.survival), default=1.0)
    if not h.taken or back < 0.5:
        return _characters("reversal", 0.0, "was not taken back")
    return _characters("reversal", -REVERSAL_COST * back, f"{back:.0%} of the way back to what stood there before")


def _faults(kind: CheckKind, name: str, fault: str) -> Callable[[Happened], Component]:
    def component(h: Happened) -> Component:
        found = next((check for check in h.checks if check.kind == kind), None)
        if found is None:
            return _characters(name, 0.0, f"{fault} were not counted")
        new = found.after - found.before
        counted = max(min(new, MOST_FAULTS), -MOST_FAULTS if kind == "tests" else 0)
        return _characters(name, -FAULT_COSTS[kind] * counted, f"{fault}: {found.before} before, {found.after} after")

    return component


def _retained_1(h: Happened) -> Component:
    if not h.taken:
        return _characters("retained characters", 0.0, f"{h.outcome.kind}: nothing was taken over")
    if not h.survival:
        why = f"{h.outcome.length} taken over, survival not known"
        return _characters("retained characters", float(h.outcome.length), why)
    last = max(h.survival, key=lambda look: look.age)
    why = f"{h.outcome.length} taken over, {last.kept:.0%} of it there after {last.age} s"
    return _characters("retained characters", h.outcome.length * last.kept, why)


def _show_cost_1(h: Happened) -> Component:
    cost = {"rejected": REJECTED_COST, "ignored": IGNORED_COST}.get(h.outcome.kind, 0.0) if h.shown else 0.0
    return _characters("show cost", -cost, "was not shown" if not h.shown else f"{h.outcome.kind} display")


def _likeness_1(h: Happened) -> Component:
    if h.settled is None:
        return _characters("likeness", 0.0, "what the user finally had is not known")
    if h.taken:
        return _characters("likeness", 0.0, "counted in what was retained")
    written = h.settled.removesuffix(h.rest) if h.rest else h.settled
    similarity = fuzz.ratio(h.offered, written) / 100
    return _characters("likeness", LIKENESS_WEIGHT * similarity, f"{similarity:.0%} like the settled text")


_VERSIONS: dict[int, tuple[Callable[[Happened], Component], ...]] = {
    1: (_retained_1, _show_cost_1, _likeness_1),
    2: (
        _acceptance,
        _retention,
        _show_cost,
        _edit_likeness,
        _reversal,
        _faults("syntax", "syntax", "syntax errors"),
        _faults("lint", "lint", "findings of linters"),
        _faults("tests", "tests", "failing tests"),
    ),
}
