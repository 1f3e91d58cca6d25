"""The engine's thread: jobs in order, idle work only in between, and an end that loses nothing."""

import threading
from concurrent.futures import CancelledError

import pytest

from model.worker import Worker


def test_jobs_run_in_the_order_in_which_they_came():
    done: list[int] = []
    worker = Worker("test", lambda: False)
    for number in range(20):
        worker.submit(lambda number=number: done.append(number))
    worker.submit(lambda: None).result(5)
    assert done == list(range(20))


def test_an_error_reaches_whoever_asked_and_the_thread_goes_on():
    worker = Worker("test", lambda: False)
    with pytest.raises(ZeroDivisionError):
        worker.submit(lambda: 1 // 0).result(5)
    assert worker.submit(lambda: 7).result(5) == 7


def test_a_job_waits_for_one_idle_step_at_most():
    entered, go_on = threading.Semaphore(0), threading.Semaphore(0)
    steps: list[str] = []

    def idle() -> bool:
        steps.append("step")
        entered.release()
        go_on.acquire(timeout=5)
        return True

    worker = Worker("test", idle)
    worker.submit(lambda: None).result(5)
    assert entered.acquire(timeout=5)
    job = worker.submit(lambda: steps.append("job"))
    assert worker.wanted
    go_on.release()
    job.result(5)
    assert steps[:2] == ["step", "job"]
    worker.close(lambda: None)
    go_on.release(5)


def test_idle_work_rests_when_there_is_none_and_wakes_when_told():
    looks = threading.Semaphore(0)
    worker = Worker("test", lambda: looks.release() or False)
    worker.submit(lambda: None).result(5)
    assert looks.acquire(timeout=5)
    assert not looks.acquire(timeout=0.05)
    worker.wake()
    assert looks.acquire(timeout=5)


def test_idle_work_that_fails_does_not_end_the_thread():
    def idle() -> bool:
        raise RuntimeError("broken")

    worker = Worker("test", idle)
    worker.submit(lambda: None).result(5)
    assert worker.submit(lambda: 1).result(5) == 1


def test_closing_cancels_what_waits_and_does_the_last_thing():
    hold, last = threading.Event(), threading.Event()
    worker = Worker("test", lambda: False)
    worker.submit(lambda: hold.wait(5))
    waiting = worker.submit(lambda: 1)
    worker.close(last.set)
    hold.set()
    assert last.wait(5)
    with pytest.raises(CancelledError):
        waiting.result(5)
    assert worker.submit(lambda: 1).cancelled()
    assert worker.join(5)
