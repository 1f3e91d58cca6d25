"""From a request to an offer: the engine decodes, the filters trim and judge, the gate decides.

The one entry for whoever wants a completion: the server, the command line, the evaluation.
"""

import asyncio
from dataclasses import dataclass

from model.completion import Completion, CompletionRequest, Refusal
from model.engine import Engine
from model.filters import apply
from model.gate import Gate, GateDecision


@dataclass(frozen=True)
class Offer:
    """A text for the cursor. `replaces` closers behind the cursor on its line give way to it."""

    text: str
    replaces: int
    decision: GateDecision
    completion: Completion


class Completer:
    """Engine, filters and gate in one. `gate` may be exchanged at any time."""

    def __init__(self, engine: Engine, gate: Gate) -> None:
        self.engine = engine
        self.gate = gate

    async def complete(self, request: CompletionRequest) -> Offer | Refusal:
        """An offer, or why there is none. A hidden offer is an offer too: its decision says so."""
        made = await self.engine.complete(request)
        if isinstance(made, Refusal):
            return made
        left = await asyncio.to_thread(apply, made.text, request.language, request.prefix, request.suffix)
        if isinstance(left, Refusal):
            return left
        return Offer(left.text, left.replaces, self.gate.decide(made, left.text), made)
