"""An offer ends where more of it is not worth its risk, between two words, and what is left is a completion."""

import math
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from model.completion import Completion, CompletionRequest, Cost, Refusal
from model.cutting import finished, surest
from model.gate import Situation, features, rule_probability, worth

COST = Cost(0, 1, 1, 0.0, 0.0)


def made(*tokens: tuple[str, float]) -> Completion:
    """A completion of tokens with the probabilities that the model gave them."""
    text, ends = "", []
    for token, _ in tokens:
        text += token
        ends.append(len(text))
    logprobs = tuple(math.log(p) for _, p in tokens)
    return Completion(text, tuple(range(len(tokens))), logprobs, "line", "base", None, COST, (), tuple(ends))


def test_a_sure_line_stays_whole():
    line = made(("self", 0.99), (".total", 0.95), (" += ", 0.9), ("price", 0.95))
    assert surest(line, line.text) == line


def test_an_unsure_end_is_cut_with_its_tokens():
    line = made(("self", 0.99), (".total", 0.95), (" +=", 0.9), (" self", 0.1), (".nothing", 0.1), ("_at_all", 0.1))
    cut = surest(line, line.text)
    assert (cut.text, cut.stop) == ("self.total +=", "unsure")
    assert (cut.tokens, cut.logprobs, cut.ends) == (line.tokens[:3], line.logprobs[:3], line.ends[:3])


def test_no_name_is_cut_in_two():
    line = made(("return", 0.99), (" total", 0.9), ("_of", 0.05), ("_all", 0.9))
    assert surest(line, line.text).text == "return"


def test_what_filters_took_away_is_not_offered_again():
    line = made(("print(", 0.99), ("total", 0.9), (")", 0.9), ("\n", 0.9))
    assert surest(line, "print(total").text == "print(total"


def test_a_completion_without_ends_stays():
    line = Completion("a b", (1, 2), (-5.0, -5.0), "line", "base", None, COST)
    assert surest(line, "a b") == line


@given(st.lists(st.tuples(st.sampled_from(["a", " b", "_c", "(", ")", " ", "\n"]), st.floats(0.01, 1.0)), min_size=1))
def test_what_is_offered_is_a_beginning_that_is_worth_no_less(tokens: list[tuple[str, float]]):
    whole = made(*tokens)
    text = whole.text.rstrip()
    cut = surest(whole, text)
    assert text.startswith(cut.text)
    assert cut.text.strip() or not text.strip()
    assert cut.stop == ("unsure" if cut.text != text else "line")

    def value(one: Completion) -> float:
        found = features(one, one.text, Situation())
        return worth(found, rule_probability(found), "balanced")

    assert value(cut) >= value(replace(whole, text=text))


def test_closers_behind_the_cursor_are_replaced_only_by_a_text_that_holds_them():
    line = made(("total", 0.95), ("(", 0.95), ("1", 0.05), (")", 0.9), (" + 2", 0.3))
    request = CompletionRequest("a.py", "python", "x = (", ")\n")
    left = finished(line, request)
    assert not isinstance(left, Refusal)
    completion, filtered = left
    assert (completion.text, filtered.text, filtered.replaces) == ("total(", "total(", 0)
    left = finished(line, CompletionRequest("a.py", "python", "x = (", ")\n", whole=True))
    assert not isinstance(left, Refusal)
    assert left[1].text.startswith("total(1)")
