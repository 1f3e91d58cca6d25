"""The simulated user, fixed beforehand: what is accepted, and how many characters of it are kept.

- An offer is shown if the gate finds it worth it.
- A shown offer is accepted if it is exactly what the user wrote, or if it has at least 3 characters and its longest
  common prefix with what the user wrote covers at least 80% of it.
- Kept are the characters of that common prefix if the offer was accepted, else none.
- `kept characters per request at equal show-rate`: each arm shows its best offers by its gate's own measure, as many
  as the frozen model shows at the served threshold of the same user's requests.

Pure: texts and numbers in, values out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

from model.evaluation.completion_report import exact, similarity

LEAST_CHARACTERS = 3
LEAST_COVERED = 0.8
RULE = (
    f"accepts an offer that is what was written, or that has at least {LEAST_CHARACTERS} characters of which the first "
    f"{LEAST_COVERED:.0%} or more are; keeps the common prefix"
)


@dataclass(frozen=True)
class Answer:
    """What an arm answered to one request, and what the user made of it.

    `offer` is what the filters left, "" where they refused. `margin`: how far p(accept) lies above its threshold, in
    log-odds; it is shown by itself from 0. `kept` and `accepted` hold if it is shown. `nats` of the `tokens` of the
    truth, by teacher forcing. `stands`: whether the line is in the last version.
    """

    id: str
    path: str
    offer: str
    truth: str
    margin: float
    features: dict[str, float]
    nats: float
    tokens: int
    stands: bool | None = None

    @property
    def shown(self) -> bool:
        """At the served threshold."""
        return bool(self.offer) and self.margin >= 0

    @property
    def accepted(self) -> bool:
        """Whether the user would take it."""
        return accepts(self.offer, self.truth)

    @property
    def kept(self) -> int:
        """Characters that stay if it is shown."""
        return len(common_prefix(self.offer, self.truth)) if self.accepted else 0

    @property
    def exact(self) -> bool:
        """Whether it is what the user wrote."""
        return bool(self.offer) and exact(self.offer, self.truth)

    @property
    def similarity(self) -> float:
        """To what the user wrote, from 0 to 1."""
        return similarity(self.offer, self.truth) if self.offer else 0.0

    def judged(self, margin: float) -> "Answer":
        """The same, by another gate."""
        return replace(self, margin=margin)


def accepts(offer: str, truth: str) -> bool:
    """The rule above. An offer of blanks is none."""
    if not offer.strip():
        return False
    if exact(offer, truth):
        return True
    return len(offer) >= LEAST_CHARACTERS and len(common_prefix(offer, truth)) >= LEAST_COVERED * len(offer)


def common_prefix(offer: str, truth: str) -> str:
    """The longest."""
    pairs = takewhile(lambda pair: pair[0] == pair[1], zip(offer.rstrip(), truth.rstrip(), strict=False))
    return "".join(character for character, _ in pairs)


def best(answers: Sequence[Answer], count: int) -> frozenset[str]:
    """The ids of the `count` offers with the largest margins. Fewer where there are fewer offers."""
    offered = sorted((answer for answer in answers if answer.offer), key=lambda answer: (-answer.margin, answer.id))
    return frozenset(answer.id for answer in offered[:count])
