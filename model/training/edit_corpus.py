"""What was written between two versions of the packages of the corpus, with what stood beside each cursor.

Archives are read as data; their files are indexed in a folder that is gone afterwards, and no code of theirs is run.
What always holds: files that are not worth reading give nothing here, either, and no held-out text or package does;
what stood in the earlier version is not taken for written.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from inkling.errors import UserError
from model.evaluation.completion_cases import Sizes
from model.evaluation.replay_history import Day, Snapshot, hunks_between
from model.evaluation.replay_places import places
from model.prompt import Format, Layout
from model.tokens import Tokens
from model.training.corpus import LIST, MissingPackageError, Package, entries, fetched
from model.training.corpus_files import CodeFile, code_files, fingerprint
from model.training.edits import DOCUMENT, Written

_SIZES = Sizes(documents=2, document=DOCUMENT, tail=256, suffix=64)
_HUNKS = 80  # of a package, at most
_MOST_WORKERS = 61  # that Windows waits for
_ABOVE, _BELOW = 6000, 2000  # characters around a place that are kept


class NoMemoryError(UserError):
    """A process that read packages was killed."""


def load_written(
    packages: Sequence[Package],
    base_folder: Path,
    *,
    without: Sequence[CodeFile] = (),
    workers: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, tuple[Written, ...]]:
    """By package what was written since its earlier version; packages that name none are left out.

    `without`: files whose text is nobody's to learn from. `base_folder` counts tokens. Raises what `fetched` raises,
    and NoMemoryError.
    """
    named = [package for package in packages if package.earlier and not package.held_out]
    for done, package in enumerate(named):
        fetched(package)
        try:
            fetched(_before(package))
        except MissingPackageError as error:
            raise MissingPackageError(
                f"{package.name} {package.earlier} cannot be had ({error.__cause__}). Take `earlier` and "
                f"`earlier_sha256` out of the entry of {package.name} in {LIST.name}."
            ) from error
        progress(done, 2 * len(named))
    forbidden = frozenset(fingerprint(file.text) for file in without)
    found: dict[str, tuple[Written, ...]] = {}
    with ProcessPoolExecutor(min(workers, _MOST_WORKERS), mp_context=get_context("spawn")) as pool:
        of = partial(written_of, base_folder=base_folder, forbidden=forbidden)
        try:
            for package, written in zip(named, pool.map(of, named), strict=True):
                found[package.name] = written
                progress(len(named) + len(found), 2 * len(named))
        except BrokenProcessPool as error:
            raise NoMemoryError(
                "A process that read what was written between two versions was killed, as happens where memory is "
                "short. Run the command again with less beside it, or with --edits 0."
            ) from error
    return found


def written_of(package: Package, base_folder: Path, forbidden: frozenset[str] = frozenset()) -> tuple[Written, ...]:
    """The places of one package, in the order in which they were written."""
    tokens = Tokens(base_folder)
    layout = Layout(tokens, _SIZES.budget, Format.of(tokens, fills_middle=True))
    old, new = _snapshots(package, forbidden)
    hunks = tuple(hunk for hunk, _ in zip(hunks_between(old, new), range(_HUNKS), strict=False))
    found = []
    for place in places([Day(package.version, hunks)], layout, _SIZES) if hunks else ():
        hunk = place.hunk
        documents = (*place.memory, *place.documents)
        above, below = _last_lines(hunk.above), hunk.below[:_BELOW]
        found.append(Written(hunk.path, above, hunk.lines, below, hunk.code, documents, hunk.goes_on))
    return tuple(found)


def _before(package: Package) -> Package:
    return replace(package, version=package.earlier, sha256=package.earlier_sha256)


def _snapshots(package: Package, forbidden: frozenset[str]) -> tuple[Snapshot, Snapshot]:
    """Both versions, the earlier first: of that also the text of what is worth reading in the later one alone."""
    new = _readable(package, forbidden)
    raw = {path: data for path, data in entries(fetched(_before(package))) if path in new}
    old = _readable(_before(package), forbidden)
    for path, data in raw.items():
        try:
            old[path] = data.decode("utf-8").replace("\r\n", "\n")
        except UnicodeDecodeError:
            del new[path]
    return Snapshot(package.earlier, old), Snapshot(package.version, new)


def _readable(package: Package, forbidden: frozenset[str]) -> dict[str, str]:
    files = code_files(package.name, entries(fetched(package)), set(forbidden), Counter())
    return {file.path: file.text for file in files if file.path.endswith(".py")}


def _last_lines(text: str) -> str:
    """The end of a text from the beginning of a line on."""
    if len(text) <= _ABOVE:
        return text
    start = text.find("\n", len(text) - _ABOVE) + 1
    return text[start:]
