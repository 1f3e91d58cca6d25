"""Findings are counted on the finished text; tests run in a copy of the commit, and what hangs is ended."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from inkling.errors import UserError
from model.completion import CompletionRequest
from model.training.section_tasks import Section
from model.training.sections import Checks, reward_of
from model.training.writing import Sample
from server import section_checks
from server.section_checks import CommandTests, RuffLint

MODULE = "def double(value):\n    return value * 2\n"
TEST = "from module import double\n\nassert double(4) == 8\n"


@pytest.fixture
def repository(tmp_path: Path) -> tuple[Path, str]:
    """A repository with a module and a script that tests it, and its commit."""
    root = tmp_path / "project"
    root.mkdir()
    (root / "module.py").write_text(MODULE)
    (root / "check.py").write_text(TEST)
    who = {f"GIT_{role}_{what}": "me@here" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    for arguments in (("init", "-q"), ("add", "-A"), ("commit", "-q", "-m", "first")):
        subprocess.run(["git", *arguments], cwd=root, env={**os.environ, **who}, check=True)
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, check=True, capture_output=True, text=True)
    return root, head.stdout.strip()


def section(root: Path, commit: str) -> Section:
    request = CompletionRequest("module.py", "python", "def double(value):\n    ", "\n")
    return Section(request, "return value * 2", workspace=str(root), commit=commit)


def test_tests_tell_what_works_and_leave_the_repository_alone(repository: tuple[Path, str]) -> None:
    root, commit = repository
    asked = section(root, commit)
    with CommandTests(f"{sys.executable} check.py") as tests:
        assert tests(asked, "return value * 2") is True
        assert tests(asked, "return value + value") is True
        assert tests(asked, "return value") is False
        assert tests(asked, "return value * 2") is True  # what failed left nothing behind
        reward = reward_of(asked, Sample((1,), "return value", True), Checks(tests=tests))
        copies = Path(tests._folder.name)
    assert reward.tests == 0.5
    assert not copies.exists()
    assert (root / "module.py").read_text() == MODULE


def test_what_is_no_commit_says_nothing(repository: tuple[Path, str], tmp_path: Path) -> None:
    root, commit = repository
    asked = section(root, commit)
    with CommandTests(f"{sys.executable} check.py") as tests:
        assert tests(replace(asked, commit=""), "return 1") is None
        assert tests(replace(asked, commit="0" * 40), "return 1") is None
        assert tests(replace(asked, workspace=str(tmp_path)), "return 1") is None
        assert tests(replace(asked, request=replace(asked.request, path="../check.py")), "return 1") is None


def test_what_hangs_fails(repository: tuple[Path, str]) -> None:
    asked = section(*repository)
    with CommandTests(f"{sys.executable} check.py", seconds=0.5) as tests:
        assert tests(asked, "import time; time.sleep(600)") is False


@pytest.mark.parametrize("command", ["no-such-program-anywhere -q", "python 'open", " "])
def test_a_command_that_cannot_be_run_is_said(command: str) -> None:
    with pytest.raises(UserError, match="--tests"):
        CommandTests(command)


def test_findings_are_those_of_the_finished_text(repository: tuple[Path, str]) -> None:
    asked = section(*repository)
    lint = RuffLint()
    assert lint(asked, "return value * 2") == 0
    assert lint(asked, "return undefined_name") == 1
    assert lint(replace(asked, request=replace(asked.request, language="lua")), "return undefined_name") == 0
    assert lint(replace(asked, workspace="/nowhere"), "return undefined_name") == 1


def test_a_commit_that_is_too_large_is_not_unpacked(
    repository: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, commit = repository
    monkeypatch.setattr(section_checks, "_LARGEST_COMMIT", 1000)
    with CommandTests(f"{sys.executable} check.py") as tests:
        assert tests(section(root, commit), "return value * 2") is None
