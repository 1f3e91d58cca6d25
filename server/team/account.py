"""A developer's side of a team: where it is, the token for it, what was sent and fetched; and its HTTP client.

All of it lies in the user's own data folder. What always holds: without an account nothing is ever sent; the token is
in a file that only its owner may read, and goes nowhere but to the team's address, which has to be HTTPS unless it is
this machine.
"""

import gzip
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
from filelock import FileLock, Timeout

from inkling.errors import UserError
from model.adapters import write_atomically
from server.team.places import account_file, progress_file

LARGEST_ADAPTER = 1_000_000_000  # bytes
_SECONDS = 60.0
_LOCK_SECONDS = 30


class TeamError(UserError):
    """The team cannot be reached, or says no."""


@dataclass(frozen=True)
class Account:
    """Membership of one team."""

    url: str
    token: str


@dataclass(frozen=True)
class Progress:
    """`sent`: how many facts of each suggestion are there. `erased`: when what was sent was erased, by workspace, ""
    for all of it: what is older is not sent again. `digest`: of the last adapter that was taken over. `at` and
    `trouble`: when the team was last asked, and what went wrong then."""

    sent: dict[str, int] = field(default_factory=dict)
    erased: dict[str, float] = field(default_factory=dict)
    digest: str = ""
    at: float = 0.0
    trouble: str = ""


def read_account() -> Account | None:
    """The account; None without one. Raises TeamError for a file that cannot be read."""
    try:
        return Account(**json.loads(account_file().read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise TeamError(f"{account_file()} cannot be read: {error}. Join again with `inkling team join`.") from error


def write_account(account: Account) -> None:
    """Keep it for this user alone, and forget what was sent to another team."""
    checked(account.url)
    file = account_file()
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_atomically(file, json.dumps(asdict(account)).encode())
    file.chmod(0o600)
    progress_file().unlink(missing_ok=True)


def forget_account() -> bool:
    """Leave. What the team has stays there: erase it first. False if there was no account."""
    there = account_file().exists()
    for file in (account_file(), progress_file()):
        file.unlink(missing_ok=True)
    return there


def read_progress() -> Progress:
    """What was sent; nothing where that cannot be read, as what is sent twice is stored once."""
    try:
        return Progress(**json.loads(progress_file().read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return Progress()


def write_progress(progress: Progress) -> None:
    """Keep it."""
    progress_file().parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_atomically(progress_file(), json.dumps(asdict(progress)).encode())


@contextmanager
def meeting() -> Iterator[None]:
    """One process at a time asks the team and writes down what came of it. Raises TeamError if another one does."""
    lock = progress_file().with_name("meeting.lock")
    lock.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        with FileLock(lock, timeout=_LOCK_SECONDS):
            yield
    except Timeout as error:
        raise TeamError("Another process is asking the team: try again when it is done.") from error


def checked(url: str) -> str:
    """The address without a slash at its end. Raises TeamError for one that would carry the token in the open."""
    parts = urlsplit(url.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise TeamError(f"Expected the address of a team such as https://inkling.example.org, found {url!r}.")
    if parts.scheme == "http" and not _here(parts.hostname):
        raise TeamError(f"{url}: what is sent over http can be read on the way; expected https, or this machine.")
    return url.strip().rstrip("/")


class TeamClient:
    """Asks one team. Use as a context manager. Every method raises TeamError with a sentence for people."""

    def __init__(self, account: Account, *, transport: httpx.BaseTransport | None = None) -> None:
        self._client = httpx.Client(
            base_url=checked(account.url),
            headers={"Authorization": f"Bearer {account.token}"},
            timeout=_SECONDS,
            transport=transport,
        )

    def __enter__(self) -> "TeamClient":
        return self

    def __exit__(self, *error: object) -> None:
        self._client.close()

    def send(self, lines: bytes) -> dict[str, Any]:
        """Facts, as `feedback.wire` writes them; what became of them."""
        headers = {"Content-Type": "application/x-ndjson", "Content-Encoding": "gzip"}
        return self._ask("POST", "/v1/facts", content=gzip.compress(lines, 6), headers=headers)

    def erase(self, workspace: str | None = None) -> dict[str, Any]:
        """What this member sent: of one workspace, or all of it."""
        return self._ask("DELETE", "/v1/facts", params={"workspace": workspace} if workspace is not None else {})

    def champion(self) -> dict[str, Any]:
        """What the team serves; its `name` is None for the bare base."""
        return self._ask("GET", "/v1/champion")

    def fetch(self, name: str, part: str, target: Path) -> None:
        """A file of an adapter: config or weights."""
        path = f"/v1/adapters/{quote(name, safe='')}/{part}"
        size = 0
        try:
            with self._client.stream("GET", path) as answer, target.open("wb") as file:
                if answer.status_code != httpx.codes.OK:
                    answer.read()
                    raise TeamError(_why(answer))
                for piece in answer.iter_bytes():
                    size += len(piece)
                    if size > LARGEST_ADAPTER:
                        raise TeamError(f"The adapter {name} is larger than {LARGEST_ADAPTER >> 20} MB.")
                    file.write(piece)
        except (httpx.HTTPError, OSError) as error:
            raise TeamError(f"The adapter {name} cannot be fetched: {error}.") from error

    def night(self) -> dict[str, Any]:
        """Start one, as an admin."""
        return self._ask("POST", "/v1/nights")

    def nights(self) -> dict[str, Any]:
        """The night that runs or ran last."""
        return self._ask("GET", "/v1/nights")

    def _ask(self, method: str, path: str, **rest: Any) -> dict[str, Any]:
        try:
            answer = self._client.request(method, path, **rest)
        except httpx.HTTPError as error:
            raise TeamError(f"The team at {self._client.base_url} cannot be reached: {error}.") from error
        if not answer.is_success:
            raise TeamError(_why(answer))
        try:
            found = answer.json()
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise TeamError(f"What answers at {self._client.base_url} is no team's service.")
        return found


def _why(answer: httpx.Response) -> str:
    try:
        told = str(answer.json()["error"])
    except (ValueError, KeyError, TypeError):
        told = answer.reason_phrase
    return f"The team at {answer.url.host} says no ({answer.status_code}): {told}"


def _here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
