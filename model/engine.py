"""The engine: one model, one thread, the newest request wins.

It schedules: loading, completing and switching adapters happen one after the other on the engine's own thread, and
between them the generator's idle work in short steps. Whoever awaits it never computes. What a completion is stands
in `model.generator`; it does not judge texts either: that is for the filters and the gate.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from index.lora import UnusableAdapterError
from inkling.errors import InklingError
from model.adapters import Adapter, RegistryError
from model.completion import Completion, CompletionRequest, Refusal
from model.document import Document
from model.generator import Generator, GeneratorOptions
from model.runtimes.choose import RuntimeName, open_runtime
from model.runtimes.onnx_quantise import Precision
from model.runtimes.runtime import CancelledError, OutOfMemoryError, Runtime
from model.shipped import Shipped
from model.tokens import Tokens
from model.worker import Worker

State = Literal["off", "idle", "loading", "ready", "failed"]
MakeRuntime = Callable[[Path, Sequence[Path], str | None], Runtime]
"""Folder of the base, folders of adapters, and "cpu" where an accelerator has proved too small."""

NOT_SWITCHED = "The adapter was not switched: {}"

_FEWEST_DOCUMENT_TOKENS = 64
_FEWER = "The accelerator ran out of memory: documents are limited to {} tokens now."
_CLOSE_SECONDS = 1.0  # for writing encoded documents to disk when the engine is closed


class EngineError(InklingError):
    """The engine was asked for something that it cannot do in its state."""


@dataclass(frozen=True)
class EngineOptions:
    """Which runtime, and how it serves. `threads` 0: the runtime's own choice."""

    runtime: RuntimeName = "auto"
    precision: Precision = "int8"
    threads: int = 0
    generator: GeneratorOptions = field(default_factory=GeneratorOptions)


class _Job:
    """A request under way. `cancel` may be called from any thread."""

    def __init__(self) -> None:
        self._stopped = threading.Event()

    def cancel(self) -> None:
        self._stopped.set()

    def cancelled(self) -> bool:
        return self._stopped.is_set()


