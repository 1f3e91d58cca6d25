"""Which language a file is written in, and what counts as a definition there.

Names are LSP language ids. A language with a grammar is cut along its definitions; any other is cut by lines. Grammars
are loaded on first use, and a missing grammar wheel only means cutting by lines.
"""

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import PurePosixPath

from tree_sitter import Language, Node, Parser, Query, QueryCursor, Tree

from index.records import Kind


@dataclass(frozen=True)
class Definition:
    """A definition in bytes of the UTF-8 text. `start` includes decorators and `export`; `signature` is one line."""

    kind: Kind
    name: str
    signature: str
    start: int
    end: int
    name_start: int
    name_end: int


_PYTHON = """
(function_definition name: (identifier) @name) @function
(class_definition name: (identifier) @name) @class
(type_alias_statement left: (type (identifier) @name)) @type
(module (expression_statement (assignment left: (identifier) @name)) @variable)
(class_definition body: (block (expression_statement (assignment left: (identifier) @name)) @variable))
"""
_JAVASCRIPT = """
(function_declaration name: (_) @name) @function
(generator_function_declaration name: (_) @name) @function
(class_declaration name: (_) @name) @class
(class_body (method_definition name: (_) @name) @method)
(lexical_declaration (variable_declarator name: (identifier) @name
  value: [(arrow_function) (function_expression) (generator_function)])) @function
(variable_declaration (variable_declarator name: (identifier) @name
  value: [(arrow_function) (function_expression) (generator_function)])) @function
(program (lexical_declaration (variable_declarator name: (identifier) @name)) @variable)
(program (variable_declaration (variable_declarator name: (identifier) @name)) @variable)
(export_statement (lexical_declaration (variable_declarator name: (identifier) @name)) @variable)
(assignment_expression left: (member_expression property: (property_identifier) @name)
  right: [(arrow_function) (function_expression)]) @function
(object (pair key: (property_identifier) @name value: [(arrow_function) (function_expression)]) @method)
(object (method_definition name: (_) @name) @method)
"""
_JAVASCRIPT_FIELDS = """
(class_body (field_definition property: (_) @name value: [(arrow_function) (function_expression)]) @method)
(class_body (field_definition property: (_) @name) @variable)
"""
_TYPESCRIPT_FIELDS = """
(abstract_class_declaration name: (_) @name) @class
(interface_declaration name: (_) @name) @interface
(type_alias_declaration name: (_) @name) @type
(enum_declaration name: (_) @name) @type
(internal_module name: (_) @name) @module
(module name: (_) @name) @module
(function_signature name: (_) @name) @function
(method_signature name: (_) @name) @method
(abstract_method_signature name: (_) @name) @method
(class_body (public_field_definition name: (_) @name value: [(arrow_function) (function_expression)]) @method)
(class_body (public_field_definition name: (_) @name) @variable)
"""


@dataclass(frozen=True)
class Grammar:
    """Where a tree-sitter grammar comes from, the query that finds definitions, and the nodes that wrap them."""

    module: str
    function: str
    query: str
    wrappers: frozenset[str]


_TYPESCRIPT = _JAVASCRIPT + _TYPESCRIPT_FIELDS
_WRAPPERS = frozenset({"export_statement", "ambient_declaration", "expression_statement"})
_GRAMMARS = {
    "python": Grammar("tree_sitter_python", "language", _PYTHON, frozenset({"decorated_definition"})),
    "javascript": Grammar("tree_sitter_javascript", "language", _JAVASCRIPT + _JAVASCRIPT_FIELDS, _WRAPPERS),
    "typescript": Grammar("tree_sitter_typescript", "language_typescript", _TYPESCRIPT, _WRAPPERS),
    "typescriptreact": Grammar("tree_sitter_typescript", "language_tsx", _TYPESCRIPT, _WRAPPERS),
}
_GRAMMARS["javascriptreact"] = _GRAMMARS["javascript"]

