"""Commits are read as they are, and a repository that would like to run something does not get to."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from model.evaluation.replay_git import GitError, commits
from model.evaluation.replay_sources import of_repository

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")


def git(folder: Path, *arguments: str) -> None:
    identity = {
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@b",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@b",
    }
    subprocess.run(["git", *arguments], cwd=folder, env={**os.environ, **identity}, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Five commits, each with one more line in `shop/a.py`."""
    folder = tmp_path / "shop-repository"
    (folder / "shop").mkdir(parents=True)
    git(folder, "init", "-q")
    for number in range(5):
        with (folder / "shop" / "a.py").open("a", newline="\r\n") as file:
            file.write(f"x{number} = {number}\n")
        (folder / "notes.txt").write_text("no Python\n")
        (folder / "broken.py").write_bytes(b"x = '\xff'\n")
        git(folder, "add", ".")
        git(folder, "commit", "-q", "-m", f"number {number}")
    return folder


def test_the_first_and_the_last_commit_are_there_and_others_evenly(repository: Path):
    found = commits(repository, 3, 100)
    assert [snapshot.files["shop/a.py"].count("\n") for snapshot in found] == [1, 3, 5]
    assert all(set(snapshot.files) == {"shop/a.py"} for snapshot in found)
    assert "\r" not in found[0].files["shop/a.py"]


def test_only_the_last_commits_count(repository: Path):
    assert [snapshot.files["shop/a.py"].count("\n") for snapshot in commits(repository, 9, 2)] == [4, 5]


def test_what_was_not_committed_is_not_seen(repository: Path):
    (repository / "shop" / "a.py").write_text("y = 1\n")
    assert commits(repository, 2, 100)[-1].files["shop/a.py"].startswith("x0 = 0\n")


def test_nothing_that_the_repository_configures_is_run(repository: Path, tmp_path: Path):
    trap = tmp_path / "trap"
    script = tmp_path / "run"
    script.write_text(f"#!/bin/sh\ntouch {trap}\ncat\n")
    script.chmod(0o755)
    for name in (
        "core.fsmonitor",
        "core.pager",
        "filter.f.smudge",
        "diff.d.textconv",
        "gpg.program",
        "core.sshCommand",
    ):
        git(repository, "config", name, str(script))
    (repository / ".gitattributes").write_text("*.py filter=f diff=d\n")
    git(repository, "config", "filter.f.clean", "cat")
    assert len(commits(repository, 3, 100)) == 3
    assert not trap.exists()


def test_a_folder_that_is_no_repository_is_named(tmp_path: Path):
    with pytest.raises(GitError, match="cannot be read as a repository"):
        commits(tmp_path, 3, 100)
    with pytest.raises(GitError, match="could not be asked"):
        commits(tmp_path / "nowhere", 3, 100)


def test_one_commit_is_no_history(repository: Path):
    with pytest.raises(GitError, match="at least 2"):
        commits(repository, 3, 1)


def test_the_repository_gives_the_history_its_name(repository: Path):
    assert of_repository(repository, 3, 100).name == "shop-repository"
