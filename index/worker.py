"""The indexing process of one workspace: builds, then follows changes until it is told to stop.

It is started by the server as a child and talks in JSON lines. It is not the server's side of that talk.

    in   {"changed": ["src/a.py", "/abs/b.py"]}    files or folders were saved, made, renamed or deleted
         {"rescan": true}                          look at the whole tree again
         {"stop": true}, or the end of the input   stop after the current batch
    out  {"phase": "walk" | "chunk" | "embed", "done": 3, "total": 9, "seconds_left": 1.5 | null}
         {"phase": "waiting", ...}                 another process builds this index; asked again every few seconds
         {"phase": "ready", "ready": "words", "files": 9, "skipped": {"secret": 1}, "notes": [...]}
         {"phase": "ready", "ready": "meaning", ...}   embeddings are complete too; "words" comes again after a change
         {"phase": ..., "error": "a sentence for a person"}   goes on as well as it can, without the weights if need be

Always: it runs at low priority, a change is looked at before the next batch of embeddings, and it ends with its parent.
"""

import contextlib
import json
import os
import queue
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import psutil

from index.builder import Builder, Report, Result
from index.database import IndexBrokenError, IndexBusyError, IndexFullError
from index.embedding import Embedder, NoMeaningError
from index.files import MAX_BYTES, MAX_FILES
from index.housekeeping import sweep
from index.priority import give_way
from index.records import Progress
from inkling.errors import UserError

POLL_SECONDS = 30.0  # between two looks at the tree; what no editor reports is seen then
SHARE = 20  # a huge tree is looked at less often, so that it takes no more than one part in so many of the time
BUSY_SECONDS = 3.0
PROGRESS_SECONDS = 0.2  # between two progress lines


class _StoppedError(Exception):
    """The parent wants us to stop, or is gone."""


class _Inbox:
    """What the parent asked for. A thread of its own reads, so that a message never waits for a batch."""

    def __init__(self, stdin: BinaryIO) -> None:
        self._messages: queue.Queue[dict[str, Any]] = queue.Queue()
        threading.Thread(target=self._read, args=(stdin.fileno(),), name="inbox", daemon=True).start()

    def _read(self, descriptor: int) -> None:
        for line in _lines(descriptor):
            try:
                message = json.loads(line)
            except ValueError:
                message = {"unknown": line[:200].decode("utf-8", "replace")}
            self._messages.put(message if isinstance(message, dict) else {"unknown": str(message)[:200]})
        self._messages.put({"stop": True})

    def pending(self) -> bool:
        return not self._messages.empty()

    def take(self, timeout: float) -> list[dict[str, Any]]:
        """Every message there is, waiting up to `timeout` seconds for the first."""
        found: list[dict[str, Any]] = []
        try:
            found.append(self._messages.get(timeout=timeout) if timeout > 0 else self._messages.get_nowait())
            while True:
                found.append(self._messages.get_nowait())
        except queue.Empty:
            return found


def _lines(descriptor: int) -> Iterator[bytes]:
    """Lines until the end of the input. Read without a buffered file: the interpreter dies on exit if a thread still
    waits inside one."""
    rest = b""
    while True:
        try:
            data = os.read(descriptor, 1 << 16)
        except OSError:
            data = b""
        if not data:
            return
        *lines, rest = (rest + data).split(b"\n")
        yield from lines


