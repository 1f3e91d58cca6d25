"""What events cost at a cursor: a key, an edit here or elsewhere, a swap, a restart; and how fast tokens come.

It does what the engine does for each event, on the engine's own parts, and takes the time and the tokens that went
through the network. A time ends when the first token behind the cursor is known. No event is measured twice on the
same state, and nothing is left out of a time that the engine would do between the event and that token.
"""

import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from model.cache.key import Lineage
from model.completion import CompletionRequest
from model.decoding import Decoded, Decoder
from model.drafting import Drafts
from model.ending import Ending
from model.evaluation.cache_cases import Case
from model.evaluation.cache_reference import Reference
from model.evaluation.cache_served import Served, never
from model.resident import Resident

LINE_TOKENS = 12
_EDITS = 3  # of each kind, per case
_COPIED = 128  # tokens of a block that is typed again before the model goes on
_NAME = re.compile(r"[A-Za-z_]\w{3,}")


@dataclass(frozen=True)
class Sample:
    """One event: seconds, and tokens that went through the network or came out of it."""

    seconds: float
    tokens: int


@dataclass
class Timings:
    """Samples by event, in the order in which they were taken; what drafting did; whether it changed a token."""

    samples: dict[str, list[Sample]] = field(default_factory=dict)
    drafted: Counter[str] = field(default_factory=Counter)
    accepted: Counter[str] = field(default_factory=Counter)
    compared: int = 0  # tokens decoded with and without drafts
    differing: int = 0

    def add(self, event: str, seconds: float, tokens: int) -> None:
        """Note one sample."""
        self.samples.setdefault(event, []).append(Sample(seconds, tokens))

    def seconds(self, event: str, percent: float) -> float:
        """A percentile of the seconds of an event; NaN if it was not measured."""
        found = [sample.seconds for sample in self.samples.get(event, ())]
        return float(np.percentile(found, percent)) if found else float("nan")

    def tokens(self, event: str, percent: float) -> float:
        """A percentile of the tokens of an event."""
        found = [sample.tokens for sample in self.samples.get(event, ())]
        return float(np.percentile(found, percent)) if found else float("nan")

    def rate(self, event: str) -> float:
        """Tokens per second over all samples of an event; NaN if it was not measured."""
        found = self.samples.get(event, [])
        seconds = sum(sample.seconds for sample in found)
        return sum(sample.tokens for sample in found) / seconds if seconds else float("nan")


class Endless(Ending):
    """Nothing ends before the number of tokens is reached."""

    def __init__(self) -> None:
        super().__init__(CompletionRequest("", "", "", ""))

    def of(self, written: str, *, final: bool) -> str | None:
        """Never, unless the model is done."""
        return written if final else None


