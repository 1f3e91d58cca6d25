"""From a request to an offer: the engine decodes, the filters trim and judge, what is unsure is cut, the gate decides.

The one entry for whoever wants a completion: the server, the command line, the evaluation.
"""

import asyncio
from dataclasses import dataclass

from model.completion import Completion, CompletionRequest, Refusal
from model.cutting import finished
from model.engine import Engine
from model.gate import Gate, GateDecision


@dataclass(frozen=True)
class Offer:
    """A text for the cursor. `replaces` closers behind the cursor on its line give way to it. `whole`: it ends where
    the line or block does, and not where the model became unsure."""

    text: str
    replaces: int
    decision: GateDecision
    completion: Completion

    @property
    def whole(self) -> bool:
        return self.completion.stop != "unsure"


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
        left = await asyncio.to_thread(finished, made, request)
        if isinstance(left, Refusal):
            return left
        completion, text = left
        return Offer(text.text, text.replaces, self.gate.decide(completion, text.text), completion)
