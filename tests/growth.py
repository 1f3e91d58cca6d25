"""How work grows with its size, as a ratio of two timings of one run: a bound in seconds only measures the machine."""

import time
from collections.abc import Callable


def growth(work: Callable[[int], object], small: int, large: int) -> float:
    """How many times as long `work(large)` takes as `work(small)`: the least of three timings of each."""
    return _least(work, large) / max(_least(work, small), 1e-4)


def _least(work: Callable[[int], object], size: int) -> float:
    timings: list[float] = []
    for _ in range(3):
        began = time.thread_time()
        work(size)
        timings.append(time.thread_time() - began)
    return min(timings)
