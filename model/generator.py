"""The model at work, without threads: a request in, a completion out, and the steps of what can be done in between.

It puts together the layout of prompts, the document cache, the encoder, what is resident, and the decoder. Documents
that are not in the cache when a request comes are not waited for: they are encoded in idle time, and the tail is let
see them then. Belongs to one thread. What always holds: keys and values are only used with the weights, the sink and
the position scheme that they were computed with.
"""

import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from model.adapters import check_folder
from model.cache.document_cache import CacheBudgets, DocumentCache
from model.cache.key import Key, Lineage
from model.completion import Completion, CompletionRequest, Cost, Refusal
from model.cutting import finished
from model.decoding import Decoder
from model.document import Document
from model.drafting import Drafts
from model.encoder import Encoder
from model.ending import Ending
from model.positions import LONGEST_SINK, SchemeName, longest_unit, scheme_for
from model.prompt import Budget, Format, Layout
from model.resident import Placed, Resident
from model.runtimes.runtime import Cancelled, CancelledError, Runtime
from model.shape import fingerprint
from model.tokens import Tokens
from model.typing_trail import TypingTrail
from model.working_set import WorkingSet

_SPARE = 384  # slots for what is decoded and drafted, for paths, and for the slack of the budget


@dataclass(frozen=True)
class GeneratorOptions:
    """How to serve. `scheme` and `fills_middle` have to be those that the weights were trained with."""

    budget: Budget = field(default_factory=Budget)
    cache: CacheBudgets = field(default_factory=lambda: CacheBudgets(1 << 30, 1 << 29, 0))
    cache_folder: Path | None = None
    scheme: SchemeName = "parallel"
    fills_middle: bool = False
    drafts: bool = True
    prefetch: bool = True


@dataclass(frozen=True)
class _Wanted:
    """A document of a request: its text, its tokens and its key."""

    document: Document
    tokens: tuple[int, ...]
    key: Key


@dataclass(frozen=True)
class _Begun:
    """A document that is being encoded, step by step. `warmed`: with its repository, where no request wanted it yet."""

    key: Key
    steps: Iterator[None]
    warmed: tuple[Document, str] | None = None


