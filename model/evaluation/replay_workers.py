"""Several processes that share a replay: each does a user's days at a time, one writes down what all have finished.

For machines with many cores or with a GPU that one user does not fill. What always holds: only the process that holds
the store writes into it; the results are those of one process, but for what depends on the seconds of a night.
"""

import multiprocessing
import queue
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import Any

from model.evaluation.replay_pace import Progress
from model.evaluation.replay_store import Unit
from model.evaluation.replay_units import Plan, Replay, Task

_LOOK_SECONDS = 0.5
_replay: Replay  # of a worker

Done = dict[Unit, dict[str, Any]]


def share(
    plan: Plan, tasks: Sequence[Task], folder: Path, done: Done, finished: Callable[[Unit, dict[str, Any]], None]
) -> None:
    """Do tasks that do not need each other in `plan.settings.workers` processes.

    `done`: what is finished before. Each unit is given to `finished`, here, as soon as its worker has it. Raises what a
    worker raises; what was finished until then is kept.
    """
    context = multiprocessing.get_context("spawn")
    units: Any = context.Queue()
    pool = ProcessPoolExecutor(
        plan.settings.workers, context, initializer=_begin, initargs=(plan, folder, done, units)
    )  # fmt: skip
    try:
        futures = [pool.submit(_do, task) for task in tasks]
        while not all(future.done() for future in futures) and not _failed(futures):
            _hand_over(units, finished, _LOOK_SECONDS)
        for future in futures:
            if future.done():
                future.result()
        pool.shutdown()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in list((pool._processes or {}).values()):  # a night would go on for minutes
            process.terminate()
        _hand_over(units, finished, _LOOK_SECONDS)


def _hand_over(units: Any, finished: Callable[[Unit, dict[str, Any]], None], seconds: float) -> None:
    """Whatever has come in, waiting a little for the first."""
    try:
        while True:
            unit, found = units.get(timeout=seconds)
            finished(unit, found)
    except queue.Empty:
        return


def _failed(futures: Iterable[Future[None]]) -> bool:
    return any(future.done() and future.exception() is not None for future in futures)


class _Sent:
    """What a worker knows of the store: what was there when it began, and its own."""

    def __init__(self, folder: Path, done: Done, units: Any) -> None:
        self.folder = folder
        self._done = dict(done)
        self._units = units

    def __contains__(self, unit: Unit) -> bool:
        return unit in self._done

    def __getitem__(self, unit: Unit) -> dict[str, Any]:
        return self._done[unit]

    def add(self, unit: Unit, found: dict[str, Any]) -> None:
        """Keep it, and send it to who writes it down."""
        self._done[unit] = found
        self._units.put((unit, found))


def _begin(plan: Plan, folder: Path, done: Done, units: Any) -> None:
    global _replay
    _replay = Replay(plan, _Sent(folder, done, units), _quiet)


def _do(task: Task) -> None:
    _replay.do(task)


def _quiet(step: Progress) -> None:
    """A worker tells of units, not of steps."""
