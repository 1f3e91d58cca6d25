"""Whether what was accepted is in the next commit is asked of git, and nothing of the repository's is run."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from feedback.commits import committed
from feedback.consent import Consent, Consents
from feedback.database import open_database
from feedback.recorder import Recorder
from feedback.records import Committed, Outcome, Suggestion

Make = Callable[..., Suggestion]
TIME = 1_700_000_000


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    root.mkdir()
    git(root, "init", "-q")
    (root / "a.py").write_text("x = 1\n")
    commit(root, TIME)
    return root


def git(root: Path, *arguments: str, at: int = TIME) -> str:
    who = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}
    when = {"GIT_AUTHOR_DATE": f"{at} +0000", "GIT_COMMITTER_DATE": f"{at} +0000"}
    environment = {**os.environ, **who, **when, "GIT_CONFIG_GLOBAL": os.devnull}
    done = subprocess.run(["git", *arguments], cwd=root, env=environment, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(root: Path, at: int) -> str:
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "more", at=at)
    return git(root, "rev-parse", "HEAD")


@pytest.fixture
def look(place: Path, consents: Consents, repository: Path, suggestion: Make) -> Callable[[], list[Committed]]:
    """Two suggestions were accepted after the first commit; what is known of them now."""
    consents.set(repository, Consent.LOCAL)
    recorder = Recorder(place, consents, lambda path: False)
    workspace = str(repository)
    recorder.record(suggestion("kept", at=TIME + 10.0, workspace=workspace, path="a.py", text="compute(1, 2)"))
    recorder.record(suggestion("changed", at=TIME + 10.0, workspace=workspace, path="a.py", text="something_else()"))
    recorder.record(suggestion("refused", at=TIME + 10.0, workspace=workspace, path="a.py", text="compute(1, 2)"))
    recorder.record(Outcome("kept", TIME + 20.0, "accepted", 13, "client", 1.0))
    recorder.record(Outcome("changed", TIME + 20.0, "accepted", 16, "client", 1.0))
    recorder.record(Outcome("refused", TIME + 20.0, "rejected", 0, "client", 1.0))

    def found() -> list[Committed]:
        assert recorder.flush(20)
        engine = open_database(place)
        facts = list(committed(engine, [workspace], now=TIME + 500.0))
        engine.dispose()
        for fact in facts:
            recorder.record(fact)
        assert recorder.flush(20)
        return sorted(facts, key=lambda fact: fact.suggestion)

    return found


def test_the_next_commit_tells_what_was_kept_and_is_asked_once(
    repository: Path, look: Callable[[], list[Committed]]
) -> None:
    assert look() == []
    (repository / "a.py").write_text("x = 1\ny = compute(1, 2)\n")
    first = commit(repository, TIME + 100)
    (repository / "a.py").write_text("x = 1\n")
    commit(repository, TIME + 200)
    changed, kept = look()
    assert (kept.commit, kept.kept) == (first, 1.0)
    assert changed.kept < 0.3
    assert look() == []


def test_a_commit_of_another_file_says_nothing(repository: Path, look: Callable[[], list[Committed]]) -> None:
    (repository / "b.py").write_text("y = compute(1, 2)\n")
    commit(repository, TIME + 100)
    assert look() == []


def test_programs_that_the_repository_names_are_not_run(repository: Path, look: Callable[[], list[Committed]]) -> None:
    trap = repository.parent / "trap.sh"
    trap.write_text(f"#!/bin/sh\ntouch {repository.parent}/sprung\n")
    trap.chmod(0o755)
    (repository / "a.py").write_text("y = compute(1, 2)\n")
    (repository / ".gitattributes").write_text("*.py diff=trap\n")
    commit(repository, TIME + 100)
    for name in (
        "core.pager",
        "core.fsmonitor",
        "diff.external",
        "diff.trap.textconv",
        "diff.trap.command",
        "gpg.program",
    ):
        git(repository, "config", name, str(trap))
    git(repository, "config", "log.showSignature", "true")
    assert [fact.suggestion for fact in look()] == ["changed", "kept"]
    assert not (repository.parent / "sprung").exists()


def test_a_folder_that_is_no_repository_is_no_trouble(place: Path, tmp_path: Path, recorder: Recorder) -> None:
    engine = open_database(place)
    assert list(committed(engine, [str(tmp_path), "/nowhere"])) == []
    engine.dispose()
