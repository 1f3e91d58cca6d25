"""A child process of ours is blind to what a workspace or a shell may have planted."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import inkling
import inkling.__main__ as launcher
from inkling.process import command, environment


def test_the_command_is_the_same_interpreter_isolated() -> None:
    assert command("serve", "--stdio") == [
        sys.executable, "-E", "-P", "-X", "utf8", "-m", "inkling", "serve", "--stdio",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "NODE_OPTIONS", "GIT_DIR"])
def test_what_could_inject_code_is_dropped(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "/planted")
    assert name not in environment()


def test_what_the_caller_adds_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLOUR", "red")
    assert environment({"COLOUR": "blue"})["COLOUR"] == "blue"


def test_a_child_speaks_utf8_whatever_the_locale_says() -> None:
    script = [each for each in command() if each not in ("-m", "inkling")] + ["-c", "print('ø→')"]
    answer = subprocess.run(script, capture_output=True, check=True, env=environment({"LC_ALL": "C"}))
    assert answer.stdout.decode("utf-8").strip() == "ø→"


def test_the_version_of_the_launcher_is_that_of_the_distribution(repository: Path) -> None:

    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == inkling.__version__


def test_in_a_checkout_the_packages_lie_at_its_root(repository: Path) -> None:
    assert launcher.packages_folder() == str(repository)
