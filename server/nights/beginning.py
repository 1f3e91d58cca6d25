"""What a night learns from: what had settled when it began, and the same once more where it is gone on with.

It reads no database. What always holds: facts that come in late, as a team's members send theirs now and then, change
nothing about a night that was interrupted; what was erased meanwhile is not learned from.
"""

import time
from collections.abc import Sequence

from feedback.examples import Example
from feedback.held import held, hold


def settled_by(until: float, examples: Sequence[Example], *, dry_run: bool) -> list[Example]:
    """Those of the examples that a night learns from which began at `until` (Unix seconds).

    The first time what had settled by then, and its texts are held; later the same, as far as it is still there.
    """
    before = held(time.time())
    if before is not None and before.until == until:
        return [example for example in examples if example.id in before.examples]
    chosen = [example for example in examples if example.at <= until]
    if not dry_run:
        hold(until, (example.id for example in chosen))
    return chosen
