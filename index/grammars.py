"""The tree-sitter grammars: which wheel has one for a language, and which of our queries fit it.

Queries lie in `queries/`, one file of tree-sitter patterns each. Patterns with `@name` find definitions (the capture
around the name is the kind), `@wrapped` with `@wrapper` what belongs to a definition's start; `@reference`, `@import`
and `@comment` mark single nodes. Nothing is parsed here. Grammars are loaded on first use; a wheel that is missing or
that an older query does not fit only means that files of its language are cut by lines.
"""

import contextlib
import hashlib
import importlib
import re
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tree_sitter import Language, Query, QueryError

_DEFINING = re.compile(rb"@(name|wrapped)\b")
_OTHER = re.compile(rb"^(?!.*@(name|wrapped)\b)", re.DOTALL)
_COMMENT = re.compile(rb"@comment\b")
_FOLDER = Path(__file__).with_name("queries")


@dataclass(frozen=True)
class _Source:
    """A wheel's module, the function in it, and the names of query files."""

    module: str
    queries: tuple[str, ...]
    function: str = "language"


@dataclass(frozen=True)
class Grammar:
    """A loaded grammar. `definitions` has the patterns with names and wrappers, `mentions` all others, and `comments`
    those of them that mark comments."""

    language: Language
    definitions: Query
    mentions: Query
    comments: Query


_SOURCES = {
    "python": _Source("tree_sitter_python", ("python",)),
    "javascript": _Source("tree_sitter_javascript", ("javascript", "javascript_fields")),
    "javascriptreact": _Source("tree_sitter_javascript", ("javascript", "javascript_fields")),
    "typescript": _Source("tree_sitter_typescript", ("javascript", "typescript"), "language_typescript"),
    "typescriptreact": _Source("tree_sitter_typescript", ("javascript", "typescript"), "language_tsx"),
    "go": _Source("tree_sitter_go", ("go",)),
    "rust": _Source("tree_sitter_rust", ("rust",)),
    "java": _Source("tree_sitter_java", ("java",)),
    "c": _Source("tree_sitter_c", ("c",)),
    "cpp": _Source("tree_sitter_cpp", ("c", "cpp")),
    "csharp": _Source("tree_sitter_c_sharp", ("c_sharp",)),
    "ruby": _Source("tree_sitter_ruby", ("ruby",)),
    "php": _Source("tree_sitter_php", ("php",), "language_php"),
    "shellscript": _Source("tree_sitter_bash", ("bash",)),
    "markdown": _Source("tree_sitter_markdown", ("markdown",)),
    "json": _Source("tree_sitter_json", ("json",)),
    "jsonc": _Source("tree_sitter_json", ("json",)),
    "yaml": _Source("tree_sitter_yaml", ("yaml",)),
    "toml": _Source("tree_sitter_toml", ("toml",)),
    "html": _Source("tree_sitter_html", ("html",)),
    "css": _Source("tree_sitter_css", ("css",)),
}
LANGUAGES = tuple(_SOURCES)


@cache
def grammar(language: str) -> Grammar | None:
    """The grammar of an LSP language id; None where there is none here."""
    source = _SOURCES.get(language)
    if source is None:
        return None
    patterns = "".join((_FOLDER / f"{name}.scm").read_text(encoding="utf-8") for name in source.queries)
    try:
        module = importlib.import_module(source.module)
        loaded = Language(getattr(module, source.function)())
        return Grammar(loaded, *(_only(loaded, patterns, kind) for kind in (_DEFINING, _OTHER, _COMMENT)))
    except (ImportError, AttributeError, ValueError, QueryError):
        return None


@cache
def installed() -> str:
    """16 letters that are others where other wheels, or other versions of them, are installed: files are cut as they
    say."""
    found = []
    for module in sorted({source.module for source in _SOURCES.values()}):
        with contextlib.suppress(PackageNotFoundError):
            found.append(f"{module} {version(module)}")
    return hashlib.sha256("\n".join(found).encode()).hexdigest()[:16]


def _only(language: Language, patterns: str, kind: re.Pattern[bytes]) -> Query:
    """A query with the patterns in which `kind` is found."""
    whole, text = Query(language, patterns), patterns.encode()
    spans = [(whole.start_byte_for_pattern(n), whole.end_byte_for_pattern(n)) for n in range(whole.pattern_count)]
    chosen = [text[start:end] for start, end in spans if kind.search(text[start:end])]
    return Query(language, b"\n".join(chosen).decode())