_SUFFIXES = {
    "py": "python", "pyi": "python", "pyw": "python",
    "js": "javascript", "mjs": "javascript", "cjs": "javascript", "jsx": "javascriptreact",
    "ts": "typescript", "mts": "typescript", "cts": "typescript", "tsx": "typescriptreact",
    "md": "markdown", "markdown": "markdown", "mdx": "markdown", "rst": "restructuredtext", "tex": "latex",
    "c": "c", "h": "c", "cc": "cpp", "cpp": "cpp", "cxx": "cpp", "hpp": "cpp", "hh": "cpp", "cs": "csharp",
    "go": "go", "rs": "rust", "java": "java", "kt": "kotlin", "kts": "kotlin", "scala": "scala", "swift": "swift",
    "rb": "ruby", "php": "php", "pl": "perl", "lua": "lua", "r": "r", "jl": "julia", "dart": "dart", "zig": "zig",
    "hs": "haskell", "ml": "ocaml", "ex": "elixir", "exs": "elixir", "erl": "erlang", "clj": "clojure",
    "sh": "shellscript", "bash": "shellscript", "zsh": "shellscript", "ps1": "powershell", "bat": "bat",
    "sql": "sql", "html": "html", "htm": "html", "vue": "vue", "svelte": "svelte", "css": "css", "scss": "scss",
    "less": "less", "json": "json", "jsonc": "jsonc", "yaml": "yaml", "yml": "yaml", "toml": "toml", "ini": "ini",
    "xml": "xml", "proto": "proto", "tf": "terraform", "dockerfile": "dockerfile", "mk": "makefile",
}  # fmt: skip
_NAMES = {"makefile": "makefile", "dockerfile": "dockerfile", "gnumakefile": "makefile"}
FAMILIES = (
    frozenset({"javascript", "javascriptreact", "typescript", "typescriptreact", "vue", "svelte"}),
    frozenset({"c", "cpp"}),
)


def language_of(path: str) -> str:
    """The LSP language id that the name suggests; "plaintext" where it suggests none."""
    name = PurePosixPath(path).name.casefold()
    return _NAMES.get(name) or _SUFFIXES.get(name.rpartition(".")[2], "plaintext")


def family_of(language: str) -> frozenset[str]:
    """The languages whose code may stand in for `language`'s, itself included."""
    return next((family for family in FAMILIES if language in family), frozenset({language}))


@cache
def _loaded(language: str) -> tuple[Language, Query, frozenset[str]] | None:
    grammar = _GRAMMARS.get(language)
    if grammar is None:
        return None
    try:
        module = importlib.import_module(grammar.module)
    except ImportError:
        return None
    loaded = Language(getattr(module, grammar.function)())
    return loaded, Query(loaded, grammar.query), grammar.wrappers


def has_grammar(language: str) -> bool:
    """True if files of this language are parsed here."""
    return _loaded(language) is not None


def parse(language: str, data: bytes) -> Tree | None:
    """The syntax tree of UTF-8 `data`; None where the language has no grammar here. Broken code gives a tree too."""
    loaded = _loaded(language)
    return Parser(loaded[0]).parse(data) if loaded else None


def definitions(language: str, data: bytes) -> list[Definition]:
    """Every definition in UTF-8 `data`, outer before inner, in the order of the text; [] without a grammar."""
    loaded, tree = _loaded(language), parse(language, data)
    if loaded is None or tree is None:
        return []
    _, query, wrappers = loaded
    found: dict[int, Definition] = {}  # by the start of the name: patterns overlap, the first in the query wins
    for _, kind, node, name in sorted(_captures(query, tree.root_node), key=lambda match: match[0]):
        if name.start_byte == name.end_byte or name.start_byte in found:
            continue
        found[name.start_byte] = _definition(kind, node, name, wrappers, data)
    return sorted(found.values(), key=lambda definition: (definition.start, -definition.end, definition.name_start))


def _captures(query: Query, root: Node) -> Iterator[tuple[int, Kind, Node, Node]]:
    kinds: tuple[Kind, ...] = ("function", "class", "type", "variable", "method", "interface", "module")
    for pattern, captures in QueryCursor(query).matches(root):
        for kind in kinds:
            for node, name in zip(captures.get(kind, ()), captures["name"], strict=False):
                yield pattern, kind, node, name


def _definition(kind: Kind, node: Node, name: Node, wrappers: frozenset[str], data: bytes) -> Definition:
    body = node.child_by_field_name("body")
    outer = node
    while outer.parent is not None and outer.parent.type in wrappers:
        outer = outer.parent
    end_of_signature = body.start_byte if body is not None else min(node.end_byte, node.start_byte + 200)
    first_line = data[node.start_byte : end_of_signature].decode("utf-8", "replace")
    if body is None:
        first_line = first_line.split("\n")[0]
    if kind == "function" and _in_class(node):
        kind = "method"
    return Definition(
        kind=kind,
        name=data[name.start_byte : name.end_byte].decode("utf-8", "replace").strip("\"'`"),
        signature=" ".join(first_line.split())[:200],
        start=outer.start_byte,
        end=outer.end_byte,
        name_start=name.start_byte,
        name_end=name.end_byte,
    )


def _in_class(node: Node) -> bool:
    """True for a Python function whose nearest definition is a class."""
    parent = node.parent
    while parent is not None and parent.type in ("decorated_definition", "block"):
        parent = parent.parent
    return parent is not None and parent.type == "class_definition"
