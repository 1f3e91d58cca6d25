"""Our side of the measurement: runtime, document cache, encoder and what is resident, put together as the engine does.

It serves cases and counts; it compares nothing. What always holds: every arm and every timing starts from what it says
it starts from (`empty`, `reopened`), as each has a resident buffer of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.adapters import check_folder
from model.cache.document_cache import CacheBudgets, DocumentCache
from model.cache.key import Lineage
from model.document import Document
from model.encoder import Encoder
from model.evaluation.cache_cases import Case, Sizes
from model.positions import LONGEST_SINK, SchemeName, scheme_for
from model.prompt import Layout
from model.resident import Placed, Resident
from model.runtimes.runtime import Runtime
from model.shape import fingerprint

_SPARE = 448  # slots for paths, the slack of the tail, what is typed, decoded and drafted
_HOST_BYTES = 4_000_000_000  # documents of all cases, so that none is encoded twice
_DISK_BYTES = 8_000_000_000
_ITEMSIZE = {"float32": 4, "bfloat16": 2, "float16": 2}

Documents = Sequence[tuple[Document, tuple[int, ...]]]


def never() -> bool:
    """Nobody cancels a measurement."""
    return False


@dataclass(frozen=True)
class Weights:
    """Which weights: the base's folder, and those of the adapters on it."""

    folder: Path
    adapters: tuple[Path, ...] = ()


class Served:
    """A runtime with a document cache on `folder`."""

    def __init__(
        self, weights: Weights, runtime: Runtime, layout: Layout, sizes: Sizes, scheme: SchemeName, folder: Path
    ) -> None:
        self.runtime = runtime
        self.layout = layout
        self.sizes = sizes
        self.scheme: SchemeName = scheme
        self._base = f"{fingerprint(weights.folder)} {runtime.name}"
        self._adapters = " ".join(check_folder(adapter) for adapter in weights.adapters)
        self.empty(folder)

    def empty(self, folder: Path) -> None:
        """Nothing is cached in memory from now on; on disk, what is in this folder."""
        upload: Any = None if self.runtime.device == "cpu" else self.runtime.upload
        self._folder = folder
        self.cache = DocumentCache(CacheBudgets(_HOST_BYTES, _HOST_BYTES, _DISK_BYTES), folder, upload)
        self.encoder = Encoder(self.runtime, self.cache, LONGEST_SINK + self.sizes.document)

    def reopened(self) -> None:
        """As after a restart: what was encoded is on disk, and only there."""
        self.cache.close(600.0)
        self.empty(self._folder)

    @property
    def encoded_tokens(self) -> int:
        """Tokens of documents that went through the network since the cache was made."""
        found: int = self.cache.status()["encodedTokens"]
        return found

    def lineage(self, case: Case) -> Lineage:
        """What keys and values of the case's documents depend on."""
        return Lineage(self._base, self._adapters, self.scheme, case.sink, self.runtime.dtype)

    def placed(self, lineage: Lineage, documents: Documents) -> list[Placed]:
        """The documents as they are attended to; those that are in no tier are encoded first."""
        found = []
        for _, ids in documents:
            key = lineage.key(ids)
            self.encoder.encode(lineage, key, ids)
            found.append(Placed(key, len(ids), self.cache.handle(key)))
        return found

    @property
    def capacity(self) -> int:
        """Slots of a resident buffer."""
        sizes = self.sizes
        return LONGEST_SINK + sizes.documents * sizes.document + sizes.tail + sizes.continuation + _SPARE

    def resident(self, scheme: SchemeName | None = None, attended: int | None = None) -> Resident:
        """A new resident buffer with nothing in it."""
        positions = scheme_for(scheme or self.scheme, self.runtime.shape.positions)
        return Resident(self.runtime, positions, self.capacity, attended)

    def attend(self, resident: Resident, lineage: Lineage, documents: Documents) -> None:
        """Let `resident` attend to these, encoding what is not cached."""
        placed = self.placed(lineage, documents)
        sink = None if resident.has_sink(lineage) or not lineage.sink else self.encoder.sink(lineage)
        resident.attend(lineage, sink, placed)

    def buffer_bytes(self) -> int:
        """Bytes of the keys and values of one resident buffer."""
        return self.runtime.slot_bytes * self.capacity

    def kv_bytes(self, tokens: int) -> int:
        """Bytes of the keys and values of so many tokens in memory."""
        return self.runtime.shape.kv_bytes(tokens, _ITEMSIZE[self.runtime.dtype])
