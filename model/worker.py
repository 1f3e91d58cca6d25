"""One thread on which everything that touches the model happens: what is asked for first, then idle work in steps.

It knows nothing of models. What always holds: jobs run one at a time in the order in which they came; an idle step
is only begun while no job waits, so a job waits for one step at most.
"""

import atexit
import logging
import threading
import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")

_EXIT_SECONDS = 5.0


class Worker:
    """`idle` does one step of background work and says whether there may be more. It runs on the worker's thread."""

    def __init__(self, name: str, idle: Callable[[], bool]) -> None:
        self._idle = idle
        self._jobs: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._condition = threading.Condition()
        self._closed = False
        self._restless = False
        self._last: Callable[[], None] = lambda: None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()
        atexit.register(_end, weakref.ref(self))

    def submit(self, job: Callable[[], T]) -> "Future[T]":
        """Run `job` as soon as what is under way is done. After `close` the future is cancelled at once."""
        future: Future[T] = Future()
        with self._condition:
            if self._closed:
                future.cancel()
                return future
            self._jobs.append((future, job))
            self._condition.notify()
        return future

    def wake(self) -> None:
        """There may be idle work again."""
        with self._condition:
            self._restless = True
            self._condition.notify()

    @property
    def wanted(self) -> bool:
        """Whether a job waits: what is done in idle time should stop then. Safe on any thread."""
        return bool(self._jobs) or self._closed

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def close(self, last: Callable[[], None]) -> None:
        """Cancel what waits, and end the thread once it has run `last`. Returns at once."""
        with self._condition:
            self._closed = True
            while self._jobs:
                self._jobs.popleft()[0].cancel()
            self._last = last
            self._condition.notify()

    def join(self, seconds: float) -> bool:
        """Wait for the thread to end; whether it did."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._condition:
                while not (self._jobs or self._restless or self._closed):
                    self._condition.wait()
                if self._closed:
                    break
                future, job = self._jobs.popleft() if self._jobs else (None, None)
            if job is not None and future is not None:
                self._do(future, job)
                self._restless = True
            else:
                self._restless = self._step()
        self._last()

    def _step(self) -> bool:
        """One idle step. What goes wrong there must not end the thread: it is logged, and idle work rests."""
        try:
            return self._idle()
        except Exception:
            log.exception("background work on the model failed")
            return False

    @staticmethod
    def _do(future: "Future[Any]", job: Callable[[], Any]) -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            result = job()
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(result)


def _end(worker: "weakref.ref[Worker]") -> None:
    """A thread that is inside a network while the interpreter goes away would abort the process."""
    running = worker()
    if running is not None and not running.join(0.0):
        if not running.closed:
            running.close(lambda: None)
        running.join(_EXIT_SECONDS)
