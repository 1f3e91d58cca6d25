"""The sentinel: does a candidate do something else than it is rewarded for? Behaviour beside that of the champion.

Both write at the same later cursors as they would serve there; what they would show, how long it is, how much of it
would have to be changed and every component of the reward are compared with what the user really wrote. It promotes
nothing. What always holds: each drift is a guard with a name and a figure; the figures of both stay in the record.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from feedback.rewards import edit_likeness
from model.cache.document_cache import CacheBudgets
from model.completion import Completion, Refusal
from model.evaluation.comparison import Guard
from model.filters import apply
from model.gate import Situation, features, rule_probability, show_probability
from model.generator import Generator, GeneratorOptions
from model.prompt import Budget
from model.runtimes.choose import open_runtime
from model.shipped import Shipped
from model.training.section_tasks import Section
from model.training.sections import reward_of
from model.training.writing import Sample

_CACHE = CacheBudgets(1_000_000_000, 1_000_000_000, 0)
_MOST_TOKENS = 48
_AT_ONCE = 0.1  # seconds: what comes sooner feels as if it came at once (Nielsen 1993)
_ONE_SIDED = 1.645  # standard errors


@dataclass(frozen=True)
class Bounds:
    """How far a candidate may drift. `displays`: share of cursors; `doublings`: of the length, away from the user's;
    `edits`: share of the text; `syntax`: of the reward's factor for text that holds together; `component`: of any other
    component of the reward, both by more only where chance takes as much; `slower`: times the seconds of a
    suggestion."""

    displays: float = 0.2
    doublings: float = 1.0
    edits: float = 0.15
    syntax: float = 0.05
    component: float = 0.2
    slower: float = 1.25
    most_cursors: int = 32
    least_cursors: int = 6


@dataclass(frozen=True)
class Behaviour:
    """What a model does at some cursors, means.

    `shown` is the probability of a display by the written rule; `shown_right` and `shown_wrong` are its parts, by
    likeness to what the user wrote. `characters` of an offer; `doublings` by which it is longer or shorter than the
    user's text; `edits`: the share that the user would have to change; `components` those of the reward, `each` of them
    at every cursor. `seconds`, the median, and `tokens` of writing one.
    """

    cursors: int
    shown: float
    shown_right: float
    shown_wrong: float
    characters: float
    doublings: float
    edits: float
    components: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    tokens: float = 0.0
    each: Mapping[str, Sequence[float]] = field(default_factory=dict)


class Sentinel:
    """Lets adapters write on one base and anchor. `seconds` is what one of them may take; nobody waits for more."""

    def __init__(
        self,
        base_folder: Path,
        anchor: Shipped | None,
        budget: Budget,
        *,
        threads: int,
        bounds: Bounds,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = base_folder
        self._anchor = anchor
        self._budget = budget
        self._threads = threads
        self._bounds = bounds
        self._seconds = seconds
        self._clock = clock

    def watch(
        self,
        sections: Sequence[Section],
        champion: Path | None,
        candidate: Path,
        tick: Callable[[int], None] = lambda done: None,
    ) -> tuple[list[Guard], dict[str, Any]]:
        """The guards, and the figures of both. `tick` is called with the cursors done; it may raise to stop."""
        asked = list(sections[-self._bounds.most_cursors :])[::-1]
        before = self._behaviour(asked, champion, self._seconds, tick)
        after = self._behaviour(asked[: before.cursors], candidate, None, tick)
        figures = {"champion": asdict(before), "candidate": asdict(after)}
        return drifts(before, after, self._bounds), figures

    def _behaviour(
        self, sections: Sequence[Section], adapter: Path | None, seconds: float | None, tick: Callable[[int], None]
    ) -> Behaviour:
        """At as many cursors as the time allows, `least_cursors` at least; None: at all of them."""
        adapters = [*([self._anchor.folder] if self._anchor else []), *([adapter] if adapter else [])]
        runtime = open_runtime(self._folder, adapters, threads=self._threads)
        scheme = self._anchor.scheme if self._anchor is not None else "parallel"
        fills = self._anchor is not None and self._anchor.fills_middle
        options = GeneratorOptions(self._budget, _CACHE, None, scheme, fills, prefetch=False)
        generator = Generator(self._folder, runtime, options, adapters=adapters)
        began, seen = self._clock(), list[_Seen]()
        for section in sections:
            request = replace(section.request, max_tokens=_MOST_TOKENS, wait=True)
            seen.append(_seen(section, generator.complete(request, lambda: False)))
            tick(len(seen))
            late = seconds is not None and self._clock() - began >= seconds
            if late and len(seen) >= self._bounds.least_cursors:
                break
        return _mean(seen)


def drifts(before: Behaviour, after: Behaviour, bounds: Bounds) -> list[Guard]:
    """The guards by name; a value is how far the candidate went in the wrong direction."""
    displays = max(after.shown_wrong - before.shown_wrong, before.shown_right - after.shown_right)
    falls = {name: before.components[name] - after.components[name] for name in before.components}
    syntax = falls.pop("syntax")
    worst = max(falls, key=lambda name: falls[name])
    least_syntax = max(bounds.syntax, _by_chance(before, after, "syntax"))
    least = max(bounds.component, _by_chance(before, after, worst))
    return [
        _guard(
            "show rate", displays, bounds.displays, f"wrong displays rise and right ones fall by <= {bounds.displays:g}"
        ),
        _guard(
            "length", after.doublings - before.doublings, bounds.doublings,
            f"offers go away from the user's length by <= {bounds.doublings:g} doublings",
        ),
        _guard("edit rate", after.edits - before.edits, bounds.edits, f"rises by <= {bounds.edits:g}"),
        _guard("syntax", syntax, least_syntax, f"falls by <= {least_syntax:.2g}"),
        _guard("reward components", falls[worst], least, f"none falls by > {least:.2g}; most fell {worst}"),
        _guard("latency", slower(before, after), bounds.slower, f"<= {bounds.slower:g} times the seconds as served"),
    ]  # fmt: skip


def _by_chance(before: Behaviour, after: Behaviour, component: str) -> float:
    """What a mean falls by where nothing but chance decides which cursors gain and which lose (one-sided 95%; of whole
    texts it is McNemar's test, 1947): one broken text of twenty is more than a twentieth, and tells nothing."""
    pairs = zip(before.each.get(component, ()), after.each.get(component, ()), strict=True)
    return _ONE_SIDED * math.sqrt(sum((one - other) ** 2 for one, other in pairs)) / before.cursors


def slower(before: Behaviour, after: Behaviour) -> float:
    """How many times as long a suggestion takes.

    Adapters are merged into the same weights, so that only a longer text takes longer; seconds alone would also tell
    how busy the machine was in the meantime. So it is the smaller one of both ratios.
    """
    seconds = max(after.seconds, _AT_ONCE) / max(before.seconds, _AT_ONCE)
    return min(seconds, (after.tokens + 1) / (before.tokens + 1))


def _guard(name: str, value: float, bound: float, rule: str) -> Guard:
    return Guard(name, value, bound, value <= bound, rule)


@dataclass(frozen=True)
class _Seen:
    """One cursor."""

    shown: float
    likeness: float
    characters: int
    doublings: float
    components: Mapping[str, float]
    seconds: float
    tokens: int


def _seen(section: Section, made: Completion) -> _Seen:
    request, real = section.request, section.target.rstrip()
    left = apply(made.text, request.language, request.prefix, request.suffix)
    text = "" if isinstance(left, Refusal) else left.text
    shown = 0.0
    if text:
        line, rest = request.prefix.rpartition("\n")[2], request.suffix.partition("\n")[0]
        found = features(made, text, Situation(request.language, line, rest))
        shown = show_probability(found, rule_probability(found), "balanced")
    reward = reward_of(section, Sample(made.tokens, text, made.stop != "length"))
    doublings = abs(math.log2((len(text) + 1) / (len(real) + 1)))
    seconds = made.cost.prefill_seconds + made.cost.decode_seconds
    return _Seen(
        shown, edit_likeness("", text, real), len(text), doublings, reward.components, seconds, made.cost.decoded_tokens
    )


def _mean(seen: Sequence[_Seen]) -> Behaviour:
    def mean(values: Sequence[float]) -> float:
        return float(np.mean(values))

    return Behaviour(
        cursors=len(seen),
        shown=mean([one.shown for one in seen]),
        shown_right=mean([one.shown * one.likeness for one in seen]),
        shown_wrong=mean([one.shown * (1 - one.likeness) for one in seen]),
        characters=mean([one.characters for one in seen]),
        doublings=mean([one.doublings for one in seen]),
        edits=mean([1 - one.likeness for one in seen]),
        components={name: mean([one.components[name] for one in seen]) for name in seen[0].components},
        seconds=float(np.median([one.seconds for one in seen])),
        tokens=mean([one.tokens for one in seen]),
        each={name: [one.components[name] for one in seen] for name in seen[0].components},
    )
