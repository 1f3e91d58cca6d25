"""The engine: one model, one thread, the newest request wins.

It turns requests into prompts, lets the runtime compute, decodes greedily with healed tokens, and knows when a
line or a block is over. Loading, completing and switching adapters all happen on the engine's own thread, so
whoever awaits it never computes. It does not judge texts: that is for the filters and the gate.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from inkling.errors import InklingError
from model.completion import Completion, CompletionRequest, Cost, Refusal, Stop
from model.ending import Ending
from model.prompt import Budget, Layout
from model.runtime import CancelledError, Runtime
from model.tokens import Tokens
from model.working_set import WorkingSet

State = Literal["off", "idle", "loading", "ready", "failed"]
MakeRuntime = Callable[[Path, int], Runtime]

_POSITIONS_KEPT = 320  # for what is decoded, the paths, and the slack of the budget


class EngineError(InklingError):
    """The engine was asked for something that it cannot do in its state."""


class _Job:
    """A request under way. `cancel` may be called from any thread."""

    def __init__(self) -> None:
        self._stopped = threading.Event()

    def cancel(self) -> None:
        self._stopped.set()

    def cancelled(self) -> bool:
        return self._stopped.is_set()


class Engine:
    """Completes requests. `folder` None means that there are no weights: the engine stays off."""

    def __init__(
        self,
        folder: Path | None,
        *,
        name: str,
        threads: int = 0,
        budget: Budget | None = None,
        make_runtime: MakeRuntime | None = None,
    ) -> None:
        self.name = name
        self.adapter: str | None = None
        self.state: State = "idle" if folder else "off"
        self._folder = folder
        self._threads = threads
        self._budget = budget or Budget()
        self._make_runtime = make_runtime or _transformers_runtime
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="engine")
        self._ready = asyncio.Event()
        self._newest: _Job | None = None
        self._error = ""
        self._loaded_seconds = 0.0
        self._working_set = WorkingSet()
        self._last: Cost | None = None
        self._completed = 0
        self._runtime: Runtime
        self._tokens: Tokens
        self._layout: Layout

    def start(self) -> None:
        """Begin to load. The event loop must be running."""
        if self.state == "idle":
            self.state = "loading"
            loop = asyncio.get_running_loop()
            done = loop.run_in_executor(self._executor, self._load)
            done.add_done_callback(self._loaded)

    async def ready(self) -> None:
        """Wait until requests are served. Raises EngineError if loading failed; waits for ever if it is off."""
        await self._ready.wait()
        if self.state == "failed":
            raise EngineError(self._error)

    async def complete(self, request: CompletionRequest) -> Completion | Refusal:
        """Complete; a request that is still under way is cancelled. Cancelling the caller stops at the next token."""
        if self.state != "ready":
            return self._not_ready()
        if self._newest is not None:
            self._newest.cancel()
        job = self._newest = _Job()
        try:
            work = asyncio.get_running_loop().run_in_executor(self._executor, self._complete, request, job)
            return await work
        except CancelledError:
            return Refusal("superseded", "A newer request came before this one was done.")
        except asyncio.CancelledError:
            job.cancel()
            raise

    async def use_adapter(self, folder: Path | None, name: str | None) -> None:
        """Serve with another adapter, or with the bare base, from the next request on."""
        await asyncio.get_running_loop().run_in_executor(self._executor, self._switch, folder, name)

    def status(self) -> dict[str, Any]:
        """State, weights, adapter, and the cost of the last completion."""
        found: dict[str, Any] = {"state": self.state, "base": self.name, "adapter": self.adapter}
        if self.state == "failed":
            found["error"] = self._error
        if self.state == "ready":
            found |= {"runtime": self._runtime.name, "loadSeconds": self._loaded_seconds, "completed": self._completed}
        if self._last is not None:
            cost = self._last
            found["last"] = {
                "reusedTokens": cost.reused_tokens,
                "prefilledTokens": cost.prefilled_tokens,
                "decodedTokens": cost.decoded_tokens,
                "prefillSeconds": cost.prefill_seconds,
                "decodeSeconds": cost.decode_seconds,
            }
        return found

    def close(self) -> None:
        """Cancel what runs and let the thread end."""
        if self._newest is not None:
            self._newest.cancel()
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _not_ready(self) -> Refusal:
        if self.state == "failed":
            return Refusal("model_failed", f"The model could not be loaded: {self._error}")
        if self.state == "off":
            return Refusal("no_model", f"The weights {self.name} are missing; run `inkling models pull {self.name}`.")
        return Refusal("model_loading", "The model is still loading.")

    def _load(self) -> None:
        assert self._folder is not None
        started = time.perf_counter()
        self._tokens = Tokens(self._folder)
        self._runtime = self._make_runtime(self._folder, self._threads)
        positions = self._runtime.maximum_positions - _POSITIONS_KEPT
        self._layout = Layout(self._tokens, self._budget.within(positions))
        self._runtime.extend(self._tokens.encode("import os\n"), lambda: False)
        self._loaded_seconds = time.perf_counter() - started

    def _loaded(self, done: "asyncio.Future[None]") -> None:
        if done.cancelled():
            return
        error = done.exception()
        self.state, self._error = ("ready", "") if error is None else ("failed", str(error))
        self._ready.set()

    def _switch(self, folder: Path | None, name: str | None) -> None:
        self._runtime.load_adapter(folder)
        self.adapter = name

    def _complete(self, request: CompletionRequest, job: _Job) -> Completion:
        if job.cancelled():
            raise CancelledError
        documents = self._working_set.choose(request.path, request.documents)
        prompt = self._layout.build(replace(request, documents=documents))
        started = time.perf_counter()
        self._runtime.encode(prompt.documents, job.cancelled)
        prefill = self._runtime.extend(prompt.tail, job.cancelled)
        prefilled = time.perf_counter()
        decoded = self._decode(prefill.logits, prompt.piece, Ending(request), request.max_tokens, job)
        cost = Cost(
            prefill.reused_tokens,
            prefill.prefilled_tokens,
            len(decoded.tokens),
            prefilled - started,
            time.perf_counter() - prefilled,
        )
        self._last, self._completed = cost, self._completed + 1
        return Completion(
            decoded.text,
            tuple(decoded.tokens),
            tuple(decoded.logprobs),
            decoded.stop,
            self.name,
            self.adapter,
            cost,
            documents,
        )

    def _decode(self, logits: np.ndarray, piece: bytes, ending: Ending, most: int, job: _Job) -> "_Decoded":
        """Greedy decoding; `piece` must be spelled first, by tokens that start with it or are its beginning."""
        made = _Decoded(piece)
        while True:
            if job.cancelled():
                raise CancelledError
            token, logprob = self._choose(logits, made.left_to_spell)
            spelling = self._tokens.decode([token])
            if not spelling:  # a special token: the model is done
                return made.finish("end", ending.of(made.written, final=True))
            made.add(token, spelling, logprob)
            stopped = ending.of(made.written, final=False)
            if stopped is not None:
                return made.finish(ending.kind, stopped)
            if len(made.tokens) >= most:
                return made.finish("length", ending.cut_short(made.written))
            logits = self._runtime.decode(token)

    def _choose(self, logits: np.ndarray, piece: bytes) -> tuple[int, float]:
        """The likeliest allowed token and its log-probability among those that are allowed."""
        if not piece:
            token = int(np.argmax(logits))
            return token, float(logits[token] - _log_sum_exp(logits))
        allowed = self._tokens.continuing(piece)
        if not len(allowed):  # no token spells this byte: take what the model likes best
            return self._choose(logits, b"")
        within = logits[allowed]
        best = int(np.argmax(within))
        return int(allowed[best]), float(within[best] - _log_sum_exp(within))


class _Decoded:
    """What was decoded so far. The bytes of the healed piece are not part of the text."""

    def __init__(self, piece: bytes) -> None:
        self._piece = piece
        self._spelled = b""
        self.tokens: list[int] = []
        self.logprobs: list[float] = []
        self.text = ""
        self.stop: Stop = "end"

    @property
    def left_to_spell(self) -> bytes:
        return self._piece[len(self._spelled) :]

    @property
    def written(self) -> str:
        """The text behind the cursor; the bytes of an unfinished character wait."""
        return self._spelled[len(self._piece) :].decode("utf-8", "ignore")

    def add(self, token: int, spelling: bytes, logprob: float) -> None:
        self.tokens.append(token)
        self.logprobs.append(logprob)
        self._spelled += spelling

    def finish(self, stop: Stop, text: str | None) -> "_Decoded":
        self.stop, self.text = stop, text if text is not None else self.written
        return self


def _log_sum_exp(logits: np.ndarray) -> float:
    top = float(np.max(logits))
    return top + float(np.log(np.sum(np.exp(logits - top))))


def _transformers_runtime(folder: Path, threads: int) -> Runtime:
    from model.runtime_transformers import TransformersRuntime

    return TransformersRuntime(folder, threads)
