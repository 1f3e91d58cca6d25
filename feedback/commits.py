"""Is what was accepted in the next commit of its file? Asks `git` about workspaces whose owner allowed recording.

It reads the database and the repository and writes neither. Always: nothing that a repository's own settings name is
run (no hooks, pagers, external diffs, text conversions, signature programs, fetches); a folder that is no repository,
a file that was not committed yet or a `git` that is missing only means that nothing is known yet.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, select

from feedback import schema
from feedback.records import Committed
from feedback.survival import kept_share
from inkling import git

_SECONDS = 10.0  # for one call of git
_LOOK_BACK = 30 * 86_400.0
_MOST = 200  # suggestions in one look


@dataclass(frozen=True)
class _Accepted:
    id: str
    at: float
    workspace: str
    path: str
    text: str


def committed(database: Engine, workspaces: Iterable[str], now: float | None = None) -> Iterator[Committed]:
    """One fact for each accepted suggestion whose file was committed since; those that are known are left out."""
    now = time.time() if now is None else now
    heads: dict[str, float] = {}
    for one in _waiting(database, tuple(workspaces), now):
        if one.workspace not in heads:
            heads[one.workspace] = _head_time(one.workspace)
        if heads[one.workspace] < one.at:
            continue
        commit = _next_commit(one.workspace, one.path, one.at)
        added = _added(one.workspace, one.path, commit) if commit else None
        if commit and added is not None:
            yield Committed(one.id, now, commit, kept_share(one.text, added))


def _waiting(database: Engine, workspaces: tuple[str, ...], now: float) -> list[_Accepted]:
    s, o, c, t = schema.suggestions, schema.outcomes, schema.commits, schema.texts
    with database.connect() as connection:
        rows = connection.execute(
            select(s.c.id, o.c.at, s.c.workspace, s.c.path, t.c.text, o.c.length)
            .join(o, o.c.suggestion == s.c.id)
            .join(t, t.c.hash == s.c.text)
            .outerjoin(c, c.c.suggestion == s.c.id)
            .where(
                s.c.workspace.in_(workspaces),
                s.c.at > now - _LOOK_BACK,
                o.c.kind.in_(("accepted", "partial")),
                c.c.suggestion.is_(None),
            )
            .order_by(s.c.at.desc())
            .limit(_MOST)
        ).all()
    return [_Accepted(id, at, workspace, path, text[:length]) for id, at, workspace, path, text, length in rows]


def _head_time(root: str) -> float:
    answer = ask_git(root, "log", "-1", "--format=%ct")
    return float(answer.strip() or "-inf") if answer is not None else float("-inf")


def _next_commit(root: str, path: str, after: float) -> str | None:
    answer = ask_git(root, "log", "--format=%ct %H", f"--since={int(after)}", "--", path)
    later = [line.split() for line in (answer or "").splitlines()]
    later = [found for found in later if float(found[0]) >= int(after)]
    return later[-1][1] if later else None


def _added(root: str, path: str, commit: str) -> str | None:
    """The lines that the commit added to the file."""
    patch = ask_git(
        root, "show", "--format=", "--unified=0", "--no-ext-diff", "--no-textconv", "--no-color", commit, "--", path
    )
    if patch is None:
        return None
    lines = patch.split("\n")
    return "\n".join(line[1:] for line in lines if line.startswith("+") and not line.startswith("+++ "))


def ask_git(root: str, *arguments: str) -> str | None:
    """What git answers about this folder; None where it is no repository, git is missing, fails or takes too long."""
    found = git.ask(Path(root), *arguments, seconds=_SECONDS)
    return found.decode("utf-8", "replace") if found is not None else None
