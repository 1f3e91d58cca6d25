"""What was written between two versions of the packages of the corpus, with what stood beside each cursor.

Archives are read as data; their files are indexed in a folder that is gone afterwards, and no code of theirs is run.
What always holds: what is left out of the corpus is left out here, too; a held-out package gives nothing.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from model.evaluation.completion_cases import Sizes
from model.evaluation.replay_history import Day, Snapshot, hunks_between
from model.evaluation.replay_places import places
from model.prompt import Format, Layout
from model.tokens import Tokens
from model.training.corpus import Package, entries, fetched
from model.training.corpus_files import CodeFile, code_files, fingerprint
from model.training.edits import Written

_SIZES = Sizes(documents=2, document=240, tail=256, suffix=64)
_HUNKS = 80  # of a package, at most
_ABOVE, _BELOW = 6000, 2000  # characters around a place that are kept


def load_written(
    packages: Sequence[Package],
    base_folder: Path,
    *,
    without: Sequence[CodeFile] = (),
    workers: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, tuple[Written, ...]]:
    """By package what was written since its earlier version; packages that name none are left out.

    `without`: files whose text is nobody's to learn from. `base_folder` counts tokens. Raises what `fetched` raises.
    """
    named = [package for package in packages if package.earlier and not package.held_out]
    for package in named:
        fetched(package)
        fetched(_before(package))
    forbidden = frozenset(fingerprint(file.text) for file in without)
    found: dict[str, tuple[Written, ...]] = {}
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        of = partial(written_of, base_folder=base_folder, forbidden=forbidden)
        for done, (package, written) in enumerate(zip(named, pool.map(of, named), strict=True), start=1):
            found[package.name] = written
            progress(done, len(named))
    return found


def written_of(package: Package, base_folder: Path, forbidden: frozenset[str] = frozenset()) -> tuple[Written, ...]:
    """The places of one package, in the order in which they were written."""
    tokens = Tokens(base_folder)
    layout = Layout(tokens, _SIZES.budget, Format.of(tokens, fills_middle=True))
    old, new = (_snapshot(one, forbidden) for one in (_before(package), package))
    hunks = tuple(hunk for hunk, _ in zip(hunks_between(old, new), range(_HUNKS), strict=False))
    found = []
    for place in places([Day(package.version, hunks)], layout, _SIZES) if hunks else ():
        hunk = place.hunk
        documents = (*place.memory, *place.documents)
        above, below = _last_lines(hunk.above), hunk.below[:_BELOW]
        found.append(Written(hunk.path, above, hunk.lines, below, hunk.code, documents))
    return tuple(found)


def _before(package: Package) -> Package:
    return replace(package, version=package.earlier, sha256=package.earlier_sha256)


def _snapshot(package: Package, forbidden: frozenset[str]) -> Snapshot:
    files = code_files(package.name, entries(fetched(package)), set(forbidden), Counter())
    return Snapshot(package.version, {file.path: file.text for file in files if file.path.endswith(".py")})


def _last_lines(text: str) -> str:
    """The end of a text from the beginning of a line on."""
    if len(text) <= _ABOVE:
        return text
    start = text.find("\n", len(text) - _ABOVE) + 1
    return text[start:]
