"""Outlines of texts, made in a process of their own: one that a grammar may crash or hold up without harm.

No clock can stop a tree-sitter query, and no exception is raised where a grammar's scanner writes past its buffer. So
texts go to children (`python -c`, isolated as every child of ours), one at a time to each; where one dies or takes
longer than a limit, another takes its place and the text is cut by lines. That is said of a text for good, until it
changes; not so where no child can be started, or where somebody else ends it (a system without memory): such a text is
cut by lines for now. It also lets cores share the work: while children cut texts, whoever asked stores those before.
What an outline is stands in `index.chunks`.

Always: `outlines` answers every text, in order, whatever becomes of the children.
"""

import contextlib
import os
import pickle
import struct
import subprocess
import sys
import threading
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, NamedTuple

from index.chunks import Outline, outline
from inkling.process import environment

CPU_SECONDS = 4  # for one text, where the system can count them
CLOCK_SECONDS = 30.0  # for one text, on a machine as busy as it may be
STARTS = 3  # of a child that fail in a row, and the texts of this look go without
TRIES = 2  # a child may also be killed for reasons that are not the text's
AHEAD = 16  # texts that are under way while one is looked at: storing some of them at once takes a while
FEW = 4  # so many texts at once are not worth a second child
CHILDREN = min(2, os.cpu_count() or 1)  # what two cut takes longer to store
DYING_SECONDS = 10.0  # from the end of what a child says to its own end
EAGER = 4  # so many looks in a row try a text again that had no child,
RARE = 40  # then one in so many: what the machine lacks may be lacking for long, and trying takes more of it
_BY_OTHERS = (-1, -2, -9, -15)  # SIGHUP, SIGINT, SIGKILL and SIGTERM; no code is below 0 on Windows
_LENGTH = struct.Struct("<Q")
_PACKAGES = Path(__file__).resolve().parents[1]
_START = "import sys; sys.path.insert(0, sys.argv[1]); from index.outlining import serve; serve()"


class Text(NamedTuple):
    """A text to outline. `language` is an LSP language id."""

    path: str
    text: str
    language: str


class _NoChildError(Exception):
    """A text had no child to cut it, through no fault of its own."""


class Outliner:
    """Owns the children, which start with the first texts that need them. Not to be used by two threads at once."""

    def __init__(self, cpu_seconds: int = CPU_SECONDS, clock_seconds: float = CLOCK_SECONDS) -> None:
        self.refused: list[str] = []  # paths that were cut by lines since somebody looked
        self.postponed: Counter[str] = Counter()  # paths that had no child when last tried, and the looks at them since
        self._children = [_Child(cpu_seconds, clock_seconds) for _ in range(CHILDREN)]

    def outlines(self, texts: Iterable[Text]) -> Iterator[Outline]:
        """An outline per text, in order; `texts` are taken some ahead."""
        waiting: deque[tuple[Text, Future[Outline | None]]] = deque()
        for child in self._children:
            child.failed = 0
        try:
            for number, text in enumerate(texts):
                child = self._children[number % CHILDREN if number >= FEW else 0]
                waiting.append((text, child.asked(text)))
                if len(waiting) > AHEAD:
                    yield self._answer(*waiting.popleft())
            while waiting:
                yield self._answer(*waiting.popleft())
        finally:
            for _, future in waiting:  # nobody wants them any more
                future.cancel()

    def due(self, path: str) -> bool:
        """Whether a text that had no child is to be tried at this look."""
        self.postponed[path] += 1
        return self.postponed[path] <= EAGER or self.postponed[path] % RARE == 0

    def close(self) -> None:
        """End the children; another text starts new ones."""
        for child in self._children:
            child.close()

    def _answer(self, text: Text, future: "Future[Outline | None]") -> Outline:
        try:
            found = future.result()
        except _NoChildError:
            self.postponed.setdefault(text.path, 0)
        else:
            self.postponed.pop(text.path, None)
            if found is not None:
                return found
            self.refused.append(text.path)
        return outline(text.path, text.text, "plaintext")


