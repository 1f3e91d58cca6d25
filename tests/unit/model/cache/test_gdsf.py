"""GDSF evicts what is worth least, never a pinned entry, and never holds more than its budget."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from model.cache.gdsf import Gdsf


def filled(budget: int, *entries: tuple[str, int, float]) -> Gdsf[str]:
    gdsf: Gdsf[str] = Gdsf(budget)
    for key, nbytes, seconds in entries:
        assert gdsf.admit(key, nbytes, seconds).verdict == "stored"
    return gdsf


def test_what_took_less_time_to_make_goes_first() -> None:
    gdsf = filled(30, ("slow", 10, 5.0), ("quick", 10, 1.0), ("medium", 10, 3.0))
    assert gdsf.admit("new", 20, 1.0).evicted == ("quick", "medium")


def test_of_equal_costs_the_larger_goes_first() -> None:
    gdsf = filled(60, ("small", 10, 1.0), ("large", 40, 1.0), ("middle", 10, 1.0))
    assert gdsf.admit("new", 1, 1.0).evicted == ("large",)


def test_what_is_used_often_stays() -> None:
    gdsf = filled(20, ("often", 10, 1.0), ("once", 10, 1.5))
    gdsf.touch("often")
    assert gdsf.admit("new", 10, 1.0).evicted == ("once",)


def test_of_equal_entries_the_one_used_longest_ago_goes_first() -> None:
    gdsf = filled(30, ("a", 10, 1.0), ("b", 10, 1.0), ("c", 10, 1.0))
    for key in ("a", "c", "b"):
        gdsf.touch(key)
    assert gdsf.in_order() == ("a", "c", "b")


def test_the_priority_is_clock_plus_frequency_times_cost_over_size() -> None:
    gdsf = filled(20, ("a", 10, 2.0), ("b", 10, 4.0))
    gdsf.touch("b")
    assert (gdsf.priority("a"), gdsf.priority("b")) == (0.2, 0.8)
    gdsf.admit("c", 10, 1.0)
    assert gdsf.clock == 0.2
    assert gdsf.priority("c") == pytest.approx(0.2 + 0.1)


def test_past_fame_fades_as_the_clock_goes_on() -> None:
    gdsf = filled(20, ("famous", 10, 1.0))
    for _ in range(5):
        gdsf.touch("famous")
    evicted = [gdsf.admit(f"{number}", 10, 1.0).evicted for number in range(8)]
    assert ("famous",) in evicted


def test_a_newcomer_is_never_its_own_victim() -> None:
    gdsf = filled(10, ("dear", 10, 100.0))
    assert gdsf.admit("cheap", 10, 0.0).evicted == ("dear",)


def test_pinned_entries_stay_whatever_they_are_worth() -> None:
    gdsf = filled(30, ("pinned", 10, 0.0), ("a", 10, 9.0), ("b", 10, 8.0))
    gdsf.pin(["pinned"])
    assert gdsf.admit("new", 20, 1.0).evicted == ("b", "a")


def test_where_pins_leave_no_room_the_newcomer_is_refused_and_nothing_evicted() -> None:
    gdsf = filled(30, ("a", 10, 1.0), ("b", 10, 1.0), ("c", 10, 1.0))
    gdsf.pin(["a", "b", "new"])
    admission = gdsf.admit("new", 11, 1.0)
    assert (admission.verdict, admission.evicted) == ("pins leave no room", ())
    assert set(gdsf.in_order()) == {"a", "b", "c"}


def test_a_key_can_be_pinned_before_it_is_here() -> None:
    gdsf = filled(20, ("a", 10, 1.0))
    gdsf.pin(["later"])
    gdsf.admit("later", 10, 0.0)
    assert gdsf.admit("b", 10, 1.0).evicted == ("a",)


def test_what_is_pinned_no_more_can_go() -> None:
    gdsf = filled(20, ("a", 10, 1.0), ("b", 10, 2.0))
    gdsf.pin(["a"])
    gdsf.pin(["b"])
    assert gdsf.admit("c", 10, 1.0).evicted == ("a",)


def test_an_entry_larger_than_the_budget_is_refused_and_nothing_evicted() -> None:
    gdsf = filled(20, ("a", 10, 1.0))
    assert gdsf.admit("huge", 21, 1.0).verdict == "too large"
    assert gdsf.in_order() == ("a",)


def test_a_smaller_budget_takes_pinned_entries_last() -> None:
    gdsf = filled(30, ("pinned", 10, 0.0), ("other", 10, 9.0), ("too", 10, 0.5))
    gdsf.pin(["pinned", "too"])
    assert gdsf.resize(20) == ("other",)
    assert gdsf.resize(10) == ("pinned",)
    assert gdsf.resize(0) == ("too",)


def test_a_budget_of_nothing_holds_nothing() -> None:
    assert Gdsf[str](0).admit("a", 1, 1.0).verdict == "too large"


class AgainstAList(RuleBasedStateMachine):
    """The same as a list that is sorted for every eviction."""

    keys = st.sampled_from("abcdefgh")
    sizes = st.integers(0, 6)

    def __init__(self) -> None:
        super().__init__()
        self.gdsf: Gdsf[str] = Gdsf(12)
        self.budget = 12
        self.clock = 0.0
        self.turn = 0
        self.pinned: set[str] = set()
        self.model: dict[str, dict[str, float]] = {}

    def value(self, key: str) -> None:
        self.turn += 1
        entry = self.model[key]
        entry["priority"] = self.clock + entry["frequency"] * entry["seconds"] / max(1, entry["nbytes"])
        entry["turn"] = self.turn

    def used(self, keys: set[str] | None = None) -> float:
        return sum(entry["nbytes"] for key, entry in self.model.items() if keys is None or key in keys)

    def evict_one(self, pins: bool = False) -> list[str]:
        free = [key for key in self.model if key not in self.pinned] or (list(self.model) if pins else [])
        victim = min(free, key=lambda key: (self.model[key]["priority"], self.model[key]["turn"]), default=None)
        if victim is None:
            return []
        self.clock = max(self.clock, self.model.pop(victim)["priority"])
        return [victim]

    def evict_to(self, nbytes: float, pins: bool = False) -> list[str]:
        gone: list[str] = []
        while self.used() > nbytes and (victim := self.evict_one(pins)):
            gone += victim
        return gone

    @rule(key=keys, nbytes=sizes, seconds=st.integers(0, 5))
    def admit(self, key: str, nbytes: int, seconds: int) -> None:
        before = self.model.pop(key, None)
        refused = nbytes > self.budget - self.used(self.pinned)
        gone = [] if refused else self.evict_to(self.budget - nbytes)
        admission = self.gdsf.admit(key, nbytes, float(seconds))
        assert (admission.verdict != "stored") == refused
        assert list(admission.evicted) == gone
        if not refused:
            frequency = 1 + (before["frequency"] if before else 0)
            self.model[key] = {"nbytes": nbytes, "seconds": seconds, "frequency": frequency}
            self.value(key)

    @rule(key=keys)
    def touch(self, key: str) -> None:
        self.gdsf.touch(key)
        if key in self.model:
            self.model[key]["frequency"] += 1
            self.value(key)

    @rule(key=keys)
    def remove(self, key: str) -> None:
        self.gdsf.remove(key)
        self.model.pop(key, None)

    @rule(pinned=st.sets(keys, max_size=3))
    def pin(self, pinned: set[str]) -> None:
        self.gdsf.pin(pinned)
        self.pinned = pinned

    @rule(budget=st.integers(4, 16))
    def resize(self, budget: int) -> None:
        self.budget = budget
        assert list(self.gdsf.resize(budget)) == self.evict_to(budget, pins=True)

    @rule()
    def evict(self) -> None:
        assert list(self.gdsf.evict()) == self.evict_one()

    @invariant()
    def holds_the_same_within_the_budget(self) -> None:
        assert set(self.gdsf.in_order()) == set(self.model)
        assert self.gdsf.nbytes == self.used() <= self.budget


TestAgainstAList = AgainstAList.TestCase
TestAgainstAList.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
