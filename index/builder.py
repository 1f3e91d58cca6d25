"""Bring the index of a workspace up to date: walk, cut, then embed.

Words are there first (seconds), meaning follows in batches. Every batch is one transaction, so that a build that is
killed goes on where it was. Only what changed is read again, and only content that no chunk ever had is embedded.
"""

import os
import random
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from types import TracebackType

from filelock import FileLock

from index import files
from index.database import is_damage, lock
from index.embedding import Embedder, Encoder, with_parts
from index.files import File, Walk
from index.intake import OVER, Intake
from index.outlining import Outliner
from index.records import Progress
from index.store import Entry, Known, Refused, Store
from index.vector_cache import VectorCache
from index.vectors import LEAST, write_base

FILES_PER_BATCH = 64
CHUNKS_PER_BATCH = 8  # what is saved waits for the end of a batch
FIRST = 64  # chunks, those of the newest files, are embedded in order; see `_in_turn`
MOST_PATHS = 1000  # of an update: of more, looking at the whole tree is faster
NAMED = 3  # files of a note
Report = Callable[[Progress], None]


@dataclass
class Result:
    """What a build did. `skipped` counts files that were left out, by reason; `notes` are sentences for a person."""

    files: int = 0
    changed: int = 0
    removed: int = 0
    embedded: int = 0
    looked_seconds: float = 0.0  # for sizes and times of the files that are there
    skipped: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)


def quiet(progress: Progress) -> None:
    """Progress that nobody watches."""


def never() -> bool:
    """Nothing more urgent comes."""
    return False


