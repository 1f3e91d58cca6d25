"""What other files say that helps at a cursor: what is imported, defined, edited a moment ago, or similar.

A few look-ups and no model: it runs on keystrokes. Candidates come from the imports of the file, from definitions of
the names near the cursor, from recent edits and from chunks that share its rarest words; `index.relevance` says which
of them are worth their place. It never returns the active file.
"""

import json
import re
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from math import fsum
from pathlib import PurePosixPath

from index.languages import family_of, language_of
from index.lexical import Counts
from index.records import Hit, Match
from index.relevance import NAMES, WRITTEN, Cursor, Relevance, shared_folders
from index.store import Store, load_candidates, load_hits
from index.words import match_expression

MOST_WORDS = 12
EDITED = 8  # files that were edited lately; of more, whoever asks tells nothing
MOST_PLACES = 2000  # occurrences that are looked at for one keystroke
MOST_IMPORTS = 24
IMPORTS_WITHIN = 40_000  # characters from the top of the file
MOST_CANDIDATES = 400  # chunks of imported files that are looked at
MOST_NAMES = 24  # near the cursor whose definitions are looked for
MOST_DEFINITIONS = 6  # of one name; more, and it says nothing about which is meant
MOST_READ = 32  # candidates whose text is looked at

# No two parts that may follow each other match the same character, and what is in brackets is bounded: what somebody
# else wrote is searched on a keystroke.
_PYTHON_FROM = re.compile(
    r"^[ \t]*from[ \t]+(?=[\w.])(\.*)((?:\w[\w.]*)?)[ \t]+import[ \t]+(?:\(((?:[^()#]|#[^\n]*+){0,4000}+)\)|([^\n#]+))",
    re.MULTILINE,
)
_PYTHON_IMPORT = re.compile(r"^[ \t]*import[ \t]+([^\n#]+)", re.MULTILINE)
_SCRIPT = re.compile(
    r"""\b(?:import|export)\s{1,20}(?:type\s{1,20})?([^'"();]{0,400}?)\s{0,9}from\s*['"]([^'"\n]+)['"]|"""
    r"""\b(?:const|let|var)\s{1,20}([^=;\n]{1,200}?)=\s*(?:await\s+import|require)\(\s*['"]([^'"\n]+)['"]"""
)
_SCRIPT_ENDINGS = ("", ".ts", ".tsx", ".js", ".jsx", ".mjs", ".mts", ".vue", ".svelte", "/index.ts", "/index.tsx",
                   "/index.js")  # fmt: skip


@dataclass
class Catalog:
    """The paths in the index, by file name, and in how many chunks words stand, kept between keystrokes.

    `package` is the workspace folder's own name: inside an opened package, modules are imported by it.
    """

    package: str = ""
    generation: object = None
    files: dict[str, int] = field(default_factory=dict)
    by_name: dict[str, list[str]] = field(default_factory=dict)
    counts: Counts = field(default_factory=Counts)

    def refresh(self, store: Store) -> None:
        """Catch up with the store; costs one look-up if nothing changed."""
        generation = (store.fact("epoch"), store.fact("generation"))
        if generation == self.generation:
            return
        self.generation = generation
        self.fill(dict(store.database.execute("SELECT path, id FROM files")))

    def fill(self, files: dict[str, int]) -> None:
        """Take over these files, by their path."""
        self.files, self.by_name = files, {}
        for path in files:
            self.by_name.setdefault(path.rpartition("/")[2], []).append(path)

    def ending_with(self, tail: str, near: str) -> str | None:
        """The path that is `tail` or ends with it; of several, the one that shares most folders with `near`."""
        found = [
            path for path in self.by_name.get(tail.rpartition("/")[2], ()) if path == tail or path.endswith("/" + tail)
        ]
        return min(found, key=lambda path: (-shared_folders(path, near), len(path), path), default=None)


@dataclass(frozen=True)
class Ask:
    """A cursor of which context is wanted: at most `limit` chunks, together at most `max_chars` characters.

    `recent` are places that were edited lately, (path, line), the newest first.
    """

    path: str
    prefix: str
    suffix: str
    limit: int
    max_chars: int
    recent: Sequence[tuple[str, int]] = ()


