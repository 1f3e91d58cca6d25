"""Commits of a repository on this machine as snapshots of its Python files.

It asks `git` for names and contents and nothing else. What always holds: nothing that the repository configures is run
(no hooks, filters, text conversions, pagers, monitors, fetches), nothing is checked out or written.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from inkling import git
from inkling.errors import UserError
from model.evaluation.packages import LARGEST_FILE, LARGEST_TEXT, readable_name
from model.evaluation.replay_history import Snapshot

_MOST_FILES = 5000
_BLOBS = ("100644", "100755")  # no links, no submodules


class GitError(UserError):
    """The repository cannot be read as a history."""


def commits(repository: Path, count: int, most: int) -> tuple[Snapshot, ...]:
    """`count` snapshots, oldest first, evenly from the last `most` commits on the way of first parents to HEAD.

    Raises GitError where there is no git, no repository, or fewer than two commits.
    """
    listed = _git(repository, "rev-list", "--first-parent", f"--max-count={most}", "HEAD").decode().split()[::-1]
    if len(listed) < 2:
        raise GitError(f"{repository} has {len(listed)} commits; a history needs at least 2.")
    steps = min(count, len(listed)) - 1
    chosen = dict.fromkeys(listed[round(number * (len(listed) - 1) / steps)] for number in range(steps + 1))
    return tuple(Snapshot(commit[:10], _files(repository, commit)) for commit in chosen)


def _files(repository: Path, commit: str) -> dict[str, str]:
    """Python files of a commit that are UTF-8: text by path, without those that no package would have."""
    wanted = list(_listed(repository, commit))
    asked = "".join(f"{blob}\n" for blob, _ in wanted).encode()
    answer = _git(repository, "cat-file", "--batch", asked=asked)
    found, at = {}, 0
    for blob, path in wanted:
        end = answer.index(b"\n", at)
        head = answer[at:end].split()
        if len(head) != 3 or head[1] != b"blob":
            raise GitError(f"git has no contents for {path} ({blob}) in {repository}: is it a partial clone?")
        size = int(head[2])
        data = answer[end + 1 : end + 1 + size]
        at = end + size + 2
        try:
            found[path] = data.decode("utf-8").replace("\r\n", "\n")
        except UnicodeDecodeError:
            continue
    return found


def _listed(repository: Path, commit: str) -> Iterator[tuple[str, str]]:
    """Blob and path of each file to read. Raises GitError where it would be too much."""
    answer = _git(repository, "ls-tree", "-r", "-l", "-z", "--full-tree", commit)
    total = files = 0
    for entry in answer.split(b"\0"):
        head, tab, name = entry.partition(b"\t")
        if not tab:
            continue
        mode, _, blob, size = head.decode().split()
        path = os.fsdecode(name)
        if mode not in _BLOBS or not readable_name(path) or int(size) > LARGEST_FILE:
            continue
        total += int(size)
        files += 1
        if total > LARGEST_TEXT or files > _MOST_FILES:
            raise GitError(f"{repository} has more Python text than is replayed: {files:,} files at least.")
        yield blob, path


def _git(repository: Path, *arguments: str, asked: bytes = b"") -> bytes:
    """What git answers. Raises GitError."""
    try:
        return git.answer(repository, *arguments, asked=asked)
    except git.NoAnswerError as error:
        raise GitError(f"{repository} cannot be read as a repository: {error}.") from error
