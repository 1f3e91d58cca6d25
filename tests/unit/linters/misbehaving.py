"""A language server that does what its first argument says; run by the tests, never imported.

It finds every `bad` in the text that it is shown. The second argument is a folder where it leaves one file per start.
"""

import json
import os
import re
import sys
import tempfile
import time
from pathlib import Path


def send(message: dict) -> None:
    body = json.dumps({"jsonrpc": "2.0", **message}).encode()
    sys.stdout.buffer.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
    sys.stdout.buffer.flush()


def receive() -> dict:
    length = 0
    while (line := sys.stdin.buffer.readline()) not in (b"\r\n", b""):
        length = int(line.split(b":")[1])
    if not length:
        sys.exit(0)
    return json.loads(sys.stdin.buffer.read(length))


def findings(text: str) -> list[dict]:
    return [
        {
            "range": {
                "start": {"line": row, "character": len(line[: found.start()].encode("utf-16-le")) // 2},
                "end": {"line": row, "character": len(line[: found.end()].encode("utf-16-le")) // 2},
            },
            "message": "bad is not good",
            "code": 7,
        }
        for row, line in enumerate(text.split("\n"))
        for found in re.finditer("bad", line)
    ]


def main(mode: str, folder: Path) -> None:
    starts = len(list(folder.iterdir()))
    (folder / f"{os.getpid()}-{time.monotonic_ns()}").touch()
    if mode == "dies-at-once" or (mode == "dies-once" and starts == 0):
        sys.stderr.write("cannot go on\n")
        sys.exit(3)
    if mode == "garbage":
        print("Welcome to the linter!", flush=True)
    if mode == "endless-line":
        sys.stdout.buffer.write(b"x" * 1_000_000)
        sys.stdout.buffer.flush()
    if mode == "invalid-utf8":
        sys.stdout.buffer.write(b"Content-Length: 2\r\n\r\n\xff\xfe")
        sys.stdout.buffer.flush()
    if mode == "huge":
        sys.stdout.buffer.write(b"Content-Length: 99999999999\r\n\r\n")
        sys.stdout.buffer.flush()
    if mode == "floods-stderr":
        sys.stderr.write("noise " * 500_000)
        sys.stderr.flush()
    while True:
        message = receive()
        method, number = message.get("method"), message.get("id")
        if method == "initialize":
            if mode == "hangs-at-start":
                time.sleep(600)
            pull = {"diagnosticProvider": {"interFileDependencies": False, "workspaceDiagnostics": False}}
            send({"id": number, "result": {"capabilities": pull if mode == "pull" else {}}})
        elif method in ("textDocument/didOpen", "textDocument/didChange"):
            document = message["params"]["textDocument"]
            changes = message["params"].get("contentChanges")
            text = changes[0]["text"] if changes else document["text"]
            if mode == "hangs" or (mode == "hangs-on-bad" and "bad" in text):
                time.sleep(600)
            if mode == "dies-on-bad" and "bad" in text:
                os._exit(9)
            report = {"uri": document["uri"], "version": document["version"], "diagnostics": findings(text)}
            if mode == "nonsense":
                report["diagnostics"] = [{"range": "everywhere", "message": None}]
            if mode == "late":  # an answer about an older version comes first
                older = {**report, "version": document["version"] - 1, "diagnostics": []}
                send({"method": "textDocument/publishDiagnostics", "params": older})
            send({"method": "textDocument/publishDiagnostics", "params": report})
        elif method == "textDocument/diagnostic":
            send({"id": number, "result": {"kind": "full", "items": findings(text)}})
        elif method == "exit":
            sys.exit(0)
        elif number is not None and method is not None and (mode, method) != ("ignores-shutdown", "shutdown"):
            send({"id": number, "result": None})


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2] if len(sys.argv) > 2 else tempfile.mkdtemp()))