def find_context(database: sqlite3.Connection, catalog: Catalog, ask: Ask, relevance: Relevance = WRITTEN) -> list[Hit]:
    """Chunks of other files, the most helpful first."""
    imported = imported_files(ask.path, ask.prefix, catalog) or _recorded_imports(database, catalog, ask.path)
    cursor = Cursor.at(ask.path, ask.prefix, ask.suffix, imported)
    similar = _similar(database, catalog, ask.path, cursor.near, ask.limit)
    recent = _recent(database, catalog, ask)
    named = [*_defining(database, cursor), *_imported(database, catalog, cursor)]
    why: dict[int, tuple[Match, ...]] = dict.fromkeys(recent, ())
    why |= dict.fromkeys(similar, ("words",)) | dict.fromkeys(named, ("symbol",))
    chosen = dict.fromkeys([*recent, *reversed(named), *similar])
    candidates = load_candidates(database, islice(chosen, MOST_READ))
    scored: list[Hit] = []
    for hit, (chunk, candidate) in zip(
        load_hits(database, candidates, dict.fromkeys(candidates, 0.0), why), candidates.items(), strict=True
    ):
        figures = cursor.features(
            hit.path,
            candidate.names.split(),
            hit.text,
            similar=similar.get(chunk, 0.0),
            recent=recent.get(chunk, 0.0),
        )
        scored.append(replace(hit, score=relevance.score(figures)))
    scored.sort(key=lambda hit: (-hit.score, hit.path, hit.start_line))
    hits: list[Hit] = []
    room = ask.max_chars
    for hit in scored:
        if hit.score > 0 and len(hits) < ask.limit and len(hit.text) <= room:
            hits.append(hit)
            room -= len(hit.text)
    return hits


def imported_files(path: str, prefix: str, catalog: Catalog) -> dict[str, set[str]]:
    """Files of this workspace that the text before the cursor imports, with the names it takes from each."""
    language, prefix = language_of(path), prefix[:IMPORTS_WITHIN]
    if language == "python":
        named = _python_imports(path, prefix, catalog)
    elif "javascript" in family_of(language):
        named = _script_imports(path, prefix, catalog)
    else:
        named = []
    found: dict[str, set[str]] = {}
    for target, names in named:
        if target != path and (target in found or len(found) < MOST_IMPORTS):
            found.setdefault(target, set()).update(names)
    return found


def _python_imports(path: str, prefix: str, catalog: Catalog) -> list[tuple[str, set[str]]]:
    found: list[tuple[str, set[str]]] = []
    for match in _PYTHON_FROM.finditer(prefix):
        dots, module, listed = match[1], match[2], match[3] or match[4] or ""
        names = {name.split(" as ")[0].strip() for name in re.sub(r"#[^\n]*", "", listed).split(",")} - {""}
        base = module.replace(".", "/")
        if dots:
            folder = PurePosixPath(path).parents
            if len(dots) > len(folder):
                continue
            parent = folder[len(dots) - 1].as_posix()
            base = "/".join(part for part in (parent if parent != "." else "", base) if part)
        target = _python_module(base, bool(dots), path, catalog)
        if target:
            found.append((target, names))
        for name in sorted(names):  # `from package import module`
            inner = _python_module(f"{base}/{name}" if base else name, bool(dots), path, catalog)
            if inner and name.isidentifier():
                found.append((inner, set()))
    for match in _PYTHON_IMPORT.finditer(prefix):
        for part in match[1].split(","):
            target = _python_module(part.split(" as ")[0].strip().replace(".", "/"), False, path, catalog)
            if target:
                found.append((target, set()))
    return found


def _python_module(base: str, exact: bool, near: str, catalog: Catalog) -> str | None:
    if not base:
        return None
    for tail in (f"{base}.py", f"{base}.pyi", f"{base}/__init__.py"):
        if exact:
            if tail in catalog.files:
                return tail
        elif found := catalog.ending_with(tail, near):
            return found
    package, _, rest = base.partition("/")
    return _python_module(rest, True, near, catalog) if rest and not exact and package == catalog.package else None


def _script_imports(path: str, prefix: str, catalog: Catalog) -> list[tuple[str, set[str]]]:
    found: list[tuple[str, set[str]]] = []
    for match in _SCRIPT.finditer(prefix):
        listed, module = (match[1], match[2]) if match[2] else (match[3], match[4])
        names = {name for name in NAMES.findall(listed or "") if name not in ("as", "type")}
        target = _script_module(module, path, catalog)
        if target:
            found.append((target, names))
    return found


def _script_module(module: str, path: str, catalog: Catalog) -> str | None:
    if module.startswith("."):
        parts = path.split("/")[:-1]
        for part in module.split("/"):
            if part == ".." and parts:
                parts.pop()
            elif part not in (".", "..", ""):
                parts.append(part)
        base = "/".join(parts)
        stems = (base, base.removesuffix(".js"))  # TypeScript names the file that will be compiled
        return next((stem + end for stem in stems for end in _SCRIPT_ENDINGS if stem + end in catalog.files), None)
    if module.startswith(("@/", "~/", "src/")):  # the usual names of the source folder
        tails = (module.partition("/")[2] + ending for ending in _SCRIPT_ENDINGS)
        return next((found for tail in tails if (found := catalog.ending_with(tail, path))), None)
    return None


