"""The engine with a real, tiny network: the newest request wins, and adapters meet no stale keys."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest

from inkling.errors import InklingError
from model.completion import Completion, CompletionRequest, Refusal
from model.document import Document
from model.engine import Engine
from model.runtime import Cancelled, Prefill
from model.runtime_transformers import TransformersRuntime


class HeldRuntime(TransformersRuntime):
    """Waits before each prefill until the test lets it go on."""

    gate = threading.Semaphore(1)  # loading prefills once
    entered = threading.Semaphore(0)

    def extend(self, tail: Sequence[int], cancelled: Cancelled) -> Prefill:
        self.entered.release()
        assert self.gate.acquire(timeout=30)
        return super().extend(tail, cancelled)


def request(prefix: str, *documents: Document) -> CompletionRequest:
    return CompletionRequest("a.py", "python", prefix, "\n", documents, max_tokens=6)


@pytest.fixture
async def engine(tiny_base: Path) -> AsyncIterator[Engine]:
    made = Engine(tiny_base, name="tiny", threads=1)
    made.start()
    await made.ready()
    yield made
    made.close()


async def text_of(engine: Engine, prefix: str) -> Completion:
    made = await engine.complete(request(prefix))
    assert isinstance(made, Completion)
    return made


async def test_while_the_model_loads_a_request_is_refused_at_once(tiny_base: Path):
    engine = Engine(tiny_base, name="tiny")
    engine.start()
    refusal = await engine.complete(request("x = "))
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "model_loading"
    await engine.ready()
    assert engine.status()["state"] == "ready"
    engine.close()


async def test_without_weights_the_refusal_names_the_command(tmp_path: Path):
    engine = Engine(None, name="smollm2-135m-instruct")
    engine.start()
    refusal = await engine.complete(request("x"))
    assert isinstance(refusal, Refusal)
    assert "inkling models pull" in refusal.detail
    engine.close()


async def test_weights_that_cannot_be_loaded_are_a_state_with_a_message(tmp_path: Path):
    engine = Engine(tmp_path, name="broken")
    engine.start()
    with pytest.raises(InklingError, match=r"tokenizer\.json"):
        await engine.ready()
    refusal = await engine.complete(request("x"))
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "model_failed"
    engine.close()


async def test_the_same_cursor_gets_the_same_text_whatever_came_between(engine: Engine):
    first = await text_of(engine, "def area(radius):\n    ret")
    await text_of(engine, "import os\n")
    again = await text_of(engine, "def area(radius):\n    ret")
    assert (again.text, again.tokens) == (first.text, first.tokens)


async def test_typing_on_reuses_what_is_resident(engine: Engine):
    await text_of(engine, "def area(radius):\n    re")
    cost = (await text_of(engine, "def area(radius):\n    ret")).cost
    assert cost.reused_tokens > cost.prefilled_tokens


async def test_the_text_continues_the_cut_word(engine: Engine):
    made = await text_of(engine, "for i in ran")
    spelled = engine_tokens(engine).decode(made.tokens)
    assert spelled.startswith(b" ran")
    assert spelled[len(b" ran") :].decode(errors="ignore").startswith(made.text)


def engine_tokens(engine: Engine):
    return engine._tokens


async def test_there_is_one_log_probability_per_token_and_none_is_positive(engine: Engine):
    made = await text_of(engine, "x = ")
    assert len(made.logprobs) == len(made.tokens) == made.cost.decoded_tokens
    assert max(made.logprobs) <= 0


async def test_the_newest_request_wins(tiny_base: Path):
    engine = Engine(tiny_base, name="tiny", make_runtime=lambda folder, threads: HeldRuntime(folder, threads))
    engine.start()
    await engine.ready()
    HeldRuntime.entered.acquire()  # the one of loading
    older = asyncio.create_task(engine.complete(request("x = ")))
    await asyncio.to_thread(HeldRuntime.entered.acquire)
    newer = asyncio.create_task(engine.complete(request("x = 1")))
    await asyncio.sleep(0)  # lets the newer one reach the engine
    HeldRuntime.gate.release(2)
    superseded, made = await asyncio.gather(older, newer)
    assert isinstance(superseded, Refusal)
    assert superseded.reason == "superseded"
    assert isinstance(made, Completion)
    engine.close()


async def test_a_cancelled_caller_frees_the_engine(engine: Engine):
    task = asyncio.create_task(engine.complete(request("x = ")))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert isinstance(await engine.complete(request("y = ")), Completion)


async def test_another_adapter_never_meets_old_keys(
    engine: Engine, tiny_base: Path, make_adapter: Callable[[int], Path]
):
    adapter = make_adapter(5)
    prefix = "def area(radius):\n    ret"
    bare = await text_of(engine, prefix)
    await engine.use_adapter(adapter, "five")
    tuned = await text_of(engine, prefix)
    assert (tuned.adapter, tuned.cost.reused_tokens) == ("five", 0)
    fresh = Engine(tiny_base, name="tiny", threads=1)
    fresh.start()
    await fresh.ready()
    await fresh.use_adapter(adapter, "five")
    assert (await text_of(fresh, prefix)).text == tuned.text
    fresh.close()
    await engine.use_adapter(None, None)
    back = await text_of(engine, prefix)
    assert (back.text, back.adapter, back.cost.reused_tokens) == (bare.text, None, 0)


async def test_an_adapter_that_cannot_be_read_leaves_the_engine_as_it_was(engine: Engine, tmp_path: Path):
    with pytest.raises(InklingError):
        await engine.use_adapter(tmp_path, "nothing")
    assert engine.adapter is None
    assert isinstance(await engine.complete(request("x = ")), Completion)


async def test_documents_stay_resident_while_most_are_still_wanted(engine: Engine):
    a, b, c = (Document(f"{name}.py", f"{name} = 1\n") for name in "abc")
    await engine.complete(request("x = ", a, b))
    kept = await engine.complete(request("x = 1", a, c))
    assert isinstance(kept, Completion)
    assert kept.documents == (a, b)
    late = await engine.complete(request("x = 12"))
    assert isinstance(late, Completion)
    assert late.documents == (a, b)
    changed = await engine.complete(request("x = 123", c))
    assert isinstance(changed, Completion)
    assert changed.documents == (c,)