class Generator:
    """One runtime with everything around it. `report` gets sentences for people, each once.

    `name` and `adapter` say in completions what made them.
    """

    def __init__(
        self,
        folder: Path,
        runtime: Runtime,
        options: GeneratorOptions,
        *,
        name: str = "",
        adapter: str | None = None,
        adapters: Sequence[Path] = (),
        report: Any = lambda message: None,
    ) -> None:
        self.name = name
        self.adapter = adapter
        self.runtime = runtime
        self.options = options
        self._tokens = Tokens(folder)
        self._base = f"{fingerprint(folder)} {runtime.name}"
        self._adapters = _digest(adapters)
        self._scheme = scheme_for(options.scheme, runtime.shape.positions)
        budget = self._affordable(options.budget)
        form = Format.of(self._tokens, fills_middle=options.fills_middle)
        self.layout = Layout(self._tokens, budget, form)
        self.resident = Resident(runtime, self._scheme, self._slots(budget), budget.whole)
        upload = None if runtime.device == "cpu" else runtime.upload
        self.cache = DocumentCache(options.cache, options.cache_folder, upload, report)
        self._encoder = Encoder(runtime, self.cache, LONGEST_SINK + budget.document)
        self._working_set = WorkingSet(budget.documents, lambda document: len(self.layout.document(document)))
        self._drafts = Drafts() if options.drafts else None
        self._trail = TypingTrail()
        self._wanted: list[_Wanted] = []  # of the newest request
        self._refused: set[Key] = set()
        self._lineage: Lineage | None = None
        self._warming: dict[tuple[str, str, str], tuple[Document, str]] = {}
        self._begun: _Begun | None = None
        self._next: tuple[CompletionRequest, Completion] | None = None  # the last answer, until it was gone on from
        self._ahead: tuple[CompletionRequest, Completion] | None = None

    def complete(self, request: CompletionRequest, cancelled: Cancelled) -> Completion:
        """Complete. Raises CancelledError between two steps; nothing that was computed is lost."""
        self._learn_edits(request)
        self._next = None
        made = self._prefetched(request) or self._complete(request, cancelled)
        if made.text and self.options.prefetch and not request.unlike:
            self._next = request, made
        return made

    def _complete(self, request: CompletionRequest, cancelled: Cancelled) -> Completion:
        started = time.perf_counter()
        self._want(request)
        if request.wait:
            while self._encode_step():
                if cancelled():
                    raise CancelledError
        attended = self._attend()
        tail, piece = self.layout.tail(request)
        prefill = self.resident.extend(tail, cancelled, exact=request.wait)
        prefilled = time.perf_counter()
        decoder = Decoder(self.resident, self._tokens, self._drafts)
        decoded = decoder.run(prefill.logits, piece, Ending(request), request.max_tokens, cancelled, request.unlike)
        cost = Cost(
            prefill.reused_tokens,
            prefill.prefilled_tokens,
            len(decoded.tokens),
            prefilled - started,
            time.perf_counter() - prefilled,
            decoder.count.drafted,
            decoder.count.accepted,
        )
        return Completion(
            decoded.text,
            tuple(decoded.tokens),
            tuple(decoded.logprobs),
            decoded.stop,
            self.name,
            self.adapter,
            cost,
            attended,
            tuple(decoded.ends),
        )

    def warm(self, documents: Sequence[Document], repository: str) -> None:
        """Encode these in idle time, the last ones first."""
        for document in documents:
            self._warming[(repository, *document.name)] = (document, repository)

    def idle(self, interrupted: Cancelled) -> bool:
        """One step of what can be done while nobody waits; whether there may be more.

        In this order: encode what the newest request lacked, let the tail see it, prefetch the suggestion that
        would come after the last one was accepted, encode what is being warmed, write the cache to disk.
        """
        if self._encode_step():
            return True
        before = set(self.resident.documents)
        if self._wanted and self._attendable() != before:
            self._attend()
            if set(self.resident.documents) != before:  # what is there on disk may turn out to be unreadable
                return True
        if self.resident.refresh() or self.resident.stale_tokens:
            return True
        if self._next is not None:
            (request, made), self._next = self._next, None
            if not isinstance(left := finished(made, request), Refusal):
                taken, behind = left[1].text, request.suffix[left[1].replaces :]
                request = replace(request, prefix=request.prefix + taken, suffix=behind, wait=False)
                made = self._complete(request, interrupted)
                self._ahead = (request, replace(made, cost=replace(made.cost, prefetched=True)))
            return True
        return self._warm_step() or self.cache.spill(interrupted)

    def load_adapters(self, folders: Sequence[Path], adapter: str | None = None) -> None:
        """Compute with these LoRAs from now on; on failure nothing has changed. No old key or value survives."""
        digest = _digest(folders)  # before the weights change: their files may be gone by then
        self.runtime.load_adapters(folders)
        self._adapters, self.adapter = digest, adapter
        self.resident.forget()
        self._encoder.forget()
        self.cache.keep_only(())
        self._wanted, self._begun, self._next, self._ahead = [], None, None, None
        self._refused.clear()

    def status(self) -> dict[str, Any]:
        """The cache by tiers, and what is resident."""
        return {
            "runtime": self.runtime.name,
            "positions": self.options.scheme,
            "fillsMiddle": self.layout.form.middle is not None,
            "cache": self.cache.status(),
            "resident": {
                "documents": len(self.resident.documents),
                "tailTokens": len(self.resident.tail),
                "staleTokens": self.resident.stale_tokens,
                "slots": self.resident.capacity,
                "bytes": self.runtime.slot_bytes * self.resident.capacity,
            },
        }

    def limit_documents(self, tokens: int) -> None:
        """Attend to fewer documents from now on, in a smaller buffer: an accelerator ran out of memory.

        Raises OutOfMemoryError if that is still too much; then it has to be called again with fewer.
        """
        self.layout = Layout(
            self._tokens, replace(self.layout.budget, documents=tokens, attended=tokens), self.layout.form
        )
        self._working_set.limit(tokens)
        self._wanted, self._next = [], None
        self.resident.resize(self._slots(self.layout.budget), tokens)

    def close(self, seconds: float) -> None:
        """Write to disk what is not there yet, for at most so long."""
        self.cache.close(seconds)

    @staticmethod
    def _slots(budget: Budget) -> int:
        return budget.whole + budget.tail + budget.suffix + _SPARE

    def _affordable(self, budget: Budget) -> Budget:
        """The budget within the model's positions and the bytes of the accelerator's tier."""
        positions = self.runtime.shape.positions
        within = budget.within(positions - _SPARE)
        slots = self.options.cache.accelerator_bytes // self.runtime.slot_bytes
        most = max(0, slots - within.tail - within.suffix - _SPARE)
        longest = min(within.document, longest_unit(positions))
        return replace(within, attended=min(within.attended, most), document=longest)

    def _lineage_of(self, repository: str) -> Lineage:
        sink = self.layout.sink(repository)
        return Lineage(self._base, self._adapters, self.options.scheme, sink, self.runtime.dtype)

    def _want(self, request: CompletionRequest) -> None:
        """Note the documents of this request; those that are not cached are encoded next."""
        self._lineage = lineage = self._lineage_of(request.repository)
        chosen = self._working_set.choose(request.path, request.documents)
        self._wanted = [_Wanted(document, ids, lineage.key(ids)) for document, ids in self.layout.fitting(chosen)]
        self.cache.pin([wanted.key for wanted in self._wanted])
        begun = self._begun
        if begun is not None and begun.key not in {wanted.key for wanted in self._wanted}:
            self._begun = None
            if begun.warmed is not None:
                self.warm((begun.warmed[0],), begun.warmed[1])

    def _attendable(self) -> set[Key]:
        resident = self.resident.documents
        return {wanted.key for wanted in self._wanted if wanted.key in resident or self.cache.contains(wanted.key)}

    def _attend(self) -> tuple[Document, ...]:
        """Make what is cached of the wanted documents resident; what is attended to."""
        assert self._lineage is not None
        lineage, placed, documents = self._lineage, [], []
        sparse = sum(len(wanted.tokens) for wanted in self._wanted) > self.layout.budget.attended
        whole = self.resident.has_sink(lineage) and self.resident.whole and not sparse
        for wanted in self._wanted:
            resident = whole and wanted.key in self.resident.documents
            handle = None if resident else self.cache.get(wanted.key) if sparse else self.cache.handle(wanted.key)
            if resident or handle is not None:
                placed.append(Placed(wanted.key, len(wanted.tokens), handle))
                documents.append(wanted.document)
        sink = None
        if not self.resident.has_sink(lineage) and lineage.sink:
            sink = self._encoder.sink(lineage)
        self.resident.attend(lineage, sink, placed)
        if self._drafts is not None:
            self._drafts.set_documents([wanted.tokens for wanted in self._wanted if wanted.document in documents])
        return tuple(documents)

    def _encode_step(self) -> bool:
        """One step of encoding what the newest request lacks; False if it lacks nothing."""
        if self._begun is not None:
            if next(self._begun.steps, "done") is not None:
                self._begun = None
            return True
        there = self._attendable()
        for wanted in self._wanted:
            if wanted.key not in there and wanted.key not in self._refused and self._lineage is not None:
                self._begun = _Begun(wanted.key, self._encode(self._lineage, wanted.key, wanted.tokens))
                return True
        return False

    def _encode(self, lineage: Lineage, key: Key, tokens: tuple[int, ...]) -> Iterator[None]:
        """The encoder's steps; what no tier had room for is remembered, so that it is not encoded for ever."""
        finished = yield from self._encoder.steps(lineage, key, tokens)
        if finished and not self.cache.contains(key):
            self._refused.add(key)

    def _warm_step(self) -> bool:
        """Begin to encode one of the documents that are being warmed; False if there is none left."""
        while self._warming:
            (document, repository) = self._warming.pop(next(reversed(self._warming)))
            lineage, tokens = self._lineage_of(repository), self.layout.document(document)
            key = lineage.key(tokens)
            if not self.cache.contains(key):
                self._begun = _Begun(key, self._encode(lineage, key, tokens), (document, repository))
                return True
        return False

    def _prefetched(self, request: CompletionRequest) -> Completion | None:
        """What was made ahead for just this cursor, if it was."""
        if self._ahead is None:
            return None
        for_request, made = self._ahead
        same = replace(for_request, documents=request.documents, wait=request.wait, whole=request.whole) == request
        self._ahead = None
        return made if same else None

    def _learn_edits(self, request: CompletionRequest) -> None:
        """What the user typed or accepted lately is likely to be typed again."""
        if self._drafts is not None and (typed := self._trail.typed(request.path, request.prefix)):
            self._drafts.note_edit(self._tokens.encode(typed))


def _digest(adapters: Sequence[Path]) -> str:
    """sha256 over the adapters' weights, in their order; "" for none. Raises RegistryError if one is not whole."""
    digest = hashlib.sha256()
    for folder in adapters:
        digest.update(bytes.fromhex(check_folder(folder)))
    return digest.hexdigest() if adapters else ""
