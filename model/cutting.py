"""How much of a completion is offered: it ends where more of it is not worth its risk.

Greedy decoding writes a line to its end, however unsure the model has become. A text that is wrong behind its middle is
refused as a whole, while its beginning would have been taken. So of all ends between two words that one is chosen whose
text is worth most by the gate's own measure (`model.gate.worth`) and written rule. It is always that rule, also where a
fitted gate decides: what was logged of a text can then tell of other gates, which would have cut it at the same place.
Pure: it runs no model.
"""

from dataclasses import replace

from model.completion import Completion, CompletionRequest, Refusal
from model.filters import Filtered, apply, without_suffix
from model.gate import Situation, features, rule_probability, worth


def finished(made: Completion, request: CompletionRequest) -> tuple[Completion, Filtered] | Refusal:
    """What of a completion may be offered: judged as a whole, then ended where more of it is not worth its risk."""
    left = apply(made.text, request.language, request.prefix, request.suffix)
    if isinstance(left, Refusal):
        return left
    if request.whole:
        return made, left
    completion = surest(made, left.text)
    if completion.text == left.text:
        return completion, left
    shorter = without_suffix(completion.text, request.suffix, request.prefix.rpartition("\n")[2])
    return (completion, shorter) if shorter.text.strip() else (made, left)


def surest(made: Completion, text: str) -> Completion:
    """The completion up to where `text`, a beginning of its own, is worth most; its `stop` is "unsure" if that is not
    the whole text. Where its tokens' ends are not known, it is left as it is."""
    if len(made.ends) != len(made.tokens) or not made.text.startswith(text):
        return made
    ends = [(number, end) for number, end in enumerate(made.ends, start=1) if _between_words(text, end)]
    whole = next((number for number, end in enumerate(made.ends, start=1) if end >= len(text)), len(made.ends))
    candidates = [_first(made, number, text[:end]) for number, end in ends if number < whole]
    candidates.append(replace(_first(made, whole, text), stop=made.stop))
    return max(candidates, key=_worth)


def _first(made: Completion, tokens: int, text: str) -> Completion:
    return replace(
        made, text=text, tokens=made.tokens[:tokens], logprobs=made.logprobs[:tokens], ends=made.ends[:tokens],
        stop="unsure",
    )  # fmt: skip


def _worth(made: Completion) -> float:
    found = features(made, made.text, Situation())
    return worth(found, rule_probability(found), "balanced")


def _between_words(text: str, end: int) -> bool:
    """Whether an offer may end there: inside the text, behind something, and not within a name or number."""
    if not 0 < end < len(text) or not text[:end].strip() or text[end - 1].isspace():
        return False
    return not (_of_word(text[end - 1]) and _of_word(text[end]))


def _of_word(character: str) -> bool:
    return character.isalnum() or character == "_"
