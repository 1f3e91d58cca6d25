"""What a section that was written is worth: likeness of the edit, times syntax and tests, less findings and length.

Pure but for the checks that it is given: linters and tests run where somebody says how. What always holds: no sample
is dropped for being invalid, so a bad one costs; a fault counts only where the real text has none; every part of a
reward is kept by its name, so that what was gained can be seen.
"""

import ast
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from feedback.rewards import edit_likeness
from model.filters import breaks_syntax
from model.training.section_tasks import Section
from model.training.writing import Sample

BROKEN = 0.5  # what is left of the likeness where the file does not parse any more
FAILED = 0.5  # and where tests fail
FINDING_COST = 0.05  # each new finding of a linter
MOST_FINDINGS = 4
ENDLESS_COST = 0.1  # of a text that does not end by itself
LENGTH_COST = 0.1  # for each doubling by which it is longer or shorter than twice or half of the real text
MOST_DOUBLINGS = 3.0

Lint = Callable[[Section, str], int]  # findings in the finished file with this text at the cursor
Tests = Callable[[Section, str], bool | None]  # whether they pass with this text; None where nothing can be told


@dataclass(frozen=True)
class Reward:
    """`likeness` 0 to 1; `syntax` and `tests` are factors, at most 1; `lint` and `length` are costs, at most 0."""

    likeness: float
    syntax: float = 1.0
    tests: float = 1.0
    lint: float = 0.0
    length: float = 0.0

    @property
    def total(self) -> float:
        """The product and what is taken off."""
        return self.likeness * self.syntax * self.tests + self.lint + self.length

    @property
    def components(self) -> Mapping[str, float]:
        """By name."""
        return asdict(self)


class Checks:
    """What linters and tests say, remembered for the real texts. Without both, likeness and syntax decide."""

    def __init__(self, lint: Lint | None = None, tests: Tests | None = None) -> None:
        self._lint = lint
        self._tests = tests
        self._real: dict[tuple[str, str, str], tuple[int, bool | None]] = {}

    def findings(self, section: Section, text: str) -> int:
        """New ones, which the real text does not have."""
        if self._lint is None:
            return 0
        return max(0, self._lint(section, text) - self._of_real(section)[0])

    def fails(self, section: Section, text: str) -> bool:
        """Whether tests fail that pass with the real text."""
        if self._tests is None or self._of_real(section)[1] is not True:
            return False
        return text.rstrip() != section.target.rstrip() and self._tests(section, text) is False

    def _of_real(self, section: Section) -> tuple[int, bool | None]:
        key = (section.commit, section.request.prefix, section.target)
        if key not in self._real:
            findings = self._lint(section, section.target) if self._lint is not None else 0
            self._real[key] = (findings, self._tests(section, section.target) if self._tests is not None else None)
        return self._real[key]


def reward_of(section: Section, sample: Sample, checks: Checks | None = None) -> Reward:
    """The reward of a sample, part by part."""
    checks = checks or Checks()
    written, real = sample.text.rstrip(), section.target.rstrip()
    broken = _parses(section, section.target) and not _parses(section, sample.text)
    findings = 0 if broken else min(checks.findings(section, written), MOST_FINDINGS)
    return Reward(
        likeness=edit_likeness(section.replaced, written, real),
        syntax=BROKEN if broken else 1.0,
        tests=FAILED if broken or checks.fails(section, written) else 1.0,
        lint=-FINDING_COST * findings,
        length=-length_cost(len(written), len(real)) - (0.0 if sample.ended else ENDLESS_COST),
    )


def length_cost(written: int, real: int) -> float:
    """Nothing up to twice or half of the real length, then LENGTH_COST for each doubling."""
    doublings = abs(math.log2((written + 1) / (real + 1))) - 1
    return LENGTH_COST * min(max(doublings, 0.0), MOST_DOUBLINGS)


def advantages(rewards: Sequence[float]) -> NDArray[np.float64]:
    """What each is above the mean of its group. Not divided by the deviation: a tiny one would make noise a lesson."""
    values = np.asarray(rewards, dtype=np.float64)
    return np.asarray(values - values.mean())


def _parses(section: Section, text: str) -> bool:
    """Whether the finished file holds together with this text at the cursor; true where no grammar is known."""
    before, behind = section.finished
    if section.request.language != "python":
        return not breaks_syntax(text, section.request.language, before, behind)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(before + text + behind)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True
