"""A candidate that does something else than it is rewarded for is told by name."""

from dataclasses import replace
from pathlib import Path

import pytest

from model.training.network import load_network
from model.training.section_tasks import Section, section_of
from model.training.section_training import save_adapter
from model.training.sentinel import Behaviour, Bounds, Sentinel, drifts, slower
from model.training.serving import NIGHT_BUDGET, serving_format
from model.training.sft import SftOptions, train
from tests.unit.training.tiny_language import HABITS, OTHER_HABITS, written

SFT = SftOptions(rank=4, alpha=8, learning_rate=1e-2, epochs=6, batch=4)
COMPONENTS = {"likeness": 0.6, "syntax": 1.0, "tests": 1.0, "lint": 0.0, "length": -0.02}
BEFORE = Behaviour(20, 0.5, 0.3, 0.2, 24.0, 0.5, 0.4, COMPONENTS, seconds=0.4, tokens=9.0)


def broken(**changes: object) -> set[str]:
    """The guards that a candidate violates which differs from the champion in this."""
    after = replace(BEFORE, **changes)  # type: ignore[arg-type]
    return {guard.name for guard in drifts(BEFORE, after, Bounds()) if not guard.passed}


def test_the_same_behaviour_and_a_better_one_violate_nothing() -> None:
    assert broken() == set()
    better = {**COMPONENTS, "likeness": 0.9}
    assert broken(shown=0.9, shown_right=0.8, shown_wrong=0.1, edits=0.1, doublings=0.1, components=better) == set()
    assert broken(seconds=0.2, tokens=4.0) == set()


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"shown": 0.95, "shown_right": 0.35, "shown_wrong": 0.6}, "show rate"),  # shows whatever it has
        ({"shown": 0.05, "shown_right": 0.04, "shown_wrong": 0.01}, "show rate"),  # shows nothing any more
        ({"characters": 2.0, "doublings": 3.0}, "length"),
        ({"edits": 0.7}, "edit rate"),
        ({"components": {**COMPONENTS, "syntax": 0.94}}, "syntax"),
        ({"components": {**COMPONENTS, "tests": 0.6}}, "reward components"),
        ({"components": {**COMPONENTS, "length": -0.3}}, "reward components"),
        ({"seconds": 0.52, "tokens": 12.0}, "latency"),
    ],
)
def test_each_drift_has_a_name(changes: dict[str, object], name: str) -> None:
    assert broken(**changes) == {name}


def test_the_component_that_fell_most_is_said() -> None:
    after = replace(BEFORE, components={**COMPONENTS, "likeness": 0.5, "tests": 0.6})
    guard = next(guard for guard in drifts(BEFORE, after, Bounds()) if guard.name == "reward components")
    assert guard.value == pytest.approx(0.4)
    assert guard.rule.endswith("most fell tests")


def texts(*broken: int) -> Behaviour:
    """20 cursors, at some of which the text does not hold together."""
    syntax = [float(number not in broken) for number in range(20)]
    return replace(BEFORE, components={**COMPONENTS, "syntax": sum(syntax) / 20}, each={"syntax": syntax})


@pytest.mark.parametrize(
    ("before", "after", "held"),
    [((), (0,), True), ((), (0, 1), True), ((), (0, 1, 2), False), ((0, 1), (2, 3, 4), True),
     ((0, 1), (0, 1, 2, 3, 4), False)],
)  # fmt: skip
def test_syntax_may_fall_by_what_chance_takes(before: tuple[int, ...], after: tuple[int, ...], held: bool) -> None:
    guard = next(guard for guard in drifts(texts(*before), texts(*after), Bounds()) if guard.name == "syntax")
    assert guard.passed == held


def test_a_busy_machine_and_what_nobody_would_notice_are_not_slower() -> None:
    assert broken(seconds=1.2) == set()  # the same texts, while something else was computed
    assert slower(replace(BEFORE, seconds=0.02), replace(BEFORE, seconds=0.09, tokens=30.0)) == 1.0


def sections(count: int) -> list[Section]:
    return [section_of(example) for example in written(OTHER_HABITS, count, start=5000)]


def sentinel(base: Path, seconds: float = 60.0) -> Sentinel:
    return Sentinel(base, None, NIGHT_BUDGET, threads=1, bounds=Bounds(), seconds=seconds)


@pytest.fixture(scope="module")
def adapters(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One that knows the user, and one that was taught to babble."""
    folder = tmp_path_factory.mktemp("adapters")
    texts = {
        "learned": written(OTHER_HABITS, 42),
        "babbling": [replace(example, target="((((((((" + example.target) for example in written(HABITS, 42)],
    }
    for name, examples in texts.items():
        rows = [serving_format(tiny_base)(example) for example in examples]
        model, _ = train(
            load_network(tiny_base), rows, options=SFT, budget_seconds=600, run_folder=folder / f"{name}.run"
        )
        save_adapter(model, folder / name)
    return {name: folder / name for name in texts}


def test_who_learned_the_user_passes_with_figures_of_both(tiny_base: Path, adapters: dict[str, Path]) -> None:
    guards, figures = sentinel(tiny_base).watch(sections(12), None, adapters["learned"])
    assert all(guard.passed for guard in guards), guards
    names = ["show rate", "length", "edit rate", "syntax", "reward components", "latency"]
    assert [guard.name for guard in guards] == names
    assert all(0 < figures[who]["seconds"] < 60 and figures[who]["tokens"] > 0 for who in ("champion", "candidate"))
    assert figures["champion"]["cursors"] == figures["candidate"]["cursors"] == 12
    assert figures["candidate"]["edits"] < figures["champion"]["edits"]


def test_who_babbles_is_caught(tiny_base: Path, adapters: dict[str, Path]) -> None:
    guards, figures = sentinel(tiny_base).watch(sections(12), adapters["learned"], adapters["babbling"])
    assert {guard.name for guard in guards if not guard.passed} >= {"edit rate", "reward components"}
    assert figures["candidate"]["components"]["likeness"] < figures["champion"]["components"]["likeness"]


def test_no_time_still_looks_at_some_cursors_and_the_same_for_both(tiny_base: Path, adapters: dict[str, Path]) -> None:
    seen: list[int] = []
    _, figures = sentinel(tiny_base, seconds=0.0).watch(sections(12), None, adapters["learned"], seen.append)
    least = Bounds().least_cursors
    assert figures["champion"]["cursors"] == figures["candidate"]["cursors"] == least
    assert seen == [*range(1, least + 1), *range(1, least + 1)]