class _Worker:
    def __init__(self, builder: Builder, inbox: _Inbox, stdout: BinaryIO) -> None:
        self._builder = builder
        self._inbox = inbox
        self._stdout = stdout
        self._embeds = builder.has_meaning
        self._last_progress = ("", 0.0)
        self._told_meaning = False
        self._trouble = ""  # why chunks are not embedded now, as it was said
        self._next_look = 0.0  # when the tree is looked at again

    def say(self, message: dict[str, Any]) -> None:
        try:
            self._stdout.write(json.dumps(message).encode() + b"\n")
            self._stdout.flush()
        except (OSError, ValueError) as error:  # the parent is gone
            raise _StoppedError from error

    def say_last(self, error: str) -> None:
        """Why this process ends, if anybody still listens."""
        with contextlib.suppress(_StoppedError):
            self.say({"phase": "stopped", "error": error})

    def progress(self, progress: Progress) -> None:
        now = time.monotonic()
        phase, at = self._last_progress
        if phase == progress.phase and now - at < PROGRESS_SECONDS and progress.done < progress.total:
            return
        self._last_progress = (progress.phase, now)
        self.say(asdict(progress))

    def ready(self, what: str, result: Result) -> None:
        if what == "words":
            self._told_meaning, self._trouble = False, ""
        self.say(
            {
                "phase": "ready",
                "ready": what,
                "files": result.files,
                "skipped": dict(result.skipped),
                "notes": result.notes,
            }
        )

    def run(self) -> NoReturn:
        self._wait_for_lock()
        try:
            while True:
                try:
                    self._follow()
                except IndexFullError as error:  # what is indexed can be searched; the rest waits for room
                    self.say({"phase": "ready", "error": str(error)})
                    self._understand(self._inbox.take(POLL_SECONDS))
        finally:
            self._builder.__exit__(None, None, None)

    def _follow(self) -> NoReturn:
        """Look at the whole tree, then at what changes."""
        whole = self._look(self.progress)
        self.ready("words", whole)
        self._embed(whole)
        while True:
            messages = self._inbox.take(self._next_look - time.monotonic())
            changed, rescan = self._understand(messages)
            result = None
            if rescan or time.monotonic() >= self._next_look or self._builder.replaced:
                result = whole = self._look(self.progress if rescan else _unseen)
            elif changed:
                result = self._builder.update(changed, _unseen)
            if result is not None and (rescan or changed or result.changed or result.removed):
                self.ready("words", whole)
            self._embed(whole)

    def _look(self, report: Report) -> Result:
        """Bring the words of the whole tree up to date, in a new index if the old one was removed."""
        if self._builder.replaced:
            self._builder.__exit__(None, None, None)
            self._wait_for_lock()
        whole = self._builder.build_words(report)
        self._next_look = time.monotonic() + max(POLL_SECONDS, SHARE * whole.looked_seconds)
        return whole

    def _wait_for_lock(self) -> None:
        told = False
        while True:
            try:
                self._builder.__enter__()
                return
            except IndexBusyError as error:
                if not told:
                    self.say({"phase": "waiting", "done": 0, "total": 0, "seconds_left": None, "note": str(error)})
                    told = True
                self._understand(self._inbox.take(BUSY_SECONDS))
            except IndexFullError as error:
                self.say({"phase": "ready", "error": str(error)})
                self._understand(self._inbox.take(POLL_SECONDS))

    def _understand(self, messages: list[dict[str, Any]]) -> tuple[list[str], bool]:
        """(changed paths, whether to rescan). Raises _StoppedError."""
        changed: list[str] = []
        rescan = False
        for message in messages:
            paths = message.get("changed", [])
            if message.get("stop"):
                raise _StoppedError
            if message.get("rescan"):
                rescan = True
            elif isinstance(paths, list) and paths and all(isinstance(path, str) for path in paths):
                changed += [path for path in paths if "\0" not in path]
            else:
                self.say({"phase": "ready", "error": f"Expected changed, rescan or stop, found {str(message)[:200]}."})
        return changed, rescan

    def _embed(self, whole: Result) -> None:
        """Embed until it is done or something is more urgent; the caller does that and calls again."""
        if not self._embeds:
            return
        try:
            if self._builder.build_meaning(self.progress, self._urgent):
                self._told_meaning = False
        except NoMeaningError as error:
            self._embeds = False
            self.say({"phase": "ready", "ready": "words", "files": whole.files, "error": str(error)})
            return
        except IndexBrokenError as error:  # the cache of vectors; words go on, and this is tried again
            if str(error) != self._trouble:
                self._trouble = str(error)
                self.say({"phase": "ready", "ready": "words", "files": whole.files, "error": self._trouble})
            return
        self._trouble = ""
        if notes := self._builder.take_notes():
            whole.notes += notes
            self._told_meaning = False
        if not self._urgent() and not self._told_meaning:
            self._told_meaning = True
            self.ready("meaning", whole)

    def _urgent(self) -> bool:
        """Whether a message is there, or the tree is to be looked at."""
        return self._inbox.pending() or time.monotonic() >= self._next_look


def _threads() -> int | None:
    """For the encoder: one core stays free where there are more than two, as completions are computed beside it."""
    cores = psutil.cpu_count(logical=False) or 1
    if sys.platform == "linux":
        cores = min(cores, len(os.sched_getaffinity(0)))
    return cores - 1 if cores > 2 else None


def _unseen(progress: Progress) -> None:
    """Small updates are not worth a line each."""


def serve(
    root: Path,
    embedding_folder: Path | None,
    stdin: BinaryIO,
    stdout: BinaryIO,
    max_files: int = MAX_FILES,
    max_file_bytes: int = MAX_BYTES,
) -> int:
    """Run until told to stop; the exit status. `embedding_folder` None means words alone."""
    give_way()
    sweep()
    encoder = partial(Embedder, embedding_folder, threads=_threads()) if embedding_folder is not None else None
    builder = Builder(root, encoder, max_files=max_files, max_file_bytes=max_file_bytes)
    worker = _Worker(builder, _Inbox(stdin), stdout)
    try:
        worker.run()
    except _StoppedError:
        return 0
    except UserError as error:
        worker.say_last(str(error))
        return error.exit_code
    except Exception as error:
        worker.say_last(f"The indexing process failed: {error!r}. It is started again; if it fails again, report it.")
        raise
