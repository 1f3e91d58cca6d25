"""How many threads torch computes on: all cores but one, so that the editor and the index always find one free.

On a machine of two cores, two threads beside one other busy process prefilled 19 to 99 tokens per second where one
thread did 280 to 300: threads that wait for each other lose to whoever takes a core.
"""

import os


def set_threads(threads: int = 0) -> None:
    """Use so many threads in this process; 0: OMP_NUM_THREADS if that is set, else all cores but one."""
    import torch

    if threads or "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(threads or max(1, (os.cpu_count() or 1) - 1))
