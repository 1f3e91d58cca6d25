"""What other files say that helps at a cursor: definitions that are imported there, then chunks with the same words.

Words only, a few look-ups, no model: it runs on keystrokes. It never returns the active file.
"""

import json
import re
import sqlite3
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from index.languages import family_of, language_of
from index.records import Hit, Match
from index.store import Store, load_hits
from index.words import match_expression, words

NEAR_BEFORE = 20  # lines before the cursor that say what it is about
NEAR_AFTER = 5
MOST_WORDS = 12
MOST_PLACES = 2000  # occurrences that are looked at for one keystroke
MOST_IMPORTS = 24
IMPORTS_WITHIN = 40_000  # characters from the top of the file
MOST_CANDIDATES = 400  # chunks of imported files that are looked at

_PYTHON_FROM = re.compile(r"^[ \t]*from[ \t]+(\.*)([\w.]*)[ \t]+import[ \t]+(?:\(([^)]*)\)|([^\n#]+))", re.MULTILINE)
_PYTHON_IMPORT = re.compile(r"^[ \t]*import[ \t]+([^\n#]+)", re.MULTILINE)
_SCRIPT = re.compile(
    r"""\b(?:import|export)\s{1,20}(?:type\s{1,20})?([^'"();]{0,400}?)\s{0,9}from\s*['"]([^'"\n]+)['"]|"""
    r"""\b(?:const|let|var)\s{1,20}([^=;\n]{1,200}?)=\s*(?:await\s+import|require)\(\s*['"]([^'"\n]+)['"]"""
)
_NAME = re.compile(r"[^\W\d]\w*")
_SCRIPT_ENDINGS = ("", ".ts", ".tsx", ".js", ".jsx", ".mjs", ".mts", ".vue", ".svelte", "/index.ts", "/index.tsx",
                   "/index.js")  # fmt: skip


@dataclass
class Catalog:
    """The paths in the index, by file name, kept between keystrokes.

    `package` is the workspace folder's own name: inside an opened package, modules are imported by it.
    """

    package: str = ""
    generation: object = None
    files: dict[str, int] = field(default_factory=dict)
    by_name: dict[str, list[str]] = field(default_factory=dict)

    def refresh(self, store: Store) -> None:
        """Catch up with the store; costs one look-up if nothing changed."""
        generation = (store.fact("epoch"), store.fact("generation"))
        if generation == self.generation:
            return
        self.generation = generation
        self.files = dict(store.database.execute("SELECT path, id FROM files"))
        self.by_name = {}
        for path in self.files:
            self.by_name.setdefault(path.rpartition("/")[2], []).append(path)

    def ending_with(self, tail: str, near: str) -> str | None:
        """The path that is `tail` or ends with it; of several, the one that shares most folders with `near`."""
        found = [
            path for path in self.by_name.get(tail.rpartition("/")[2], ()) if path == tail or path.endswith("/" + tail)
        ]
        return min(found, key=lambda path: (-_shared(path, near), len(path), path), default=None)


def find_context(
    database: sqlite3.Connection, catalog: Catalog, path: str, prefix: str, suffix: str, limit: int, max_chars: int
) -> list[Hit]:
    """At most `limit` chunks of other files, together at most `max_chars` characters; imported ones first."""
    near = _near(prefix, suffix)
    imported = imported_files(path, prefix, catalog)
    scores = _imported(database, catalog, imported, near)
    why: dict[int, tuple[Match, ...]] = dict.fromkeys(scores, ("symbol",))
    for chunk, score in _similar(database, path, near, limit).items():
        scores.setdefault(chunk, score)
        why.setdefault(chunk, ("words",))
    best = sorted(scores, key=lambda chunk: (-scores[chunk], chunk))[: 3 * limit]
    hits: list[Hit] = []
    room = max_chars
    for hit in load_hits(database, best, scores, why):
        if len(hits) < limit and len(hit.text) <= room:
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
    return _python_module(rest, True, near, catalog) if rest and package == catalog.package else None


def _script_imports(path: str, prefix: str, catalog: Catalog) -> list[tuple[str, set[str]]]:
    found: list[tuple[str, set[str]]] = []
    for match in _SCRIPT.finditer(prefix):
        listed, module = (match[1], match[2]) if match[2] else (match[3], match[4])
        names = {name for name in _NAME.findall(listed or "") if name not in ("as", "type")}
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


def _near(prefix: str, suffix: str) -> dict[str, float]:
    """Words and whole names around the cursor with their weight: the nearer a line, the heavier."""
    weights: dict[str, float] = {}
    before = prefix[-4000:].split("\n")[-NEAR_BEFORE:]
    after = suffix[:1000].split("\n")[:NEAR_AFTER]
    for distance, line in [*enumerate(reversed(before)), *enumerate(after, start=1)]:
        line = line[-400:]
        for word in (*words(line), *(name.casefold() for name in _NAME.findall(line))):
            if len(word) > 2:
                weights[word] = max(weights.get(word, 0.0), 1.0 / (1 + distance))
    return weights


def _imported(
    database: sqlite3.Connection, catalog: Catalog, imported: dict[str, set[str]], near: dict[str, float]
) -> dict[int, float]:
    """Chunks of imported files with a score: they define what is imported, or what is named near the cursor."""
    if not imported:
        return {}
    names_of = {catalog.files[path]: names for path, names in imported.items()}
    rows = database.execute(
        "SELECT id, file, names FROM chunks WHERE file IN (SELECT value FROM json_each(?)) LIMIT ?",
        (json.dumps(list(names_of)), MOST_CANDIDATES),
    )
    scores: dict[int, float] = {}
    for chunk, file, names in rows:
        defined = set(names.split())
        score = sum(near.get(name.casefold(), 0.0) for name in defined) + 2.0 * len(names_of[file] & defined)
        if score > 0:
            scores[chunk] = 1.0 + score
    return scores


def _similar(database: sqlite3.Connection, path: str, near: dict[str, float], limit: int) -> dict[int, float]:
    """Chunks in the same kind of language that share the rarest words near the cursor, with a score below 1."""
    counts = dict(
        database.execute(
            "SELECT term, doc FROM vocabulary WHERE term IN (SELECT value FROM json_each(?))", (json.dumps(list(near)),)
        ).fetchall()
    )
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
    return {chunk: score / (1.0 + abs(score)) for chunk, score in rows}


def _shared(path: str, other: str) -> int:
    """How many leading folders two paths have in common."""
    count = 0
    for one, two in zip(path.split("/")[:-1], other.split("/")[:-1], strict=False):
        if one != two:
            break
        count += 1
    return count
