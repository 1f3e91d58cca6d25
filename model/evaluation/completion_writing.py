"""What an arm writes at a cursor, greedily, and how long a served completion takes.

The adapter's texts come from the `Generator` that serves; the base's from the same runtime, layout and decoder with
one plain causal sequence, as it never learned anything else. What always holds: a text is asked for line by line, as a
person accepts it; who reads a suffix has to end it by itself, who does not gets as many lines as were taken out.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from model.completion import CompletionRequest, Stop
from model.decoding import Decoder
from model.ending import Ending
from model.evaluation.completion_arms import Arm
from model.evaluation.completion_cases import LONGEST, CompletionCase
from model.generator import Generator
from model.positions import LONGEST_SINK, Sequential
from model.prompt import Layout
from model.resident import Resident
from model.runtimes.runtime import Runtime

LINE_TOKENS = 128  # of one line, at most
SERVED_TOKENS = 48  # that the server asks for, by default
_SPARE = 384  # slots for paths, the slack of the tail and what is decoded


class Made(Protocol):
    """What a completion and what was decoded have in common."""

    @property
    def text(self) -> str:
        """What was written."""
        ...

    @property
    def tokens(self) -> Sequence[int]:
        """Its tokens."""
        ...

    @property
    def stop(self) -> Stop:
        """Why it ended."""
        ...


Complete = Callable[[CompletionRequest], Made]


@dataclass(frozen=True)
class Times:
    """Seconds of one served completion of a line: nothing cached, and again after one more character was typed."""

    cold: float
    keystroke: float


def served(generator: Generator) -> Complete:
    """Complete as the engine does."""
    return lambda request: generator.complete(request, _never)


class Plain:
    """One causal sequence from position 0: sink, documents and tail, each token sees all before it."""

    def __init__(self, runtime: Runtime, layout: Layout) -> None:
        budget = layout.budget
        self._layout = layout
        self._resident = Resident(runtime, Sequential(), LONGEST_SINK + budget.documents + budget.tail + _SPARE)

    def complete(self, request: CompletionRequest) -> Made:
        """Greedy, with healed tokens, to the end of the line."""
        prompt = self._layout.build(request)
        context = [token for document in prompt.documents for token in document]
        prefill = self._resident.extend([*prompt.sink, *context, *prompt.tail], _never)
        decoder = Decoder(self._resident, self._layout.tokens, None)
        return decoder.run(prefill.logits, prompt.piece, Ending(request), request.max_tokens, _never)


def write(complete: Complete, layout: Layout, case: CompletionCase, arm: Arm) -> str:
    """The text of an arm at a cursor.

    A middle of one line is over at its newline. Longer ones: with a suffix where the end token comes, else after as
    many lines as the middle has, which is generous to whoever writes from left to right. Bounded in lines and tokens.
    """
    request = case.request(documents=arm.documents, suffix=arm.suffix)
    ends_itself = arm.suffix and case.lines > 1
    lines = 2 * case.lines + 4 if ends_itself else case.lines
    left = 2 * min(LONGEST, len(layout.tokens.encode(case.middle))) + 32
    text = ""
    while True:
        made = complete(replace(request, prefix=request.prefix + text, max_tokens=min(left, LINE_TOKENS)))
        text += made.text
        lines -= 1
        left -= len(made.tokens)
        if made.stop != "line" or lines <= 0 or left <= 0:
            return text
        text += "\n"


def measure_times(generator: Generator, case: CompletionCase) -> Times:
    """Forget every document and the tail, complete one character before the cursor, then at the cursor."""
    generator.cache.keep_only(())
    generator.resident.forget()
    request = replace(case.request(documents=True, suffix=True), max_tokens=SERVED_TOKENS)
    started = time.perf_counter()
    generator.complete(replace(request, prefix=request.prefix[:-1]), _never)
    between = time.perf_counter()
    generator.complete(request, _never)
    return Times(between - started, time.perf_counter() - between)


def _never() -> bool:
    """Nobody cancels a measurement."""
    return False
