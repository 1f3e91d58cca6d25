"""Spans are lines of code, several of them, or bodies; what is taken out can be put back."""

from random import Random

import pytest

from model.evaluation.completion_spans import TASKS, Span, spans

TEXT = '''"""Prose at the top of a module."""

import os

# a comment
LIMIT = 10
NAMES = [
    "one",
]


def short(): return 1


def read(path, limit=LIMIT):
    """Prose about reading.

    More prose.
    """
    # why
    with open(path) as file:
        lines = file.readlines()

    found = [line for line in lines if line]
    return found[:limit]


class Reader:
    def close(self):
        return None

    @property
    def name(self):
        @staticmethod
        def inner():
            pass
        return inner
'''


def taken(task: str, seed: int = 0) -> list[str]:
    return [TEXT[span.start : span.stop] for span in spans(task, TEXT, Random(seed))]  # type: ignore[arg-type]


def of_kind(kind: str) -> list[str]:
    found: list[Span] = [span for seed in range(20) for span in spans("line", TEXT, Random(seed))]
    return [TEXT[span.start : span.stop] for span in found if span.kind == kind]


def test_a_line_is_whole_or_its_rest_and_never_blank():
    whole, rest = set(of_kind("whole line")), set(of_kind("rest of a line"))
    lines = {line.strip() for line in TEXT.split("\n")}
    assert whole <= lines
    assert all(any(line.endswith(each) and line != each for line in lines) for each in rest)
    assert all(each.strip() for each in whole | rest)
    assert "return found[:limit]" in whole


def test_comments_prose_and_lone_brackets_are_not_asked_for():
    assert not any("rose" in each or each.startswith("#") or each in ("]", '"one",') for each in of_kind("whole line"))


def test_some_lines_are_two_to_six_of_one_function():
    for seed in range(20):
        for each in taken("lines", seed):
            assert 2 <= each.count("\n") + 1 <= 6
            assert "class" not in each
            assert each == each.strip()


def test_a_body_is_what_stands_below_the_signature_and_the_docstring():
    bodies = taken("section")
    assert sorted(each.split("\n", 1)[0] for each in bodies) == ["@staticmethod", "with open(path) as file:"]
    assert max(bodies, key=len).endswith("return found[:limit]")


@pytest.mark.parametrize("task", TASKS)
def test_the_same_random_numbers_give_the_same_spans(task: str):
    assert taken(task, 1) == taken(task, 1)
    assert sorted(taken("section", 1)) == sorted(taken("section", 2))


@pytest.mark.parametrize("text", ["def broken(", "", "x = 1\r\ny = 2\r\n"])
def test_what_is_no_python_of_today_has_no_spans(text: str):
    assert all(spans(task, text, Random(0)) == [] for task in TASKS)
