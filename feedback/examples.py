"""What training may use: one settled region with everything the model saw there. Plain values, no SQL."""

from dataclasses import dataclass

from feedback.records import ContextDocument, OutcomeKind


@dataclass(frozen=True)
class Example:
    """A cursor, what was offered there and what the user finally had. `target` is the settled text.

    `at` is the time of the settled text: splits into training and later data go by it. `reward` is in the
    unit of `feedback.rewards` (retained characters, minus the cost of a refused display).
    """

    id: str
    at: float
    workspace: str
    path: str
    language: str
    prefix: str
    suffix: str
    target: str
    offered: str
    outcome: OutcomeKind
    reward: float
    documents: tuple[ContextDocument, ...] = ()
