"""Show or hide: p(accept) of a suggestion against a threshold.

Until a night has trained a gate on the user's own decisions, p(accept) comes from a rule that is written down
here: a logistic in the mean log-probability per token, with long suggestions trusted less. The rule that decided is
stored with every decision, so that its data can be told from that of a trained gate.
"""

import math
from dataclasses import dataclass
from typing import Literal

from model.completion import Completion

Mode = Literal["eager", "balanced", "quiet"]

# p(accept) from which a suggestion is shown. 0.25 is what Cursor published for its own gate.
_THRESHOLDS: dict[str, float] = {"eager": 0.0, "balanced": 0.10, "quiet": 0.35}
_BIAS = 1.2
_PER_NAT = 1.6  # a mean log-probability one nat lower divides the odds by e^1.6
_PER_LINE = 0.35


@dataclass(frozen=True)
class GateDecision:
    """`propensity` is the probability with which this choice was made; 1.0, since nothing is explored yet."""

    shown: bool
    p_accept: float
    propensity: float
    rule: str


class Gate:
    """Decides about suggestions in one of three modes."""

    def __init__(self, mode: Mode = "balanced") -> None:
        self.mode = mode

    def decide(self, completion: Completion, text: str) -> GateDecision:
        """Decide about `text`, which is what the filters left of the completion."""
        p_accept = probability(completion.mean_logprob, text.count("\n"))
        return GateDecision(p_accept >= _THRESHOLDS[self.mode], p_accept, 1.0, f"confidence-{self.mode}")


def probability(mean_logprob: float, line_breaks: int) -> float:
    """p(accept) by the written rule: logistic(1.2 + 1.6 * mean log-probability in nats - 0.35 * line breaks)."""
    return 1.0 / (1.0 + math.exp(-(_BIAS + _PER_NAT * mean_logprob - _PER_LINE * line_breaks)))
