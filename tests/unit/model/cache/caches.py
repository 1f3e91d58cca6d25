"""Budgets for a document cache, a pretended accelerator, and a short way to put documents."""

from dataclasses import dataclass, field

from model.cache.document_cache import CacheBudgets, DocumentCache
from model.runtimes.runtime import KeysValues, OutOfMemoryError
from tests.unit.model.cache.documents import Encoded, document

ONE = document(0).nbytes  # bytes of a document of 40 tokens
PLENTY = 1 << 22
HOST = CacheBudgets(0, PLENTY, 0)
HOST_AND_DISK = CacheBudgets(0, PLENTY, PLENTY)


@dataclass
class OnAccelerator:
    """What a runtime's upload makes."""

    stored: KeysValues


@dataclass
class Accelerator:
    """An accelerator with room for so many uploads that somebody still holds."""

    room: int = 1000
    uploads: list[OnAccelerator] = field(default_factory=list)

    def __call__(self, stored: KeysValues) -> OnAccelerator:
        if self.room <= 0:
            raise OutOfMemoryError
        self.uploads.append(OnAccelerator(stored))
        return self.uploads[-1]


def put(cache: DocumentCache, *entries: Encoded) -> list[str]:
    return [cache.put(entry.key, entry.tokens, entry.stored, entry.seconds) for entry in entries]
