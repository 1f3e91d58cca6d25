"""The arms of the replay, and what each of them answers: the served `Generator` with the adapters of that day.

It asks and measures; it trains nothing and judges nothing. What always holds: every arm is asked the same requests in
the same order, from an empty cache; arms differ in the adapter that is served and in documents of edits, nothing else.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path

import numpy as np

from feedback.records import OF_EDITS
from model.cache.document_cache import CacheBudgets
from model.completion import CompletionRequest, Refusal
from model.cutting import finished
from model.evaluation.completion_cases import Sizes
from model.evaluation.completion_writing import LINE_TOKENS
from model.evaluation.replay_gate import looked_at, rule_margin
from model.evaluation.replay_requests import Ask
from model.evaluation.replay_user import Answer
from model.generator import Generator, GeneratorOptions
from model.positions import SchemeName
from model.runtimes.choose import open_runtime
from model.runtimes.runtime import Runtime
from model.shipped import Shipped
from model.training.night_data import Stage

_CACHE = CacheBudgets(1_000_000_000, 1_000_000_000, 0)
_KEPT_RUNTIMES = 2


@dataclass(frozen=True)
class Arm:
    """`trained`: an adapter of its own is served. `asked`: it is asked itself; else its answers are another arm's,
    judged anew. `recent`: the newest and the most similar edits stand beside the cursor, as the server has it.
    `stages`: of its nights, where those are the product's and what they promoted is served. `extra`: it is replayed
    only where it is named."""

    name: str
    trained: bool
    asked: bool
    recent: bool
    what: str
    stages: tuple[Stage, ...] = ()
    extra: bool = False


ARMS = (
    Arm("frozen", False, True, False, "the base with what is shipped, without memory of any kind"),
    Arm("deltas", False, True, True, "the same, and the user's newest and most similar edits: memory without training"),
    Arm("gate", False, False, False, "frozen, the gate fitted every night on the days before, of all packages"),
    Arm(
        "nightly", True, True, True, "deltas, and a night after each day; served is what the nights promoted",
        ("sft",),
    ),
    Arm("alone", False, True, False, "nightly's adapters without those edits: training without memory"),
    Arm("full", True, True, True, "deltas, trained each night on all days before; served without being asked"),
    Arm("placebo", True, True, True, "deltas, and nights on shuffled targets; served although they are not promoted"),
    Arm("wrong", True, True, True, "deltas, and adapters of another package's nights, promoted or not"),
    Arm(
        "preference", True, True, True, "nightly, and in its time the nights also learn from offers that were judged",
        ("sft", "preference"), extra=True,
    ),
    Arm(
        "sections", True, True, True, "nightly, and in its time the nights also write sections of commits for a reward",
        ("sft", "section"), extra=True,
    ),
)  # fmt: skip
NAMES = tuple(arm.name for arm in ARMS if not arm.extra)


def arm_named(name: str) -> Arm:
    """The arm of this name. Raises KeyError for another one."""
    return _BY_NAME[name]


_BY_NAME = {arm.name: arm for arm in ARMS}


class Served:
    """The base with its anchor, and an adapter on top, as they are served. Belongs to one thread."""

    def __init__(self, folder: Path, anchor: Shipped | None, scheme: SchemeName, sizes: Sizes, threads: int) -> None:
        self._folder = folder
        self._anchor = anchor
        self._scheme = scheme
        self._sizes = sizes
        self._threads = threads
        self._runtimes: dict[Path | None, Runtime] = {}
        self.runtime = ""

    def ask(
        self,
        asks: Sequence[Ask],
        adapter: Path | None = None,
        *,
        recent: bool = False,
        tick: Callable[[int], None] = lambda done: None,
    ) -> list[Answer]:
        """The answers, in order. `recent`: with the documents of edits as well, and room for them."""
        generator = self._generator(adapter, documents=self._sizes.documents + (len(OF_EDITS) if recent else 0))
        found = []
        for ask in asks:
            request = replace(ask.request, max_tokens=LINE_TOKENS)
            if recent:
                request = replace(request, documents=(*ask.memory, *request.documents))
            found.append(_answer(generator, request, ask))
            tick(len(found))
        return found

    def _generator(self, adapter: Path | None, documents: int) -> Generator:
        """As the engine makes one, without the disk and without work ahead."""
        adapters = [*([self._anchor.folder] if self._anchor else []), *([adapter] if adapter else [])]
        if adapter not in self._runtimes:
            while len(self._runtimes) >= _KEPT_RUNTIMES:  # that of the frozen model, which came first, stays
                self._runtimes.pop(next(reversed(self._runtimes)))
            self._runtimes[adapter] = open_runtime(self._folder, adapters, threads=self._threads)
        runtime = self._runtimes[adapter]
        self.runtime = runtime.name
        options = GeneratorOptions(
            replace(self._sizes, documents=documents).budget, _CACHE, None, self._scheme,
            self._anchor is not None and self._anchor.fills_middle, prefetch=False,
        )  # fmt: skip
        return Generator(self._folder, runtime, options, adapters=adapters)


def _answer(generator: Generator, request: CompletionRequest, ask: Ask) -> Answer:
    """One offer as the completer makes it, and the loss of what the user wrote there."""
    made = generator.complete(request, _never)
    nats, tokens = _nats(generator, request, ask.truth)
    left = finished(made, request)
    if isinstance(left, Refusal):
        return Answer(ask.id, request.path, "", ask.truth, 0.0, {}, nats, tokens, ask.last)
    completion, text = left
    found = looked_at(completion, text.text, request.prefix, request.suffix)
    return Answer(ask.id, request.path, text.text, ask.truth, rule_margin(found), found, nats, tokens, ask.last)


def _nats(generator: Generator, request: CompletionRequest, truth: str) -> tuple[float, int]:
    """Nats of the truth behind what is resident for this request, and of how many tokens.

    Tokens that only spell the healed piece before the cursor are not counted, as in `completion_arms`.
    """
    tokens = generator.layout.tokens
    tail, piece = generator.layout.tail(request)
    ahead = tokens.encode(piece.decode() + truth)[: LINE_TOKENS + len(piece)]
    resident = generator.resident
    first = resident.extend(tail, _never, exact=True).logits
    rows = [first[None]]
    if len(ahead) > 1:
        rows.append(resident.append(ahead[:-1], every=True))
    resident.rollback(len(tail))
    logits = np.concatenate(rows).astype(np.float64)
    top = logits.max(axis=1)
    normaliser = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
    losses = normaliser - logits[np.arange(len(ahead)), ahead]
    ends = accumulate(len(tokens.decode([token])) for token in ahead)
    counted = [end > len(piece) for end in ends]
    return float(losses[counted].sum()), sum(counted)


def _never() -> bool:
    """Nobody cancels a measurement."""
    return False