class _Child:
    """A process that cuts texts, one at a time, and the thread that talks to it. Both start with the first text."""

    def __init__(self, cpu_seconds: int, clock_seconds: float) -> None:
        self.failed = 0  # starts in a row
        self._limits = cpu_seconds, clock_seconds
        self._running: subprocess.Popen[bytes] | None = None
        self._thread: ThreadPoolExecutor | None = None

    def asked(self, text: Text) -> "Future[Outline | None]":
        """What becomes of the text; None where the process dies of it or takes too long, _NoChildError where that
        cannot be said."""
        self._thread = self._thread or ThreadPoolExecutor(1, thread_name_prefix="outlines")
        try:
            return self._thread.submit(self._tried, text)
        except RuntimeError as error:  # no thread can be started
            self._thread = None
            failed: Future[Outline | None] = Future()
            failed.set_exception(_NoChildError(error))
            return failed

    def close(self) -> None:
        if self._thread is not None:
            self._thread.shutdown(wait=True, cancel_futures=True)
            self._thread = None
        self._end()

    def _tried(self, text: Text) -> Outline | None:
        unlucky = None
        for _ in range(TRIES):
            try:
                return self._answer(text)
            except TimeoutError:
                return None
            except _NoChildError as error:
                unlucky = error
            except (OSError, EOFError):
                continue
        if unlucky is not None:
            raise unlucky
        return None

    def _answer(self, text: Text) -> Outline:
        """What the process says. Raises TimeoutError, OSError or EOFError where it died of the text, and _NoChildError
        where there was none or others ended it."""
        running = self._running or self._started()
        late = threading.Event()
        assert running.stdin is not None
        assert running.stdout is not None
        try:
            with _limit(running, self._limits[1], late):
                _write(running.stdin, tuple(text))
                answer: Outline = _read(running.stdout)
            return answer
        except RuntimeError as error:  # no thread can be started
            raise _NoChildError(error) from error
        except (OSError, EOFError) as error:
            code = _ended(running)
            self._end()
            if late.is_set() or _ran_out(code):
                raise TimeoutError from error
            if code in _BY_OTHERS:
                raise _NoChildError(error) from error
            raise

    def _started(self) -> subprocess.Popen[bytes]:
        """A process that has said that it is there. Raises _NoChildError."""
        if self.failed >= STARTS:
            raise _NoChildError
        try:
            self._running = running = subprocess.Popen(
                [sys.executable, "-E", "-P", "-X", "utf8", "-c", _START, str(_PACKAGES), str(self._limits[0])],
                env=environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            assert running.stdout is not None
            with _limit(running, CLOCK_SECONDS, threading.Event()):
                _read(running.stdout)
        except (OSError, EOFError, RuntimeError) as error:  # no process, none that gets so far, or no thread
            self.failed += 1
            self._end()
            raise _NoChildError(error) from error
        self.failed = 0
        return running

    def _end(self) -> None:
        running, self._running = self._running, None
        if running is None:
            return
        running.kill()
        running.wait()
        for pipe in (running.stdin, running.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # what was not written yet is nobody's loss
                    pipe.close()


def serve() -> None:
    """The child: say that it is there, then outline what comes in until the input ends."""
    cpu_seconds = int(sys.argv[2])
    _write(sys.stdout.buffer, True)
    while True:
        try:
            path, text, language = _read(sys.stdin.buffer)
        except EOFError:
            return
        _allow(cpu_seconds)
        _write(sys.stdout.buffer, outline(path, text, language))


def _allow(seconds: int) -> None:
    """Have the system end this process after so much more work, where it can."""
    try:
        import resource
    except ImportError:  # not on Windows: there only the clock counts
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    wanted = int(used.ru_utime + used.ru_stime) + seconds + 1
    resource.setrlimit(resource.RLIMIT_CPU, (wanted if most == resource.RLIM_INFINITY else min(wanted, most), most))


def _ended(running: subprocess.Popen[bytes]) -> int | None:
    """The code of a process that says nothing more, by itself or by others; None if it goes on all the same."""
    try:
        return running.wait(DYING_SECONDS)
    except subprocess.TimeoutExpired:
        return None


def _ran_out(code: int | None) -> bool:
    """Whether the system ended a process because its time was used up."""
    import signal

    return code is not None and code == -getattr(signal, "SIGXCPU", 0)


@contextlib.contextmanager
def _limit(running: subprocess.Popen[bytes], seconds: float, late: threading.Event) -> Iterator[None]:
    """End the process after so long, and say so. Raises RuntimeError where no thread can be started for that."""

    def kill() -> None:
        late.set()
        running.kill()

    timer = threading.Timer(seconds, kill)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _write(stream: IO[bytes], value: object) -> None:
    data = pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    stream.write(_LENGTH.pack(len(data)))
    stream.write(data)
    stream.flush()


def _read(stream: IO[bytes]) -> Any:
    (length,) = _LENGTH.unpack(_whole(stream, _LENGTH.size))
    return pickle.loads(_whole(stream, length))


def _whole(stream: IO[bytes], length: int) -> bytes:
    """So many bytes. Raises EOFError where there are fewer."""
    data = stream.read(length)
    if len(data) < length:
        raise EOFError
    return data
