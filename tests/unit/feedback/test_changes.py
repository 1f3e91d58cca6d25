"""What commits changed, as git says it; a repository's own settings run nothing."""

import subprocess
from pathlib import Path

import pytest

from feedback.changes import changes


def git(root: Path, *arguments: str, at: int = 1_700_000_000) -> None:
    environment = {
        "GIT_AUTHOR_NAME": "me", "GIT_AUTHOR_EMAIL": "me@here", "GIT_COMMITTER_NAME": "me",
        "GIT_COMMITTER_EMAIL": "me@here", "GIT_COMMITTER_DATE": f"{at} +0000", "GIT_AUTHOR_DATE": f"{at} +0000",
        "PATH": "/usr/bin:/bin:/usr/local/bin", "HOME": str(root), "GIT_CONFIG_NOSYSTEM": "1",
    }  # fmt: skip
    subprocess.run(["git", *arguments], cwd=root, env=environment, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    root.mkdir()
    git(root, "init", "-q")
    for number, text in enumerate(("x = 1\n", "x = 1\ny = 2\r\n", "x = 3\ny = 2\n")):
        (root / "a.py").write_bytes(text.encode())
        if number == 1:
            (root / "b.py").write_text("import a\n")
            (root / ".env").write_text("TOKEN=1\n")
            (root / "data.bin").write_bytes(b"\x00\xff\x00")
        git(root, "add", "-A")
        git(root, "commit", "-q", "-m", f"commit {number}", at=1_700_000_000 + 100 * number)
    return root


def test_each_file_is_told_before_and_after_oldest_commit_first(repository: Path) -> None:
    found = list(changes(str(repository), 2_000_000_000, skip=lambda path: path.startswith(".env")))
    assert [(one.path, one.before, one.after) for one in found] == [
        ("a.py", "", "x = 1\n"),
        ("a.py", "x = 1\n", "x = 1\ny = 2\n"),
        ("b.py", "", "import a\n"),
        ("a.py", "x = 1\ny = 2\n", "x = 3\ny = 2\n"),
    ]
    assert [one.at for one in found] == [1_700_000_000, 1_700_000_100, 1_700_000_100, 1_700_000_200]


def test_what_is_newer_than_a_time_is_left_out(repository: Path) -> None:
    assert {one.at for one in changes(str(repository), 1_700_000_100)} == {1_700_000_000}


def test_the_newest_commits_are_taken(repository: Path) -> None:
    assert {one.at for one in changes(str(repository), 2_000_000_000, most_commits=1)} == {1_700_000_200}


def test_of_a_repository_only_the_workspace_s_own_folder_is_read(repository: Path) -> None:
    for name in ("mine", "not_mine"):
        (repository / name).mkdir()
        (repository / name / "c.py").write_text(f"{name} = 1\n")
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "two folders", at=1_700_000_300)
    (repository / "mine" / "c.py").write_text("mine = 2\n")
    git(repository, "commit", "-q", "-am", "one of them", at=1_700_000_400)
    found = list(changes(str(repository / "mine"), 2_000_000_000))
    assert [(one.path, one.before, one.after) for one in found] == [
        ("c.py", "", "mine = 1\n"),
        ("c.py", "mine = 1\n", "mine = 2\n"),
    ]


def test_no_repository_has_no_changes(tmp_path: Path) -> None:
    assert list(changes(str(tmp_path), 2_000_000_000)) == []
    assert list(changes(str(tmp_path / "gone"), 2_000_000_000)) == []


def test_nothing_that_the_repository_names_is_run(repository: Path, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    git(repository, "config", "diff.external", f"touch {ran}")
    git(repository, "config", "diff.spy.textconv", f"touch {ran};cat")
    git(repository, "config", "core.fsmonitor", f"touch {ran}")
    git(repository, "config", "core.pager", f"touch {ran}")
    (repository / ".gitattributes").write_text("*.py diff=spy\n")
    assert len(list(changes(str(repository), 2_000_000_000))) == 5
    assert not ran.exists()