class Engine:
    """Completes requests. `folder` None means that there are no weights: the engine stays off.

    `shipped` is the adapter that came with Inkling for this base; it lies below every other one. `champion` names the
    adapter to begin with; one that cannot be used is reported and left out.
    """

    def __init__(
        self,
        folder: Path | None,
        *,
        name: str,
        shipped: Shipped | None = None,
        champion: Callable[[], Adapter | None] = lambda: None,
        options: EngineOptions | None = None,
        make_runtime: MakeRuntime | None = None,
        report: Callable[[str], None] = lambda message: None,
    ) -> None:
        self.name = name
        self.adapter: str | None = None
        self.state: State = "idle" if folder else "off"
        self.notes: list[str] = []
        self._folder = folder
        self._shipped = shipped
        self._champion = champion
        self._options = _trained(options or EngineOptions(), shipped)
        self._make_runtime = make_runtime or self._open_runtime
        self._report = report
        self._ready = asyncio.Event()
        self._newest: _Job | None = None
        self._error = ""
        self._loaded_seconds = 0.0
        self._last: Completion | None = None
        self._completed = 0
        self._adapters: tuple[Path, ...] = (shipped.folder,) if shipped else ()
        self._generator: Generator | None = None
        self._worker: Worker | None = None

    def start(self) -> None:
        """Begin to load. The event loop must be running."""
        if self.state == "idle":
            self.state = "loading"
            self._worker = Worker("engine", self._idle)
            asyncio.wrap_future(self._worker.submit(self._load)).add_done_callback(self._loaded)

    async def ready(self) -> None:
        """Wait until requests are served. Raises EngineError if loading failed; waits for ever if it is off."""
        await self._ready.wait()
        if self.state == "failed":
            raise EngineError(self._error)

    async def complete(self, request: CompletionRequest) -> Completion | Refusal:
        """Complete; a request that is still under way is cancelled. Cancelling the caller stops at the next token."""
        if self.state != "ready" or self._worker is None:
            return self._not_ready()
        if self._newest is not None:
            self._newest.cancel()
        job = self._newest = _Job()
        try:
            return await asyncio.wrap_future(self._worker.submit(lambda: self._complete(request, job)))
        except CancelledError:
            return Refusal("superseded", "A newer request came before this one was done.")
        except asyncio.CancelledError:
            job.cancel()
            raise

    @property
    def tokens(self) -> Tokens | None:
        """The base's tokenizer, once it is loaded; safe to use on any thread."""
        generator = self._generator  # the worker may exchange it at any time
        return generator.layout.tokens if generator is not None else None

    @property
    def longest_document(self) -> int:
        """Tokens of the longest document that is read whole."""
        generator = self._generator
        return generator.layout.budget.document if generator is not None else 0

    def warm(self, documents: Sequence[Document], repository: str) -> None:
        """Encode these documents when nobody waits, so that a request that attends to them finds them ready."""
        if self._worker is not None and self.state in ("loading", "ready"):
            self._worker.submit(lambda: self._warm(documents, repository))

    async def use_adapter(self, folder: Path | None, name: str | None) -> None:
        """Serve with another adapter, or without one of the user's own, from the next request on."""
        if self._worker is None:
            raise EngineError("The engine was not started.")
        await asyncio.wrap_future(self._worker.submit(lambda: self._switch(folder, name)))

    def status(self) -> dict[str, Any]:
        """State, weights, adapter, caches by tier, and the cost of the last completion."""
        found: dict[str, Any] = {"state": self.state, "base": self.name, "adapter": self.adapter}
        found["shippedAdapter"] = self._shipped is not None
        if self.notes:
            found["notes"] = list(self.notes)
        if self.state == "failed":
            found["error"] = self._error
        generator, last = self._generator, self._last
        if self.state == "ready" and generator is not None:
            found |= {"loadSeconds": self._loaded_seconds, "completed": self._completed, **generator.status()}
        if last is not None:
            cost = last.cost
            found["last"] = {
                "reusedTokens": cost.reused_tokens,
                "prefilledTokens": cost.prefilled_tokens,
                "decodedTokens": cost.decoded_tokens,
                "draftedTokens": cost.drafted_tokens,
                "acceptedTokens": cost.accepted_tokens,
                "documents": len(last.documents),
                "prefetched": cost.prefetched,
                "prefillSeconds": cost.prefill_seconds,
                "decodeSeconds": cost.decode_seconds,
            }
        return found

    def close(self) -> None:
        """Cancel what runs and let the thread end; encoded documents are written to disk for the next start."""
        if self._newest is not None:
            self._newest.cancel()
        if self._worker is not None:
            self._worker.close(self._put_away)

    def join(self, seconds: float) -> bool:
        """After `close`: wait for the thread to end; whether it did."""
        return self._worker is None or self._worker.join(seconds)

    def _not_ready(self) -> Refusal:
        if self.state == "failed":
            return Refusal("model_failed", f"The model could not be loaded: {self._error}")
        if self.state == "off":
            return Refusal("no_model", f"The weights {self.name} are missing; run `inkling models pull {self.name}`.")
        return Refusal("model_loading", "The model is still loading.")

    def _open_runtime(self, folder: Path, adapters: Sequence[Path], device: str | None) -> Runtime:
        options = self._options
        return open_runtime(
            folder,
            adapters,
            name=options.runtime if device is None else "auto",
            precision=options.precision,
            threads=options.threads,
            device=device,
        )

    def _load(self) -> None:
        started = time.perf_counter()
        try:
            first = self._champion()
            if first is not None:
                self._adapters, self.adapter = (*self._adapters, first.folder), first.name
            self._make_generator(None)
        except (RegistryError, UnusableAdapterError) as error:
            self._report(NOT_SWITCHED.format(error))
            self._adapters, self.adapter = (self._shipped.folder,) if self._shipped else (), None
            self._make_generator(None)
        self._loaded_seconds = time.perf_counter() - started

    def _make_generator(self, device: str | None) -> None:
        """Load the runtime and what is around it; with fewer documents, or on the CPU, where memory runs out."""
        assert self._folder is not None
        options = self._options.generator
        try:
            runtime = self._make_runtime(self._folder, self._adapters, device)
        except OutOfMemoryError:
            return self._fall_back_to_cpu(device)
        while True:
            try:
                self._generator = Generator(
                    self._folder,
                    runtime,
                    options,
                    name=self.name,
                    adapter=self.adapter,
                    adapters=self._adapters,
                    report=self._report,
                )
                return None
            except OutOfMemoryError:
                documents = options.budget.whole // 2
                if documents < _FEWEST_DOCUMENT_TOKENS:
                    return self._fall_back_to_cpu(device)
                self._note(_FEWER.format(documents))
                options = replace(options, budget=replace(options.budget, documents=documents, attended=documents))

    def _fall_back_to_cpu(self, device: str | None = None) -> None:
        if device == "cpu":
            raise EngineError(
                f"There is too little memory for {self.name}: choose smaller weights (inkling.model.base)."
            )
        self._note("The accelerator has too little memory for this model: it is served on the CPU.")
        if self._generator is not None:
            self._generator.close(0.0)
            self._generator = None
        self._make_generator("cpu")

    def _loaded(self, done: "asyncio.Future[None]") -> None:
        if done.cancelled():
            return
        error = done.exception()
        self.state, self._error = ("ready", "") if error is None else ("failed", str(error))
        self._ready.set()

    def _switch(self, folder: Path | None, name: str | None) -> None:
        assert self._generator is not None
        shipped = (self._shipped.folder,) if self._shipped else ()
        adapters = (*shipped, folder) if folder is not None else shipped
        self._generator.load_adapters(adapters, name)
        self._adapters, self.adapter = adapters, name

    def _warm(self, documents: Sequence[Document], repository: str) -> None:
        if self._generator is not None:
            self._generator.warm(documents, repository)

    def _complete(self, request: CompletionRequest, job: _Job) -> Completion:
        """Runs on the worker. Out of memory: fewer documents, at last the CPU."""
        while True:
            if job.cancelled():
                raise CancelledError
            generator = self._generator
            assert generator is not None
            try:
                made = generator.complete(request, job.cancelled)
            except OutOfMemoryError:
                self._give_way(generator)
                continue
            self._last, self._completed = made, self._completed + 1
            return made

    def _give_way(self, generator: Generator) -> None:
        """Half as many documents, and half again while that is too much; at last the CPU."""
        documents = generator.layout.budget.whole // 2
        while documents >= _FEWEST_DOCUMENT_TOKENS:
            self._note(_FEWER.format(documents))
            try:
                return generator.limit_documents(documents)
            except OutOfMemoryError:
                documents //= 2
        return self._fall_back_to_cpu()

    def _idle(self) -> bool:
        """One step of the generator's idle work; runs on the worker."""
        generator, worker = self._generator, self._worker
        if generator is None or worker is None:
            return False
        try:
            return generator.idle(lambda: worker.wanted)
        except CancelledError:
            return True
        except OutOfMemoryError:
            return False  # the next request meets it too, and knows what to do

    def _put_away(self) -> None:
        if self._generator is not None:
            self._generator.close(_CLOSE_SECONDS)

    def _note(self, message: str) -> None:
        if message not in self.notes:
            self.notes.append(message)
        self._report(message)


def _trained(options: EngineOptions, shipped: Shipped | None) -> EngineOptions:
    """The options, with the position scheme and the format that the shipped adapter was trained with."""
    if shipped is None:
        return options
    generator = replace(options.generator, scheme=shipped.scheme, fills_middle=shipped.fills_middle)
    return replace(options, generator=generator)
