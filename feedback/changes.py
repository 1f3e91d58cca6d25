"""What commits of a repository changed: the text of each changed file before and after, oldest commit first.

It asks `git` and writes nothing. Always: nothing that the repository's own settings name is run; of a
workspace inside a repository only its own files are read, by paths relative to it; merges, huge files,
what is no UTF-8 and what `skip` names are left out; a folder that is no repository has no changes.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from feedback.commits import ask_git

_LARGEST = 200_000  # characters of a file
_MOST_FILES = 12  # of one commit: more is a move or a formatter at work


@dataclass(frozen=True)
class Change:
    """One file of one commit. `before` is "" for a file that was new; `at` is when it was committed (Unix seconds)."""

    workspace: str
    commit: str
    at: float
    path: str
    before: str
    after: str


def changes(
    root: str, before: float, most_commits: int = 40, skip: Callable[[str], bool] = lambda path: False
) -> Iterator[Change]:
    """The changes of the newest commits that were made before a time. Merges belong to those who made their parts."""
    listed = ask_git(
        root, "log", "--no-merges", f"--max-count={most_commits}", f"--before={int(before)}", "--format=%H %ct",
        "--", ".",
    )  # fmt: skip
    for line in reversed((listed or "").splitlines()):
        commit, at = line.split()
        if float(at) >= before:
            continue
        paths = ask_git(
            root, "diff-tree", "--root", "-r", "-z", "--relative", "--no-commit-id", "--name-only", "--no-renames",
            "--diff-filter=AM", "--no-ext-diff", commit,
        )  # fmt: skip
        names = [name for name in (paths or "").split("\0") if name and not skip(name)]
        for path in names if len(names) <= _MOST_FILES else ():
            after = ask_git(root, "show", "--no-textconv", f"{commit}:./{path}")
            old = ask_git(root, "show", "--no-textconv", f"{commit}^:./{path}") or ""
            if after is None or "\ufffd" in after or "\0" in after or max(len(after), len(old)) > _LARGEST:
                continue
            yield Change(root, commit, float(at), path, old.replace("\r\n", "\n"), after.replace("\r\n", "\n"))
