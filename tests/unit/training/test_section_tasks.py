"""Commits become steps: small ones, in an order in which each knows what it uses, from before what is measured."""

from collections import Counter
from dataclasses import replace

import pytest

from feedback.changes import Change
from model.training.section_tasks import MOST_CHARACTERS, Section, sections_of, steps_of
from tests.unit.training.tiny_language import HABITS, written

BEFORE = '''"""A module."""

import math


def area(width, height):
    return width * height


print(area(1, 2))
'''
AFTER = '''"""A module."""

import math


def area(width, height):
    return width * height


def describe(shape):
    """The shape in words."""
    return f"{shape.name}: {round_up(shape.size)}"


def round_up(value):
    """The next whole number."""
    return math.ceil(value)


print(area(1, 2))
print(describe(shape_of("square")), "is what was asked for")
'''
SHAPES = '''class Shape:
    """A name and a size."""

    def __init__(self, name, size):
        self.name, self.size = name, size


def shape_of(name):
    """The shape of this name."""
    return Shape(name, 1.5)
'''


def change(path: str, before: str, after: str, at: float = 1.0, commit: str = "c1") -> Change:
    return Change("/home/me/project", commit, at, path, before, after)


COMMIT = [change("main.py", BEFORE, AFTER), change("shapes.py", "", SHAPES)]


def steps(commit: list[Change]) -> tuple[list[Section], Counter[str]]:
    dropped: Counter[str] = Counter()
    return steps_of(commit, dropped), dropped


def finished(section: Section) -> str:
    before, behind = section.finished
    return before + section.target + behind


def test_definitions_come_before_what_uses_them_and_before_the_rest() -> None:
    found, _ = steps(COMMIT)
    firsts = [section.target.split("\n")[0] for section in found]
    assert firsts.index("def round_up(value):") < firsts.index("def describe(shape):")
    assert firsts.index("class Shape:") < firsts.index("def shape_of(name):")
    assert firsts[-1].startswith("print(describe")


def test_each_step_fits_into_the_finished_file() -> None:
    found, dropped = steps(COMMIT)
    assert {finished(section) for section in found} == {AFTER, SHAPES}
    assert sum(dropped.values()) == 0


def test_a_step_sees_what_was_done_and_not_what_comes() -> None:
    found, _ = steps(COMMIT)
    by_name = {section.target.split("(")[0].split(":")[0]: section for section in found}
    describe, last = by_name["def describe"], found[-1]
    assert "def round_up" in describe.request.suffix
    assert "print(describe" not in describe.request.suffix
    assert "def describe" in last.request.prefix
    assert [document.path for document in last.request.documents] == ["shapes.py"]
    assert "def shape_of" in last.request.documents[0].text


def test_text_that_gives_way_is_gone_at_its_own_step_and_there_at_earlier_ones() -> None:
    before = "def one():\n    return compute(1, 2, 3)\n\n\nvalue = one() + one() + 1  # a sum\n"
    after = "def one():\n    return compute(2, 4, 6)\n\n\nvalue = one() * one() * 2  # a product\n"
    found, _ = steps([change("a.py", before, after)])
    function = next(section for section in found if "compute(2, 4, 6)" in section.target)
    assert function.replaced == "return compute(1, 2, 3)"
    assert "compute(1, 2, 3)" not in function.request.prefix + function.request.suffix
    value = next(section for section in found if "# a product" in section.target)
    assert value.replaced == "value = one() + one() + 1  # a sum"
    first, second = found
    other = {function.target: "# a sum", value.target: "compute(1, 2, 3)"}[first.target]
    assert other in first.request.prefix + first.request.suffix
    assert first.target in second.request.prefix + second.request.suffix


def test_a_large_file_is_cut_into_pieces_that_are_small_enough() -> None:
    methods = "".join(
        f"    def method_{number}(self, value):\n        total = value * {number}\n        return total + {number}\n\n"
        for number in range(30)
    )
    found, _ = steps([change("big.py", "", f"class Big:\n{methods}")])
    assert len(found) > 20
    assert all(len(section.target) <= MOST_CHARACTERS for section in found)
    assert {finished(section).rstrip() for section in found} == {f"class Big:\n{methods}".rstrip()}


def test_what_is_left_out_is_counted() -> None:
    _, dropped = steps([change("notes.xyz", "", "a\nb\n"), change("a.py", "", "x = 1\n")])
    assert dropped == {"no_grammar": 1, "too_short": 1}
    _, dropped = steps([change("a.py", "", f"table = {list(range(600))}\n")])
    assert dropped == {"too_long": 1}


def test_settled_texts_of_several_lines_are_sections_and_come_last() -> None:
    example = replace(written(HABITS, 1)[0], target="for name in names:\n    print(name)")
    found = sections_of([example, *written(HABITS, 3)], COMMIT, until=10.0, measured=[])
    assert found.usable[-1].target == example.target
    assert found.usable[-1].request.prefix == example.prefix
    assert {section.commit for section in found.usable[:-1]} == {"c1"}
    assert {section.request.repository for section in found.usable} == {"project"}


@pytest.mark.parametrize(
    ("until", "measured", "reasons"),
    [
        (1.0, [], {"newer": 2}),
        (10.0, ["    return math.ceil(value)"], {"leaked": 1}),
        (10.0, ["short"], {}),
    ],
)
def test_nothing_that_is_measured_on_is_written(until: float, measured: list[str], reasons: dict[str, int]) -> None:
    assert sections_of([], COMMIT, until=until, measured=measured).dropped == reasons


def test_the_same_text_at_the_same_place_is_written_once() -> None:
    again = [replace(one, commit="c2") for one in COMMIT]
    once = sections_of([], COMMIT, until=10.0, measured=[])
    twice = sections_of([], [*COMMIT, *again], until=10.0, measured=[])
    assert len(twice.usable) == len(once.usable)
    assert twice.dropped == {"duplicate": len(once.usable)}
