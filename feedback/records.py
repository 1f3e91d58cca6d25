"""The facts that feedback keeps, as values. Times are Unix seconds, offsets are code points.

Facts are immutable events: a suggestion is made once, decided once, ends in one outcome, is settled once and
is looked at for survival at fixed ages. Rewards are computed from them, never stored among them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

OutcomeKind = Literal["accepted", "partial", "rejected", "ignored", "superseded", "typed_through", "invalidated"]
CheckKind = Literal["syntax", "lint", "tests"]
SignalKind = Literal[
    "agent_offered", "agent_applied", "agent_undone", "agent_changed", "tool_called", "searched", "search_opened",
    "lint_fixed", "shown",
]  # fmt: skip


_DAY = 86_400.0  # seconds


def group_of(workspace: str, path: str, at: float) -> str:
    """What is alike and so is drawn together wherever chance is weighed: the work of one day in one file."""
    return f"{workspace}\n{path}\n{at // _DAY:.0f}"


RECENT_EDITS, SIMILAR_EDITS = "recent_edits", "similar_edits"
OF_EDITS = (RECENT_EDITS, SIMILAR_EDITS)  # what documents are called that are no file, but for the ending


def is_of_edits(path: str) -> bool:
    """Whether this is the path of no file but of lines that the user wrote in several, each below `# path`."""
    return path.split(".", 1)[0] in OF_EDITS


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
    """Whether the suggestion was shown. `propensity` is the probability with which this choice was made.

    `features` is what the gate saw, by name, so that a later gate is fitted on the very same numbers.
    """

    suggestion: str
    at: float
    shown: bool
    p_accept: float | None
    propensity: float
    rule: str
    features: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What the user did. `length` counts the characters of the suggestion that were taken over.

    `rule` is what decided ("client" where a report did) and `confidence` how sure that is, from 0 to 1.
    """

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
    """How much of the accepted text is still there `age` seconds after the outcome.

    `kept` is the share of its four-grams, `unreverted` is 0 where the region reads as before the acceptance and 1
    where it does not go back there at all; both from 0 to 1.
    """

    suggestion: str
    at: float
    age: int
    kept: float
    unreverted: float = 1.0


@dataclass(frozen=True)
class Report:
    """What a client reported about a suggestion, beside what the edits alone said by `rule`; for comparison only."""

    suggestion: str
    at: float
    reported: OutcomeKind
    inferred: OutcomeKind
    rule: str
    confidence: float


@dataclass(frozen=True)
class Committed:
    """How much of the accepted text is in what the next commit of its file added; `kept` from 0 to 1."""

    suggestion: str
    at: float
    commit: str
    kept: float


@dataclass(frozen=True)
class Check:
    """Faults in the file before and after the suggestion was taken: syntax errors, findings, failing tests."""

    suggestion: str
    at: float
    kind: CheckKind
    before: int
    after: int


@dataclass(frozen=True)
class Signal:
    """Something that was done with the agent, the search or a linter. `subject` is the tool, command or code.

    `reference` names what it is about: an episode, a query, a suggestion. `text` is kept apart, like all texts.
    """

    id: str
    at: float
    workspace: str
    kind: SignalKind
    path: str
    subject: str
    reference: str = ""
    text: str | None = None
    values: Mapping[str, float] = field(default_factory=dict)


Fact = Suggestion | Decision | Outcome | Settled | Survival | Report | Committed | Check | Signal
