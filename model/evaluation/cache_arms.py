"""The arms of the loss measurement: the same continuation behind the same cursor, with more or less before it.

Scored by teacher forcing. It computes nats per token and nothing else; what they mean stands in `cache_report`. What
always holds: all arms of a case read the same sink, tail and continuation, and the same documents but for `wrong`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from model.cache.quantised import quantised
from model.evaluation.cache_cases import Case
from model.evaluation.cache_reference import Reference
from model.evaluation.cache_served import Documents, Served, never
from model.positions import SchemeName

Losses = NDArray[np.float64]


@dataclass(frozen=True)
class Arm:
    """`where`: transformers (the reference) or inkling (what is served). `what` for people."""

    name: str
    where: str
    what: str


ARMS = (
    Arm("reference_none", "transformers", "no documents"),
    Arm("reference_full", "transformers", "full prefill of the whole prompt"),
    Arm("none", "inkling", "no documents"),
    Arm("full", "inkling", "full prefill of the whole prompt"),
    Arm("alone", "inkling", "no documents, the tail where it is served"),
    Arm("parallel", "inkling", "document cache, positions parallel"),
    Arm("sequential", "inkling", "document cache, positions sequential"),
    Arm("top_pages", "inkling", "document cache, only the pages that matter"),
    Arm("int8_keys", "inkling", "document cache, keys and values in eight bits"),
    Arm("wrong", "inkling", "document cache, documents of another package"),
    Arm("bare_none", "transformers", "no documents, base without the adapter"),
    Arm("bare_full", "transformers", "full prefill, base without the adapter"),
)
NAMES = tuple(arm.name for arm in ARMS)
NEEDED = ("reference_none", "reference_full", "none")  # what gains and the gap are counted from


class Scorer:
    """Runs arms. `attended`: how many tokens `top_pages` may attend to. `bare` is None where there is no adapter."""

    def __init__(self, served: Served, reference: Reference, bare: Reference | None, attended: int) -> None:
        self._served = served
        self._reference = reference
        self._bare = bare
        self._attended = attended
        self._run: dict[str, Callable[[Case], Losses]] = {
            "reference_none": lambda case: reference.losses([*case.sink, *case.tail], case.continuation),
            "reference_full": lambda case: reference.losses(_whole(case), case.continuation),
            "none": lambda case: self._plain([*case.sink, *case.tail], case.continuation),
            "full": lambda case: self._plain(_whole(case), case.continuation),
            "alone": lambda case: self._cached(case, ()),
            "parallel": lambda case: self._cached(case, case.documents, "parallel"),
            "sequential": lambda case: self._cached(case, case.documents, "sequential"),
            "top_pages": lambda case: self._cached(case, case.documents, attended=self._attended),
            "int8_keys": lambda case: self._cached(case, case.documents, rounded=True),
            "wrong": lambda case: self._cached(case, case.wrong),
        }
        if bare is not None:
            self._run["bare_none"] = lambda case: bare.losses([*case.sink, *case.tail], case.continuation)
            self._run["bare_full"] = lambda case: bare.losses(_whole(case), case.continuation)

    @property
    def arms(self) -> tuple[str, ...]:
        """Those that can be run."""
        exact = self._served.runtime.dtype == "float32"  # pages are chosen from keys that numpy can read
        return tuple(name for name in NAMES if name in self._run and (exact or name != "top_pages"))

    def losses(self, name: str, case: Case) -> Losses:
        """Nats per token of the continuation, (tokens,)."""
        return self._run[name](case)

    def _plain(self, context: Sequence[int], continuation: Sequence[int]) -> Losses:
        """Our runtime as a plain causal network: one sequence, positions from 0."""
        runtime, size = self._served.runtime, len(context)
        buffer = runtime.buffer(size + len(continuation))
        first = runtime.forward(buffer, context, 0, 0, "last")
        rest = runtime.forward(buffer, continuation[:-1], size, size, "all")
        return nats(np.concatenate([first, rest]), continuation)

    def _cached(
        self,
        case: Case,
        documents: Documents,
        scheme: SchemeName | None = None,
        *,
        attended: int | None = None,
        rounded: bool = False,
    ) -> Losses:
        """The document cache. `rounded`: keys and values as they come back from disk."""
        served = self._served
        lineage, resident = served.lineage(case), served.resident(scheme, attended)
        placed = served.placed(lineage, documents)
        if rounded:
            placed = [replace(one, stored=quantised(served.cache.get(one.key) or one.stored)) for one in placed]
        elif attended is not None:
            placed = [replace(one, stored=served.cache.get(one.key)) for one in placed]
        resident.attend(lineage, served.encoder.sink(lineage) if lineage.sink else None, placed)
        first = resident.extend(case.tail, never).logits
        rest = resident.append(case.continuation[:-1], every=True)
        return nats(np.concatenate([first[None], rest]), case.continuation)


def nats(logits: NDArray[np.float32], wanted: Sequence[int]) -> Losses:
    """-log softmax(logits)[wanted], float64 (n,). `logits` (n, vocabulary)."""
    wide = logits.astype(np.float64)
    top = wide.max(axis=1)
    total = top + np.log(np.exp(wide - top[:, None]).sum(axis=1))
    found: Losses = total - wide[np.arange(len(wanted)), list(wanted)]
    return found


def _whole(case: Case) -> list[int]:
    return [*case.sink, *case.context, *case.tail]
