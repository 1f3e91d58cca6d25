"""Ask an index questions with known answers, arm by arm, and add up how well and how fast it answers.

All arms answer the same questions over the same chunks in one run: `hybrid` (as served), `bm25` (words alone), `vector`
(meaning alone), and `grep` (see `grep_arm`), which has no ranking and is only compared by the tokens that it reads.
What search does not find is charged with the walk by grep that would have to follow.
"""

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from index.builder import Builder
from index.database import remove_index
from index.embedding import Encoder
from index.evaluation.grep_arm import Grep, Walk, count_tokens
from index.evaluation.questions import Question, Target
from index.records import Hit, Match
from index.search import ALL, Search

DEPTH = 10
ARMS: dict[str, frozenset[Match]] = {
    "hybrid": ALL,
    "bm25": frozenset({"words"}),
    "vector": frozenset({"meaning"}),
}
Report = Callable[[str, int, int], None]


@dataclass
class Arm:
    """What one arm has done so far: the rank of the first right hit per question (0: none), tokens, milliseconds."""

    ranks: list[int] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    milliseconds: list[float] = field(default_factory=list)

    def figures(self) -> dict[str, Any]:
        """Means over the questions."""
        there = self.ranks or [0]
        found = {"mrr10": statistics.fmean(1 / rank if rank else 0.0 for rank in there)}
        for depth in (1, 5, 10):
            found[f"recall{depth}"] = statistics.fmean(0 < rank <= depth for rank in there)
        found["ms_p50"], found["ms_p95"] = percentile(self.milliseconds, 50), percentile(self.milliseconds, 95)
        return found | {"tokens": statistics.fmean(self.tokens or [0])}


@contextmanager
def workspace(files: Mapping[str, str], encoder: Encoder, report: Report) -> Iterator[tuple[Path, dict[str, Any]]]:
    """A folder with these files and its index, both of which are gone afterwards; and how long building took."""
    root = Path(tempfile.mkdtemp(prefix="inkling-search-"))
    try:
        for path, text in files.items():
            place = root / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, encoding="utf-8", newline="\n")
        with Builder(root, lambda: encoder, max_files=len(files) + 1) as builder:
            began = time.perf_counter()
            builder.build_words(lambda progress: report(progress.phase, progress.done, progress.total))
            words = time.perf_counter() - began
            embedded = builder.build_meaning(lambda progress: report(progress.phase, progress.done, progress.total))
            whole = time.perf_counter() - began
        built = {"words_seconds": words, "vectors_seconds": whole - words, "embedded": embedded}
        yield root, built
    finally:
        remove_index(root)
        shutil.rmtree(root, ignore_errors=True)


def ask(
    search: Search, grep: Grep, questions: Sequence[Question], report: Report, phase: str
) -> dict[str, dict[str, Any]]:
    """Figures per arm, those of the walk by grep with them, and the tokens of each arm until it got there."""
    arms = {name: Arm() for name in ARMS}
    walks: list[Walk] = []
    for number, question in enumerate(questions, start=1):
        walk = grep.walk(question.text, question.targets)
        walks.append(walk)
        for name, by in ARMS.items():
            began = time.perf_counter()
            hits = search.search(question.text, limit=DEPTH, by=by)
            arms[name].milliseconds.append(1000 * (time.perf_counter() - began))
            rank = rank_of(hits, question.targets)
            read = sum(count_tokens(f"{hit.path}:{hit.start_line}\n{hit.text}") for hit in hits[: rank or DEPTH])
            arms[name].ranks.append(rank)
            arms[name].tokens.append(read if rank else read + walk.tokens)
        report(phase, number, len(questions))
    found = {name: arm.figures() for name, arm in arms.items()}
    if walks:
        found["grep"] = {
            "tokens": statistics.fmean(walk.tokens for walk in walks),
            "hops": statistics.fmean(walk.hops for walk in walks),
            "found": statistics.fmean(walk.found for walk in walks),
        }
    return found


def rank_of(hits: Sequence[Hit], targets: Sequence[Target]) -> int:
    """The rank of the first hit that shows where a target starts, or lies inside one; 0 if none does."""
    for rank, hit in enumerate(hits, start=1):
        for target in targets:
            if hit.path != target.path:
                continue
            if target.end is None or hit.start_line <= target.start <= hit.end_line:
                return rank
            if target.start <= hit.start_line and hit.end_line <= target.end:
                return rank
    return 0


def speed_ratio(ours: Encoder, theirs: Encoder, texts: Sequence[str], turn: int = 16) -> dict[str, float]:
    """Texts per second of two encoders that take turns, so that a busy neighbour slows both alike."""
    seconds = {"ours": 0.0, "theirs": 0.0}
    for encoder in (ours, theirs):
        encoder.encode(texts[:turn])
    for start in range(0, len(texts), turn):
        for name, encoder in (("ours", ours), ("theirs", theirs)):
            began = time.perf_counter()
            encoder.encode(texts[start : start + turn])
            seconds[name] += time.perf_counter() - began
    rates = {f"{name}_per_second": len(texts) / max(spent, 1e-9) for name, spent in seconds.items()}
    return rates | {"speedup": seconds["theirs"] / max(seconds["ours"], 1e-9)}


def percentile(values: Sequence[float], percent: int) -> float:
    """The value that so many percent do not exceed; 0 without values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] if ordered else 0.0
