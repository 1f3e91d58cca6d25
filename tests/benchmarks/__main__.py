"""`python -m tests.benchmarks [NAME ...]`: run the benchmarks and print what they measured."""

import sys
from collections.abc import Callable

from tests.benchmarks import (
    beside,
    embedding,
    endings,
    feedback,
    fusion,
    hedging,
    keystroke,
    learning,
    memory,
    packs,
    responsiveness,
    runtimes,
    search_scale,
    sections,
    shapes,
    short_nights,
    spinning,
    sweep,
)

BENCHMARKS: dict[str, Callable[[], None]] = {
    "beside": beside.run,
    "embedding": embedding.run,
    "endings": endings.run,
    "feedback": feedback.run,
    "fusion": fusion.run,
    "hedging": hedging.run,
    "keystroke": keystroke.run,
    "learning": learning.run,
    "memory": memory.run,
    "packs": packs.run,
    "responsiveness": responsiveness.run,
    "runtimes": runtimes.run,
    "search_scale": search_scale.run,
    "sections": sections.run,
    "shapes": shapes.run,
    "short_nights": short_nights.run,
    "spinning": spinning.run,
    "sweep": sweep.run,
}

HOURS = {"hedging", "learning", "memory", "sections", "short_nights", "sweep"}  # only run when named


def main(names: list[str]) -> int:
    """Run the named benchmarks, or all that take minutes."""
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    for name in names or [name for name in BENCHMARKS if name not in HOURS]:
        print(f"\n## {name}\n", flush=True)
        BENCHMARKS[name]()
    return 0


sys.exit(main(sys.argv[1:]))