def _recorded_imports(database: sqlite3.Connection, catalog: Catalog, path: str) -> dict[str, set[str]]:
    """Files that the saved version of this one imports, for languages whose imports are only known to the index: a
    module's name is taken for the end of a path, with or without its last part."""
    rows = database.execute(
        "SELECT module FROM imports WHERE file = (SELECT id FROM files WHERE path = ?) ORDER BY line LIMIT ?",
        (path, MOST_IMPORTS),
    )
    suffix = path.rpartition(".")[2]
    found: dict[str, set[str]] = {}
    for (module,) in rows:
        parts = [part for part in re.split(r"::|[.\\\\/]", module) if part]
        whole, outer = "/".join(parts), "/".join(parts[:-1])
        tails = (module.removeprefix("./"), f"{whole}.{suffix}", f"{outer}.{suffix}")
        target = next((there for tail in tails if (there := catalog.ending_with(tail, path))), None)
        if target is not None and target != path:
            found.setdefault(target, set()).update(parts[-1:])
    return found


def _imported(database: sqlite3.Connection, catalog: Catalog, cursor: Cursor) -> list[int]:
    """Chunks of imported files that define what is imported, or what is named near the cursor; the likeliest last."""
    if not cursor.imported:
        return []
    names_of = {catalog.files[path]: names for path, names in cursor.imported.items()}
    rows = database.execute(
        "SELECT id, file, names FROM chunks WHERE file IN (SELECT value FROM json_each(?)) LIMIT ?",
        (json.dumps(list(names_of)), MOST_CANDIDATES),
    )
    scores: dict[int, float] = {}
    for chunk, file, names in rows:
        defined = set(names.split())
        score = fsum(cursor.near.get(name.casefold(), 0.0) for name in defined) + 2.0 * len(names_of[file] & defined)
        if score > 0:
            scores[chunk] = score
    return sorted(scores, key=lambda chunk: (scores[chunk], -chunk))


def _defining(database: sqlite3.Connection, cursor: Cursor) -> list[int]:
    """Chunks that define names near the cursor, in any file of the language; the nearest name last."""
    names = sorted(cursor.near, key=lambda name: (-cursor.near[name], name))[:MOST_NAMES]
    languages = json.dumps(sorted(family_of(language_of(cursor.path))))
    rows = database.execute(
        "SELECT c.id, s.folded FROM symbols s JOIN files f ON f.id = s.file JOIN chunks c ON c.file = s.file "
        "AND s.line BETWEEN c.start_line AND c.end_line WHERE s.folded IN (SELECT folded FROM symbols "
        "WHERE folded IN (SELECT value FROM json_each(?)) GROUP BY folded HAVING count(*) <= ?) "
        "AND f.path <> ? AND f.language IN (SELECT value FROM json_each(?))",
        (json.dumps(names), MOST_DEFINITIONS, cursor.path, languages),
    ).fetchall()
    return [chunk for chunk, name in sorted(rows, key=lambda row: (cursor.near[row[1]], -row[0]))]


def _recent(database: sqlite3.Connection, catalog: Catalog, ask: Ask) -> dict[int, float]:
    """Chunks in which other files were edited lately, with 1 for the newest and less for those before."""
    found: dict[int, float] = {}
    for path, line in ask.recent:
        file = catalog.files.get(path)
        if file is None or path == ask.path:
            continue
        row = database.execute(
            "SELECT id FROM chunks WHERE file = ? AND start_line <= ? ORDER BY start_line DESC LIMIT 1", (file, line)
        ).fetchone()
        if row is not None:
            found.setdefault(row[0], 1.0 / (1 + len(found)))
    return found


def _similar(
    database: sqlite3.Connection, catalog: Catalog, path: str, near: Mapping[str, float], limit: int
) -> dict[int, float]:
    """Chunks in the same kind of language that share the rarest words near the cursor, with a score from 0 to 1."""
    counts = catalog.counts.of(database, near)
    telling: list[str] = []
    places = 0
    for word in sorted(counts, key=lambda word: (counts[word] / (0.2 + near.get(word, 0.0)), word))[:MOST_WORDS]:
        if not telling or places + counts[word] <= MOST_PLACES:  # what is everywhere costs much and says little
            telling.append(word)
            places += counts[word]
    if not telling:
        return {}
    rows = database.execute(
        "SELECT c.id, -bm25(words, 1.0, 2.0, 0.5) AS score FROM words JOIN chunks c ON c.id = words.rowid "
        "JOIN files f ON f.id = c.file WHERE words MATCH ? AND f.path <> ? "
        "AND f.language IN (SELECT value FROM json_each(?)) ORDER BY score DESC, c.id LIMIT ?",
        (match_expression(telling), path, json.dumps(sorted(family_of(language_of(path)))), 2 * limit),
    )
    return {chunk: max(score, 0.0) / (1.0 + abs(score)) for chunk, score in rows}
