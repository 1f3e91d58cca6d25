"""Of several offers for one place, the one that is looked at when something is done there is recorded."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from inkling import folders
from model.completer import Offer
from model.completion import Completion, CompletionRequest, Cost, Refusal
from model.document import Document
from model.gate import Gate
from server.documents import Snapshot
from server.learning import Learning
from server.offers import Offered, Offers
from server.settings import CompletionSettings, IndexSettings, Settings
from server.workspaces import Workspaces

HERE, ELSEWHERE = "file:///project/a.py", "file:///project/b.py"


class Completer:
    """Completes with `one()`, `two()`, `three()` and so on."""

    def __init__(self) -> None:
        self.gate = Gate("eager")
        self._words = itertools.cycle(("one()", "two()", "three()"))

    async def complete(self, request: CompletionRequest) -> Offer:
        text, cost = next(self._words), Cost(0, 0, 1, 0.0, 0.0)
        made = Completion(text, (1,), (-0.1,), "line", "smol", None, cost)
        return Offer(text, 0, self.gate.decide(made, text), made)


class NoContext:
    async def find(self, snapshot: Snapshot, prefix: str, suffix: str) -> tuple[Document, ...]:
        return ()


@pytest.fixture
def learning() -> Iterator[Learning]:
    made = Learning(folders.feedback_database(), Settings(), lambda message: None)
    yield made
    made.close()


@pytest.fixture
def offers(learning: Learning, monkeypatch: pytest.MonkeyPatch) -> Offers:
    monkeypatch.setattr("server.offers._OTHERS_SECONDS", 60.0)
    workspaces = Workspaces(IndexSettings(enabled=False), None, lambda root, message: None)
    return Offers(Completer(), learning, workspaces, NoContext(), CompletionSettings())  # type: ignore[arg-type]


def version(uri: str) -> int:
    return 1


async def by_hand(offers: Offers, uri: str = HERE) -> tuple[Offered, ...]:
    snapshot = Snapshot(uri, Path("/project") / uri.rpartition("/")[2], "python", 1, "x = ")
    found = await offers.by_hand(snapshot, 4, version)
    assert not isinstance(found, Refusal)
    return found


@pytest.mark.parametrize("meanwhile", ["settle", "forget"])
async def test_what_happens_in_another_document_takes_nothing_from_what_is_looked_at(
    offers: Offers, learning: Learning, meanwhile: str
):
    first, second, third = await by_hand(offers)
    offers.looked_at(second.id, version)
    getattr(offers, meanwhile)(ELSEWHERE)
    assert await by_hand(offers) == (first, second, third)
    offers.settle(HERE)
    assert learning.is_open(second.id)
    assert not learning.is_open(first.id)
    assert not learning.is_open(third.id)


async def test_the_others_of_a_document_that_was_closed_are_forgotten(offers: Offers, learning: Learning):
    _, second, _ = await by_hand(offers)
    offers.looked_at(second.id, version)
    offers.forget(HERE)
    offers.settle(HERE)
    assert not learning.is_open(second.id)
