"""How a process of ours gives way to whoever works at this machine."""

import contextlib
import sys

import psutil

_NICENESS = 10


def give_way() -> None:
    """Let others have processor and disk first. What a container forbids is left."""
    process = psutil.Process()
    with contextlib.suppress(psutil.Error, OSError):
        if sys.platform == "win32":
            process.nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
        elif process.nice() < _NICENESS:
            process.nice(_NICENESS)
        if sys.platform == "linux":
            process.ionice(psutil.IOPRIO_CLASS_IDLE)
