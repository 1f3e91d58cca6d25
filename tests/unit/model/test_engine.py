"""The engine with a real, tiny network: the newest request wins, adapters meet no stale keys, memory may run out."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inkling.errors import InklingError
from model.adapters import Adapter
from model.cache.document_cache import CacheBudgets
from model.completion import Completion, CompletionRequest, Refusal
from model.document import Document
from model.engine import Engine, EngineOptions
from model.generator import GeneratorOptions
from model.prompt import Budget
from model.runtimes.onnx_runtime import OnnxBuffer, OnnxRuntime
from model.runtimes.runtime import OutOfMemoryError, Rows

OPTIONS = EngineOptions("onnx", "float32", 1, GeneratorOptions(budget=Budget(240, 240, 80, 120, 4, 24), prefetch=False))


class HeldRuntime(OnnxRuntime):
    """Waits before it computes anything until the test lets it go on."""

    gate = threading.Semaphore(0)
    entered = threading.Semaphore(0)

    def forward(
        self, buffer: OnnxBuffer, tokens: Sequence[int], slot: int, position: int, rows: Rows = "last"
    ) -> np.ndarray:
        self.entered.release()
        assert self.gate.acquire(timeout=30)
        return super().forward(buffer, tokens, slot, position, rows)


class CrampedRuntime(OnnxRuntime):
    """An accelerator with room for `slots` slots in all."""

    device = "cuda"

    def __init__(self, folder: Path, adapters: Sequence[Path], slots: int) -> None:
        super().__init__(folder, adapters, precision="float32", threads=1)
        self.name = "cramped"
        self.slots = slots

    def buffer(self, capacity: int) -> OnnxBuffer:
        if capacity > self.slots:
            raise OutOfMemoryError
        return super().buffer(capacity)


def request(prefix: str, *documents: Document) -> CompletionRequest:
    return CompletionRequest("a.py", "python", prefix, "\n", documents, max_tokens=6)


@pytest.fixture
async def engine(tiny_base: Path) -> AsyncIterator[Engine]:
    made = Engine(tiny_base, name="tiny", options=OPTIONS)
    made.start()
    await made.ready()
    yield made
    made.close()


async def text_of(engine: Engine, prefix: str) -> Completion:
    made = await engine.complete(request(prefix))
    assert isinstance(made, Completion)
    return made


async def test_while_the_model_loads_a_request_is_refused_at_once(tiny_base: Path):
    engine = Engine(tiny_base, name="tiny", options=OPTIONS)
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
    with pytest.raises(InklingError, match=r"config\.json"):
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
    assert engine.tokens is not None
    return engine.tokens


async def test_there_is_one_log_probability_per_token_and_none_is_positive(engine: Engine):
    made = await text_of(engine, "x = ")
    assert len(made.logprobs) == len(made.tokens) == made.cost.decoded_tokens
    assert max(made.logprobs) <= 0


async def test_the_newest_request_wins(tiny_base: Path):
    engine = Engine(
        tiny_base,
        name="tiny",
        options=OPTIONS,
        make_runtime=lambda folder, adapters, device: HeldRuntime(folder, adapters, precision="float32", threads=1),
    )
    engine.start()
    await engine.ready()
    older = asyncio.create_task(engine.complete(request("x = ")))
    await asyncio.to_thread(HeldRuntime.entered.acquire)
    newer = asyncio.create_task(engine.complete(request("x = 1")))
    await asyncio.sleep(0)  # lets the newer one reach the engine
    HeldRuntime.gate.release(100)
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
    fresh = Engine(tiny_base, name="tiny", options=OPTIONS)
    fresh.start()
    await fresh.ready()
    await fresh.use_adapter(adapter, "five")
    assert (await text_of(fresh, prefix)).text == tuned.text
    fresh.close()
    await engine.use_adapter(None, None)
    back = await text_of(engine, prefix)
    assert (back.text, back.adapter, back.cost.reused_tokens) == (bare.text, None, 0)


async def test_a_canary_that_comes_goes_and_comes_back_leaves_no_key_behind(
    engine: Engine, tiny_base: Path, make_adapter: Callable[[int], Path]
):
    """Champion, canary, taken back, promoted after all, with documents and what was prefetched for each."""
    document = Document("lib/shapes.py", "class Circle:\n    def area(self):\n        return self.radius\n" * 4)
    prefix = "from shapes import Circle\n\ndef area(radius):\n    ret"
    champion, canary = make_adapter(5), make_adapter(6)

    async def exactly(asked: Engine) -> tuple[int, ...]:
        """What is written once the whole tail has seen the document."""
        await attended(asked, prefix, document)
        made = await asked.complete(replace(request(prefix, document), wait=True))
        assert isinstance(made, Completion)
        assert made.documents == (document,)
        return made.tokens

    expected: dict[str, tuple[int, ...]] = {}
    for name, folder in (("champion", champion), ("canary", canary)):
        fresh = Engine(tiny_base, name="tiny", options=OPTIONS)
        fresh.start()
        await fresh.ready()
        await fresh.use_adapter(folder, name)
        expected[name] = await exactly(fresh)
        fresh.close()
    for name in ("champion", "canary", "champion", "canary", "canary", "champion"):
        await engine.use_adapter(champion if name == "champion" else canary, name)
        first = await engine.complete(request(prefix, document))
        assert isinstance(first, Completion)
        assert (first.adapter, first.cost.reused_tokens, first.documents) == (name, 0, ())
        assert await exactly(engine) == expected[name]


async def test_an_adapter_that_cannot_be_read_leaves_the_engine_as_it_was(engine: Engine, tmp_path: Path):
    with pytest.raises(InklingError):
        await engine.use_adapter(tmp_path, "nothing")
    assert engine.adapter is None
    assert isinstance(await engine.complete(request("x = ")), Completion)


async def test_the_champion_is_there_from_the_first_request_on(tiny_base: Path, make_adapter: Callable[[int], Path]):
    champion = Adapter("five", "tiny", "champion", 0.0, "", make_adapter(5))
    engine = Engine(tiny_base, name="tiny", options=OPTIONS, champion=lambda: champion)
    engine.start()
    await engine.ready()
    first = await text_of(engine, "def area(radius):\n    ret")
    assert first.adapter == "five"
    await engine.use_adapter(None, None)
    await engine.use_adapter(champion.folder, champion.name)
    assert (await text_of(engine, "def area(radius):\n    ret")).tokens == first.tokens
    engine.close()


async def test_a_champion_that_cannot_be_used_is_reported_and_the_base_serves(tiny_base: Path, tmp_path: Path):
    told: list[str] = []
    broken = Adapter("broken", "tiny", "champion", 0.0, "", tmp_path)
    engine = Engine(tiny_base, name="tiny", options=OPTIONS, champion=lambda: broken, report=told.append)
    engine.start()
    await engine.ready()
    assert (await text_of(engine, "x = ")).adapter is None
    assert str(tmp_path) in told[0]
    engine.close()


async def attended(engine: Engine, prefix: str, *documents: Document) -> Completion:
    """Completes until the documents that were asked for are attended to."""
    for _ in range(200):
        made = await engine.complete(request(prefix, *documents))
        assert isinstance(made, Completion)
        if set(documents) <= set(made.documents):
            return made
        await asyncio.sleep(0.01)
    raise AssertionError("the documents were never encoded")


async def test_documents_stay_while_the_same_file_is_edited_and_they_fit(engine: Engine):
    a, b, c = (Document(f"{name}.py", f"{name} = 1\n") for name in "abc")
    await attended(engine, "x = ", a, b)
    late = await engine.complete(request("x = 12"))
    assert isinstance(late, Completion)
    assert set(late.documents) == {a, b}
    assert set((await attended(engine, "x = 1", c)).documents) == {a, b, c}
    newer = Document("a.py", "a = 2\n")
    assert set((await attended(engine, "x = 1", newer)).documents) == {newer, b, c}


async def test_what_is_warmed_is_ready_when_it_is_asked_for(engine: Engine):
    document = Document("a.py", "value = 1\n")
    engine.warm([document], "")
    for _ in range(200):
        if engine.status()["cache"]["host"]["entries"]:
            break
        await asyncio.sleep(0.01)
    made = await engine.complete(request("x = ", document))
    assert isinstance(made, Completion)
    assert made.documents == (document,)


async def test_after_a_restart_documents_come_from_disk(tiny_base: Path, tmp_path: Path):
    cache = CacheBudgets(1 << 30, 1 << 30, 1 << 30)
    kept = GeneratorOptions(OPTIONS.generator.budget, cache, tmp_path, prefetch=False)
    options = EngineOptions("onnx", "float32", 1, kept)
    document = Document("a.py", "value = 1\n" * 4)

    async def once() -> dict[str, Any]:
        engine = Engine(tiny_base, name="tiny", options=options)
        engine.start()
        await engine.ready()
        await attended(engine, "x = ", document)
        status = engine.status()
        engine.close()
        assert await asyncio.to_thread(engine.join, 10)
        found: dict[str, Any] = status["cache"]
        return found

    assert (await once())["encodedTokens"] > 0
    again = await once()
    assert again["encodedTokens"] == 0
    assert again["disk"]["hits"] > 0


@pytest.mark.parametrize(("slots", "documents"), [(700, 120), (100, None)])
async def test_where_an_accelerator_is_too_small_documents_give_way_and_then_the_cpu_serves(
    tiny_base: Path, slots: int, documents: int | None
):
    def make(folder: Path, adapters: Sequence[Path], device: str | None) -> OnnxRuntime:
        if device == "cpu":
            return OnnxRuntime(folder, adapters, precision="float32", threads=1)
        return CrampedRuntime(folder, adapters, slots)

    told: list[str] = []
    engine = Engine(tiny_base, name="tiny", options=OPTIONS, make_runtime=make, report=told.append)
    engine.start()
    await engine.ready()
    assert isinstance(await engine.complete(request("x = ")), Completion)
    status = engine.status()
    if documents is None:
        assert status["runtime"] == "onnx-cpu-float32"
        assert "CPU" in status["notes"][-1]
    else:
        assert status["runtime"] == "cramped"
        assert str(documents) in status["notes"][-1]
    assert told == status["notes"]
    engine.close()


async def test_memory_that_runs_out_again_while_giving_way_ends_on_the_cpu(tiny_base: Path):
    """The smaller buffer does not fit either."""

    class FullRuntime(CrampedRuntime):
        def forward(self, *arguments: Any) -> np.ndarray:
            self.slots = 600
            raise OutOfMemoryError

    def make(folder: Path, adapters: Sequence[Path], device: str | None) -> OnnxRuntime:
        if device == "cpu":
            return OnnxRuntime(folder, adapters, precision="float32", threads=1)
        return FullRuntime(folder, adapters, 10_000)

    engine = Engine(tiny_base, name="tiny", options=OPTIONS, make_runtime=make)
    engine.start()
    await engine.ready()
    assert isinstance(await engine.complete(request("x = ")), Completion)
    assert engine.status()["runtime"] == "onnx-cpu-float32"
    assert len(engine.status()["notes"]) == 2
    engine.close()
