"""An arm answers as the server would, and its loss is that of the network that is trained."""

from pathlib import Path

import pytest

from model.completion import CompletionRequest
from model.document import Document
from model.evaluation.completion_arms import ARMS, losses
from model.evaluation.completion_cases import CompletionCase, Sizes
from model.evaluation.replay_arms import Served
from model.evaluation.replay_requests import Ask
from model.positions import Sequential
from model.prompt import Format, Layout
from model.shipped import Shipped
from model.tokens import Tokens
from tests.unit.evaluation.test_completion_arms import filling

SIZES = Sizes(documents=2, document=64, tail=96, suffix=24)
CASE = CompletionCase(
    "line",
    "line",
    "shop",
    "shop/orders.py",
    "def total(prices):\n    fo",
    "und = sum(prices)",
    "\n    return found\n",
    (Document("shop/prices.py", "def price(name):\n    return 1\n"), Document("shop/notes.py", "NOTES = []\n")),
    "shop",
)
ASK = Ask("shop 0 1.2.3", CASE.request(documents=True, suffix=True), CASE.middle)


@pytest.fixture(scope="module")
def base(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return filling(tiny_base, tmp_path_factory.mktemp("models") / "filling")


@pytest.fixture(scope="module")
def served(base: Path) -> Served:
    return Served(base, None, "sequential", SIZES, threads=1)


def test_the_loss_is_that_of_one_masked_pass(base: Path, make_adapter, served: Served):
    from model.training.network import load_network

    adapter = make_adapter(3)
    anchored = Served(base, Shipped(adapter, True, "sequential"), "sequential", SIZES, threads=1)
    tokens = Tokens(base)
    layout = Layout(tokens, SIZES.budget, Format.of(tokens, fills_middle=True))
    arm = next(arm for arm in ARMS if arm.name == "adapter_documents")
    expected = losses(load_network(base, [adapter]), layout, Sequential(), CASE, arm)
    (answer,) = anchored.ask([ASK])
    assert answer.tokens == len(expected)
    assert answer.nats / answer.tokens == pytest.approx(expected.mean(), abs=0.15)  # int8 and bfloat16


def test_a_second_asking_is_answered_the_same(served: Served):
    asks = [
        ASK,
        Ask("shop 0 1.2.4", CompletionRequest("shop/a.py", "python", "x = ", "\n", block=False, wait=True), "1"),
    ]
    assert served.ask(asks) == served.ask(asks)
    assert [answer.id for answer in served.ask(asks)] == ["shop 0 1.2.3", "shop 0 1.2.4"]


def test_the_newest_edits_are_read_beside_the_other_documents(served: Served):
    recent = Document("recent_edits.py", "found = sum(prices)\n" * 2)
    ask = Ask(ASK.id, ASK.request, ASK.truth, (recent,))
    (plain,), (same,), (told,) = served.ask([ASK]), served.ask([ask]), served.ask([ask], recent=True)
    assert plain == same
    assert told.nats != plain.nats


def test_another_adapter_answers_otherwise_and_leaves_nothing_behind(make_adapter, served: Served):
    before = served.ask([ASK])
    others = [served.ask([ASK], make_adapter(seed)) for seed in (5, 6, 7)]
    assert len({answer.nats for (answer,) in [before, *others]}) == 4
    assert served.ask([ASK]) == before