class Timer:
    """Measures cases one after the other into `timings`. `keys` characters are typed, `count` tokens decoded."""

    def __init__(self, served: Served, folder: Path, keys: int, count: int) -> None:
        self.timings = Timings()
        self._served = served
        self._folder = folder
        self._keys = keys
        self._count = count
        self._cases = 0
        self._prefilled = 0  # tokens of the tail since the event under way began

    def measure(self, case: Case) -> None:
        """All events of our side at this cursor, starting from nothing."""
        served = self._served
        served.empty(self._folder / str(self._cases))
        self._cases += 1
        lineage, resident = served.lineage(case), served.resident()
        with self._event("first_time"):
            served.attend(resident, lineage, case.documents)
            self._first(resident, case, case.prefix)
        prefix = self._type(resident, case)
        self._edit_here(resident, case, prefix)
        self._edit_elsewhere(resident, lineage, case, prefix)
        self._swap(resident, lineage, case, prefix)
        self._decode(resident, case, prefix)
        served.reopened()
        resident = served.resident()
        with self._event("cold_from_disk"):
            started = time.perf_counter()
            served.attend(resident, lineage, case.documents)
            self.timings.add("cold_documents", time.perf_counter() - started, served.encoded_tokens)
            self._first(resident, case, prefix)

    def measure_reference(self, reference: Reference, case: Case) -> None:
        """The same prompt, prefilled and gone on with in transformers."""
        tail, _ = self._served.layout.tail(_request(case, case.prefix))
        whole = [*case.sink, *case.context, *tail]
        seconds, token, cache = reference.prefill(whole)
        self.timings.add("reference_prefill", seconds, len(whole))
        seconds, tokens = reference.decode(token, cache, self._count)
        self.timings.add("reference_decode", seconds, len(tokens))

    def _type(self, resident: Resident, case: Case) -> str:
        """One character after the other: first for a token, then for a line. Returns the prefix then."""
        drafts = self._drafts(case)
        prefix = case.prefix
        for event, most in (("keystroke", 1), ("line", LINE_TOKENS)):
            for character in case.rest[len(prefix) - len(case.prefix) :][: self._keys]:
                prefix += character
                with self._event(event):
                    self._first(resident, case, prefix, most, drafts)
        return prefix

    def _edit_here(self, resident: Resident, case: Case, prefix: str) -> None:
        """A line in the middle of the tail becomes longer."""
        window = self._served.layout.window(prefix)
        end = window.find("\n", len(window) // 2)
        end = len(prefix) - len(window) + end if end >= 0 else len(prefix) - len(window) // 2
        for number in range(_EDITS):
            edited = f"{prefix[:end]}  # edit {number}{prefix[end:]}"
            with self._event("edit_here"):
                self._first(resident, case, edited)
        self._first(resident, case, prefix)

    def _edit_elsewhere(self, resident: Resident, lineage: Lineage, case: Case, prefix: str) -> None:
        """The middle of a document changes. The tail's newest token sees it at once, the others in `refresh`."""
        served = self._served
        for number in range(_EDITS):
            edited = list(case.documents)
            document, ids = edited[number % len(edited)]
            half = len(ids) // 2
            inserted = (*ids[:half], *served.layout.tokens.encode(f"  # edit {number}"), *ids[half:])
            edited[number % len(edited)] = (document, inserted[: served.sizes.document])
            with self._event("edit_elsewhere"):
                served.attend(resident, lineage, edited)
                self._first(resident, case, prefix)
            stale, started = resident.stale_tokens, time.perf_counter()
            while resident.refresh():
                pass
            self.timings.add("refresh", time.perf_counter() - started, stale)
            served.attend(resident, lineage, case.documents)

    def _swap(self, resident: Resident, lineage: Lineage, case: Case, prefix: str) -> None:
        """One document goes, another one comes that was encoded before."""
        self._served.placed(lineage, case.wrong)
        for number in range(min(_EDITS, len(case.wrong))):
            swapped = list(case.documents)
            swapped[number % len(swapped)] = case.wrong[number]
            with self._event("swap"):
                self._served.attend(resident, lineage, swapped)
                self._first(resident, case, prefix)
        self._served.attend(resident, lineage, case.documents)

    def _decode(self, resident: Resident, case: Case, prefix: str) -> None:
        """Greedy tokens behind the whole context: plain, and with drafts on ordinary text and on edits."""
        tail, _ = self._served.layout.tail(_request(case, prefix))
        logits = resident.extend(tail, never, exact=True).logits
        started = time.perf_counter()
        for _ in range(self._count):
            logits = resident.append([int(np.argmax(logits))])[-1]
        self.timings.add("decode", time.perf_counter() - started, self._count)
        self._with_drafts(resident, case, tail, "decode_drafts")
        for text in self._edits(case, prefix):
            again = self._served.layout.tokens.encode(text)[:_COPIED]
            self._with_drafts(resident, case, [*tail, *again], "decode_edits")

    def _with_drafts(self, resident: Resident, case: Case, tail: Sequence[int], event: str) -> None:
        """Decode twice from the same state, with drafts and without, and see that the tokens are the same."""
        made: list[Decoded] = []
        resident.extend(tail, never)  # so that both times only the last token is computed again, by itself
        for drafts in (None, self._drafts(case)):
            logits = resident.extend(tail, never).logits
            decoder = Decoder(resident, self._served.layout.tokens, drafts)
            started = time.perf_counter()
            made.append(decoder.run(logits, b"", Endless(), self._count + 1, never))
            seconds = time.perf_counter() - started
        if len(made[1].tokens) > 1:
            self.timings.add(event, seconds, len(made[1].tokens) - 1)  # the first token needed no step
        self.timings.drafted[event] += decoder.count.drafted
        self.timings.accepted[event] += decoder.count.accepted
        self.timings.compared += len(made[0].tokens)
        self.timings.differing += made[0].tokens != made[1].tokens

    def _edits(self, case: Case, prefix: str) -> Iterator[str]:
        """What a person types in an edit, up to where the model goes on: a block of a document typed again, and a block
        of the active file typed again with its most frequent name replaced.
        """
        tokens = self._served.layout.tokens
        _, ids = case.documents[0]
        lines = tokens.decode(ids).decode("utf-8", "ignore").split("\n")[1:]
        yield "\n\n" + "\n".join(lines[: max(3, len(lines) // 4)]) + "\n"
        block = prefix.rstrip().split("\n")[-16:]
        names = Counter(_NAME.findall("\n".join(block)))
        copied = "\n".join(block[: max(2, len(block) * 3 // 5)])
        if names:
            name = min(names, key=lambda name: (-names[name], name))
            copied = re.sub(rf"\b{name}\b", f"other_{name}", copied)
        yield f"\n{copied}\n"

    def _first(
        self, resident: Resident, case: Case, prefix: str, most: int = 1, drafts: Drafts | None = None
    ) -> Decoded:
        """Layout, prefill of what is new, and `most` tokens."""
        tail, piece = self._served.layout.tail(_request(case, prefix))
        done = resident.extend(tail, never)
        self._prefilled += done.prefilled_tokens
        return Decoder(resident, self._served.layout.tokens, drafts).run(done.logits, piece, Endless(), most, never)

    def _drafts(self, case: Case) -> Drafts:
        drafts = Drafts()
        drafts.set_documents([ids for _, ids in case.documents])
        return drafts

    @contextmanager
    def _event(self, event: str) -> Iterator[None]:
        """Time what happens inside; its tokens are those of documents and of the tail that were computed."""
        encoded, self._prefilled = self._served.encoded_tokens, 0
        started = time.perf_counter()
        yield
        seconds = time.perf_counter() - started
        self.timings.add(event, seconds, self._served.encoded_tokens - encoded + self._prefilled)


def _request(case: Case, prefix: str) -> CompletionRequest:
    return CompletionRequest(case.path, "python", prefix, "")