class Builder:
    """Builds the index of `root`. `embedding` is a folder of weights, a function that makes an encoder, or None for
    words alone.

    Every method takes the index's lock while it works and raises IndexBusyError where another process has it;
    `with builder:` keeps the lock between calls.
    """

    def __init__(
        self,
        root: Path,
        embedding: Path | Callable[[], Encoder] | None,
        *,
        max_files: int = files.MAX_FILES,
        max_file_bytes: int = files.MAX_BYTES,
    ) -> None:
        self.root = Path(root).resolve()
        self._make_encoder = (lambda: Embedder(embedding)) if isinstance(embedding, Path) else embedding
        self._encoder: Encoder | None = None
        self._max_files = max_files
        self._max_bytes = max_file_bytes
        self._lock: FileLock | None = None
        self._store: Store | None = None
        self._outliner = Outliner()
        self._cache = VectorCache()
        self._whole = 0  # the inode of the database that was found undamaged
        self._changed: set[str] | None = None  # files whose chunks may lack a vector; None: any may
        self._cut: str | None = None  # the last path that is indexed, where the limit leaves out others
        self._bound = 0  # vectors since the file of vectors was looked at
        self._depth = 0

    def __enter__(self) -> "Builder":
        if self._depth == 0:
            self._lock = lock(self.root)
            try:
                self._store = Store.writer(self.root, self._whole)
                self._whole = self._store.inode
                self._changed = None  # others may have written meanwhile
            except BaseException:
                self._lock.release()
                raise
        self._depth += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._depth -= 1
        if isinstance(error, sqlite3.DatabaseError):
            self._whole = 0
            if self._store is not None and is_damage(error):
                self._store.doubt()
        if self._depth == 0 and self._store is not None and self._lock is not None:
            self._store.close()
            self._store = None
            self._outliner.close()
            self._cache.close()
            self._lock.release()

    def build(self, progress: Report = quiet) -> Result:
        """Everything: `build_words`, then `build_meaning`."""
        with self:
            result = self.build_words(progress)
            result.embedded = self.build_meaning(progress)
        result.notes += self.take_notes()
        return result

    def build_words(self, progress: Report = quiet) -> Result:
        """Walk the whole tree; read what changed, forget what is gone. Afterwards search by words is up to date."""
        with self:
            progress(Progress("walk", 0, 0))
            began = time.monotonic()
            walk = files.walk(self.root, max_bytes=self._max_bytes)
            looked = time.monotonic() - began
            store = self._open_store()
            self._cut = None
            result = self._take(walk, store.known(), store.refused(), progress)
            result.looked_seconds = looked
            return result

    def update(self, paths: Iterable[str | Path], progress: Report = quiet) -> Result:
        """The same for some files and folders (relative to the root, or absolute), which may be gone."""
        with self:
            relative = self._relative(paths)
            if "" in relative or len(relative) > MOST_PATHS:
                return self.build_words(progress)
            walk = files.walk(self.root, relative, max_bytes=self._max_bytes)
            store = self._open_store()
            known, refused = store.known(relative), store.refused(relative)
            if self._cut is not None or store.count_files() - len(known) + len(walk.files) > self._max_files:
                known = self._among_others(walk, known)
            return self._take(walk, known, refused, progress)

    def build_meaning(self, progress: Report = quiet, interrupted: Callable[[], bool] = never) -> int:
        """Embed what is not embedded yet, until `interrupted()` between two batches; how many chunks that were.

        Raises NoMeaningError if the weights are not there or cannot be run.
        """
        if self._make_encoder is None:
            return 0
        with self:
            store = self._open_store()
            self._encoder = self._encoder or self._make_encoder()
            model = self._encoder.model
            if store.check_bound(self._cache.identity, model, self._cache.among):
                self._changed = None
            everything = self._changed is None
            waiting = store.missing(model, self._changed)
            if there := self._cache.among(model, waiting):  # embedded for another branch, worktree or clone
                store.bind(model, [digest for digest in waiting if digest in there])
                self._bound += len(there)
                waiting = [digest for digest in waiting if digest not in there]
            waiting = _in_turn(waiting)
            began = time.monotonic()
            done = 0
            for start in range(0, len(waiting), CHUNKS_PER_BATCH):
                if interrupted():
                    return done
                self._embed(store, self._encoder, waiting[start : start + CHUNKS_PER_BATCH])
                done = min(start + CHUNKS_PER_BATCH, len(waiting))
                each = (time.monotonic() - began) / done
                progress(Progress("embed", done, len(waiting), round(each * (len(waiting) - done), 1)))
            if everything or self._bound >= LEAST:  # each looks at every vector there is
                store.unbind(model)
                write_base(store, model, self._cache)
                self._cache.prune()
                self._bound = 0
            self._changed = set()
            return done

    def take_notes(self) -> list[str]:
        """What `build_meaning` found that a person should know, once."""
        note, self._cache.note = self._cache.note, ""
        return [note] if note else []

    @property
    def replaced(self) -> bool:
        """True if what is open is not the index any more, as somebody removed its folder (then the lock, too, is none),
        or as a reader found it damaged: whoever keeps it open with `with` has to begin again."""
        return self._store is not None and (self._store.replaced() or self._store.doubted)

    @property
    def has_meaning(self) -> bool:
        """True if this builder embeds."""
        return self._make_encoder is not None

    def _embed(self, store: Store, encoder: Encoder, batch: list[bytes]) -> None:
        """Give these chunks a vector, but for those that are gone, or that another process has embedded by now."""
        there = self._cache.among(encoder.model, batch)
        texts = dict(store.texts([digest for digest in batch if digest not in there]))
        if texts:
            self._cache.put(encoder.model, list(texts), *with_parts(encoder, list(texts.values())))
        store.bind(encoder.model, [*there, *texts])
        self._bound += len(there) + len(texts)

    def _open_store(self) -> Store:
        assert self._store is not None, "used inside `with builder`"
        return self._store

    def _take(self, walk: Walk, known: dict[str, Known], refused: dict[File, str], progress: Report) -> Result:
        """Make the index agree with `walk` for the files in `known`, in `refused` and in `walk`."""
        store = self._open_store()
        intake = Intake(self.root, walk.files, known, refused, most=self._max_files, max_bytes=self._max_bytes)
        result = Result(notes=list(walk.notes))
        if store.note:
            result.notes.append(store.note)
            store.note = ""  # said once
        entries = self._noted(intake.entries(self._outliner))
        began = time.monotonic()
        for first in entries:
            result.changed += store.put(chain([first], islice(entries, FILES_PER_BATCH - 1)))
            each = (time.monotonic() - began) / intake.looked
            left = round(each * (intake.changed - intake.looked), 1)
            progress(Progress("chunk", intake.looked, intake.changed, left))
        if intake.cut is not None:
            self._cut = intake.cut
            result.notes.append(
                f"Only the first {self._max_files:,} files of {self.root} are indexed, the others are left out. "
                "Open a smaller folder, list generated folders in .gitignore, or raise `index.maxFiles`."
            )
        if slow := self._outliner.refused:
            named = ", ".join(slow[:NAMED]) + (", ..." if len(slow) > NAMED else "")
            result.notes.append(f"Cut by lines, as their grammar crashes or takes too long on them: {named}.")
            self._outliner.refused = []
        there = {file.path for file in walk.files}
        removed = known.keys() - intake.kept
        if gone := [*(removed - intake.refused), *(file.path for file in refused if file.path not in there)]:
            store.remove(gone)
        result.files, result.removed, result.skipped = len(intake.kept), len(removed), walk.skipped + intake.skipped
        return result

    def _among_others(self, walk: Walk, known: dict[str, Known]) -> dict[str, Known]:
        """Put the files of an update among those that are indexed: where the limit lies is decided by all together, but
        what the last look at the whole tree left out waits for the next one. Returns everything that is known."""
        everything = self._open_store().known()
        others = [File(path, was.size, was.mtime_ns) for path, was in everything.items() if path not in known]
        chosen = [file for file in walk.files if self._cut is None or file.path <= self._cut]
        walk.skipped[OVER] += len(walk.files) - len(chosen)
        walk.files = sorted([*chosen, *others], key=lambda file: file.path)
        return everything

    def _noted(self, entries: Iterator[Entry | File | Refused]) -> Iterator[Entry | File | Refused]:
        """The same, while the files whose chunks may lack a vector are written down."""
        for entry in entries:
            if isinstance(entry, tuple) and self._changed is not None:
                self._changed.add(entry[0].path)
            yield entry

    def _relative(self, paths: Iterable[str | Path]) -> set[str]:
        """Paths as the index has them, "" for the root; what lies elsewhere is dropped, and names that are none."""
        found = set()
        for path in paths:
            absolute = self.root / path
            try:
                parent = Path(os.path.realpath(absolute.parent))  # not the file itself: a link is not followed
                place = (parent / absolute.name).relative_to(self.root).as_posix()
                place.encode("utf-8")
            except ValueError:
                continue
            found.add("" if place == "." else place)
        return found


def _in_turn(hashes: list[bytes]) -> list[bytes]:
    """The first in order, the others from a random place on and round: two processes that embed the same chunks (two
    worktrees that were opened together) then each do a part, as each finds what the other has embedded."""
    first, others = hashes[:FIRST], hashes[FIRST:]
    turn = random.randrange(len(others)) if others else 0
    return [*first, *others[turn:], *others[:turn]]
