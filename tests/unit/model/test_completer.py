"""The way from a request to an offer, with the default weights."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from model import weights
from model.completer import Completer, Offer
from model.completion import CompletionRequest, Refusal
from model.engine import Engine
from model.gate import Gate
from model.shipped import shipped

pytestmark = [pytest.mark.weights, pytest.mark.asyncio(loop_scope="module")]
BASE = "smollm2-135m-instruct"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def completer() -> AsyncIterator[Completer]:
    engine = Engine(weights.resolve(BASE), name=BASE, shipped=shipped(BASE))
    engine.start()
    await engine.ready()
    yield Completer(engine, Gate("eager"))
    engine.close()


def request(prefix: str, suffix: str = "\n", language: str = "python") -> CompletionRequest:
    return CompletionRequest("pkg/mod.py", language, prefix, suffix, max_tokens=24)


async def offered(completer: Completer, asked: CompletionRequest) -> Offer:
    made = await completer.complete(asked)
    assert isinstance(made, Offer), made
    return made


async def test_a_cut_word_is_healed(completer: Completer):
    offer = await offered(completer, request("def total(values):\n    result = 0\n    for i in ran"))
    assert offer.text.startswith("ge(")


async def test_an_indented_line_is_continued_sensibly(completer: Completer):
    stack = "class Stack:\n    def __init__(self):\n        self.items = []\n\n    def push(self, item):\n        "
    after = "\n\n    def pop(self):\n        return self.items.pop()\n"
    assert (await offered(completer, request(stack, after))).text == "self.items.append(item)"


async def test_what_stands_behind_the_cursor_is_not_offered(completer: Completer):
    offer = await offered(completer, request("def add(first, second):\n    return (first + sec", ")\n"))
    assert not offer.text.endswith(")")


async def test_a_whole_line_above_is_not_offered_again(completer: Completer):
    made = await completer.complete(request("items.append(1)\n" * 6 + "items.append("))
    assert isinstance(made, Refusal) or made.text != "1)"


async def test_the_offer_carries_what_has_to_be_recorded(completer: Completer):
    offer = await offered(completer, request("import os\n\npath = os.path.jo"))
    assert offer.completion.base == BASE
    assert 0 < offer.decision.p_accept < 1
    assert offer.decision.propensity == 1.0
