"""Who belongs to a team: names, roles and the hashes of their tokens, in one small file of the service.

It knows no HTTP. What always holds: a token is shown once, when it is made, and cannot be read back; the file is
replaced as a whole and only its owner may read it.
"""

import hashlib
import hmac
import json
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from inkling.errors import UserError
from model.adapters import write_atomically

Role = Literal["member", "admin"]
_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,63}")
_LOCK_SECONDS = 10


class MemberError(UserError):
    """The list of members cannot be read, or says no to what was asked for."""


@dataclass(frozen=True)
class Member:
    """A person. `digest`: sha256 of the token in hex; times are Unix seconds, `seen` 0 before the first request."""

    name: str
    role: Role
    digest: str
    since: float
    seen: float = 0.0


class Members:
    """The members in one file. Safe between processes; every call reads the disk."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def all(self) -> list[Member]:
        """By name."""
        try:
            rows = json.loads(self._path.read_text(encoding="utf-8"))
            return sorted((Member(**row) for row in rows), key=lambda member: member.name)
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError) as error:
            raise MemberError(f"{self._path} is not readable as a list of members: {error}. Restore it.") from error

    def add(self, name: str, role: Role = "member") -> str:
        """A new member's token."""
        if not _NAME.fullmatch(name):
            raise MemberError(f"Expected a name of letters, digits, '.', '_' and '-', found {name!r}.")
        token = secrets.token_urlsafe(32)
        with self._changing() as members:
            if name in members:
                raise MemberError(f"There is a member {name} already: remove them first for a new token.")
            members[name] = Member(name, role, _digest(token), time.time())
        return token

    def remove(self, name: str) -> None:
        """Whoever has the token is let in no more. What they sent stays until it is erased."""
        with self._changing() as members:
            if members.pop(name, None) is None:
                raise MemberError(f"There is no member {name}. `inkling team list` shows who there is.")

    def of_token(self, token: str) -> Member | None:
        """Whose token it is."""
        digest = _digest(token)
        return next((member for member in self.all() if hmac.compare_digest(member.digest, digest)), None)

    def saw(self, name: str, every: float = 60.0) -> None:
        """They were here; written down at most once in so many seconds."""
        known = next((member for member in self.all() if member.name == name), None)
        if known is None or time.time() - known.seen < every:
            return
        with self._changing() as members:
            if name in members:
                members[name] = replace(members[name], seen=time.time())

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Member]]:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            with FileLock(f"{self._path}.lock", timeout=_LOCK_SECONDS):
                members = {member.name: member for member in self.all()}
                yield members
                rows = [asdict(member) for member in members.values()]
                write_atomically(self._path, (json.dumps(rows, indent=2) + "\n").encode())
                self._path.chmod(0o600)
        except Timeout as error:
            raise MemberError(f"{self._path} has been locked for {_LOCK_SECONDS} s: try again.") from error


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
