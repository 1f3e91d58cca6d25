"""The facts that feedback keeps, as values. Times are Unix seconds, offsets are code points.

Facts are immutable events: a suggestion is made once, decided once, ends in one outcome, is settled once and
is looked at for survival at fixed ages. Rewards are computed from them, never stored among them.
"""

from dataclasses import dataclass
from typing import Literal

OutcomeKind = Literal["accepted", "partial", "rejected", "ignored", "superseded", "typed_through"]


@dataclass(frozen=True)
class ContextDocument:
    """A document that the model read beside the active file."""

    path: str
    text: str


@dataclass(frozen=True)
class Suggestion:
    """A text that the model proposed at a cursor. `prefix` and `suffix` are the text around it, cut to a window."""

    id: str
    at: float
    workspace: str  # the root folder's path
    path: str
    language: str
    version: int
    line: int
    column: int
    prefix: str
    suffix: str
    text: str
    documents: tuple[ContextDocument, ...]
    logprobs: tuple[float, ...]
    base: str
    adapter: str | None
    seconds: float  # from request to answer


@dataclass(frozen=True)
class Decision:
    """Whether the suggestion was shown. `propensity` is the probability with which this choice was made."""

    suggestion: str
    at: float
    shown: bool
    p_accept: float | None
    propensity: float
    rule: str


@dataclass(frozen=True)
class Outcome:
    """What the user did. `length` counts the characters of the suggestion that were taken over."""

    suggestion: str
    at: float
    kind: OutcomeKind
    length: int
    rule: str
    confidence: float


@dataclass(frozen=True)
class Settled:
    """What the region of the suggestion had become when the user stopped touching it."""

    suggestion: str
    at: float
    text: str


@dataclass(frozen=True)
class Survival:
    """How much of the accepted text is still there `age` seconds after the outcome; `kept` from 0 to 1."""

    suggestion: str
    at: float
    age: int
    kept: float


Fact = Suggestion | Decision | Outcome | Settled | Survival
