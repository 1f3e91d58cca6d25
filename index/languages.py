"""Which language a file is written in, and what its syntax tree says: definitions, references, imports.

Names are LSP language ids. Text goes in as UTF-8 bytes, and offsets come out in bytes. A language without a grammar
has no syntax here, and neither has a text that would cost too much: brackets nested deeper than `MAX_NESTING` (parsers
recurse, and end the process), a tree that takes longer than `PARSE_SECONDS`, or one that is deeper than `MAX_DEPTH` or
has as many bare tokens in a row (queries take the square of both, and no clock can stop them: with a progress callback,
tree-sitter 0.26.1 reads freed memory). What takes long or crashes all the same, `index.outlining` survives.
"""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, groupby
from pathlib import PurePosixPath
from typing import NamedTuple

from tree_sitter import Node, Parser, QueryCursor, Tree

from index.grammars import Grammar, grammar
from index.records import Kind

MAX_NESTING = 1000
MAX_DEPTH = 1000
MAX_IN_PROCESS = 64_000  # bytes; of more, definitions cost more than a server may give: a query holds all threads up
PARSE_SECONDS = 2.0  # of work: a busy machine does not count
MAX_SIGNATURE = 200  # characters
MAX_NAME = 200
MAX_SAID = 120  # characters
_BLOCK = 1 << 16  # bytes that the parser reads at once
_STEPS = dict.fromkeys(b"([{", 1) | dict.fromkeys(b")]}", -1)
_NO_BRACKETS = bytes(set(range(256)) - set(_STEPS))
_DEEP_YAML = re.compile(rb"^(?: |[-?:] ){200}", re.MULTILINE)  # from 250 levels on, its scanner ends the process
_KINDS: tuple[Kind, ...] = ("function", "class", "type", "variable", "method", "interface", "module", "section")
_MEMBERED = ("class", "interface")
_LINE_END = re.compile(rb"[\r\n]")
_QUOTES = "\"'`<>"
_DOCSTRING_STARTS = tuple(bytes([first]) for first in b"\"'rRuU")
_ATTRIBUTES = (b"#[", b"#![")  # of Rust, which stand between comments and what they describe
_MARKS = re.compile(r"[\s/*#!\\-]*(?:</?\w[^<>]*>)?")  # of comments, and the tag that C# begins them with
_END = re.compile(r"(?:\*/|</\w+>)\s*$")
_READ = 1000  # bytes of a docstring or of comments in which words are looked for

_Span = tuple[int, int]
_Comments = tuple[int, int, int]  # where a block of them starts, and from where to where in it words may stand


class Definition(NamedTuple):
    """A definition in bytes of the UTF-8 text. `start` includes decorators and `export`; `doc_start` also the comments
    right above; `signature` is one line. `said` is the first line with words of what describes it, which starts at
    `said_start`: its docstring in Python, or else those comments; "" where there is neither."""

    kind: Kind
    name: str
    signature: str
    start: int
    end: int
    name_start: int
    name_end: int
    doc_start: int
    said: str
    said_start: int


class Use(NamedTuple):
    """A name that is used, or a module that is imported, and the byte where it stands."""

    name: str
    start: int


@dataclass(frozen=True)
class Syntax:
    """What one parse yields; each part in the order of the text, outer definitions before inner."""

    definitions: tuple[Definition, ...] = ()
    references: tuple[Use, ...] = ()
    imports: tuple[Use, ...] = ()


_SUFFIXES = {
    "py": "python", "pyi": "python", "pyw": "python",
    "js": "javascript", "mjs": "javascript", "cjs": "javascript", "jsx": "javascriptreact",
    "ts": "typescript", "mts": "typescript", "cts": "typescript", "tsx": "typescriptreact",
    "md": "markdown", "markdown": "markdown", "mdx": "markdown", "rst": "restructuredtext", "tex": "latex",
    "c": "c", "h": "c", "cc": "cpp", "cpp": "cpp", "cxx": "cpp", "hpp": "cpp", "hh": "cpp", "hxx": "cpp",
    "cs": "csharp", "go": "go", "rs": "rust", "java": "java", "kt": "kotlin", "kts": "kotlin", "scala": "scala",
    "swift": "swift", "rb": "ruby", "rake": "ruby", "gemspec": "ruby", "php": "php", "pl": "perl", "lua": "lua",
    "r": "r", "jl": "julia", "dart": "dart", "zig": "zig",
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


def has_grammar(language: str) -> bool:
    """True if files of this language are parsed here."""
    return grammar(language) is not None


def parse(language: str, data: bytes) -> Tree | None:
    """The syntax tree of UTF-8 `data`; None where that cannot be had (see above). Broken code gives a tree too."""
    loaded = grammar(language)
    if loaded is None or nesting(data) > MAX_NESTING or (language == "yaml" and _DEEP_YAML.search(data)):
        return None
    end = time.thread_time() + PARSE_SECONDS
    try:
        return Parser(loaded.language).parse(
            lambda offset, _: data[offset : offset + _BLOCK],
            progress_callback=lambda _, __: time.thread_time() > end,
        )
    except ValueError:  # stopped by the clock
        return None


def definitions(language: str, data: bytes) -> list[Definition]:
    """Every definition in UTF-8 `data`, outer before inner, in the order of the text; [] without a tree. What the text
    mentions is not looked for: that takes ten times as long where calls are chained."""
    if (found := _queried(language, data)) is None:
        return []
    loaded, root = found
    comments = QueryCursor(loaded.comments).captures(root).get("comment", [])
    return list(_definitions(QueryCursor(loaded.definitions), root, data, comments))


def syntax(language: str, data: bytes) -> Syntax:
    """Everything that the queries find in UTF-8 `data`; nothing where that is not to be had (see above)."""
    if (found := _queried(language, data)) is None:
        return Syntax()
    loaded, root = found
    mentions = QueryCursor(loaded.mentions).captures(root)
    defined = _definitions(QueryCursor(loaded.definitions), root, data, mentions.get("comment", []))
    return Syntax(defined, _mentions(mentions.get("reference", []), data), _mentions(mentions.get("import", []), data))


def _queried(language: str, data: bytes) -> tuple[Grammar, Node] | None:
    """The queries, and the tree to ask; None where that would cost too much."""
    loaded, tree = grammar(language), parse(language, data)
    return None if loaded is None or tree is None or _is_costly(tree.root_node) else (loaded, tree.root_node)


def nesting(data: bytes) -> int:
    """How deep brackets are nested at the deepest place, those in strings and comments included."""
    steps = map(_STEPS.__getitem__, data.translate(None, _NO_BRACKETS))
    return max(accumulate(steps, lambda depth, step: max(depth + step, 0)), default=0)


def _is_costly(root: Node) -> bool:
    """Whether a query would take long: a node lies more than `MAX_DEPTH` deep, or as many tokens stand side by side
    with no node between them. Looks only where there are enough nodes for that."""
    waiting = [(root, 0)]
    while waiting:
        node, depth = waiting.pop()
        if depth > MAX_DEPTH or (
            node.child_count - node.named_child_count > MAX_DEPTH and _longest_run(node) > MAX_DEPTH
        ):
            return True
        waiting += [(child, depth + 1) for child in node.children if child.descendant_count > MAX_DEPTH - depth]
    return False


def _longest_run(node: Node) -> int:
    """How many tokens stand side by side in a node at most."""
    return max(
        (len(list(run)) for named, run in groupby(node.children, lambda child: child.is_named) if not named), default=0
    )


def _mentions(nodes: list[Node], data: bytes) -> tuple[Use, ...]:
    spans = sorted({(node.start_byte, node.end_byte) for node in nodes})
    found = ((data[start:end].decode("utf-8", "replace").strip(_QUOTES), start) for start, end in spans)
    return tuple(Use(name, start) for name, start in found if 0 < len(name) <= MAX_NAME)


def _definitions(cursor: QueryCursor, root: Node, data: bytes, comments: list[Node]) -> tuple[Definition, ...]:
    wrapped: dict[_Span, _Span] = {}
    named: list[tuple[int, Kind, Node, Node]] = []
    for pattern, captures in cursor.matches(root):
        if "wrapped" in captures:
            inner, outer = _span(captures["wrapped"][0]), _span(captures["wrapper"][0])
            if inner != outer:
                wrapped[inner] = outer
            continue
        for kind in _KINDS:
            if kind in captures:
                pairs = zip(captures[kind], captures["name"], strict=False)
                named += [(pattern, kind, node, name) for node, name in pairs]
    named.sort(key=lambda match: match[0])
    above = _comments_above(comments, data)
    found: dict[int, Definition] = {}  # by the start of the name: patterns overlap, the first in the query wins
    for _, kind, node, name in named:
        place = _span(name)
        if place[0] != place[1] and place[0] not in found:
            found[place[0]] = _definition(kind, node, place, wrapped, above, data)
    ordered = sorted(found.values(), key=lambda each: (each.start, -each.end, each.name_start))
    return tuple(_with_methods(ordered))


def _definition(
    kind: Kind, node: Node, name: _Span, wrapped: dict[_Span, _Span], above: dict[int, _Comments], data: bytes
) -> Definition:
    body = node.child_by_field_name("body")
    start, end = outer = _span(node)
    while outer in wrapped:
        outer = wrapped[outer]
    end_of_signature = body.start_byte if body is not None else min(end, start + MAX_SIGNATURE)
    signature = data[start:end_of_signature].decode("utf-8", "replace")
    if body is None:
        signature = signature.split("\n")[0]
    text = _LINE_END.split(data[name[0] : name[1]], maxsplit=1)[0]
    line_start = data.rfind(b"\n", 0, outer[0]) + 1
    alone = not data[line_start : outer[0]].strip()
    comments = above.get(line_start) if alone else None
    said, said_start = _said(body, comments, data)
    return Definition(
        kind=kind,
        name=text.decode("utf-8", "replace").strip(_QUOTES)[:MAX_NAME],
        signature=" ".join(signature.split())[:MAX_SIGNATURE],
        start=outer[0],
        end=outer[1],
        name_start=name[0],
        name_end=name[0] + len(text),
        doc_start=comments[0] if comments else outer[0],
        said=said,
        said_start=said_start,
    )


def _said(body: Node | None, comments: _Comments | None, data: bytes) -> tuple[str, int]:
    """The first line of what describes a definition, and the byte where that starts. No language but Python has a
    string as a statement here."""
    if body is not None and data.startswith(_DOCSTRING_STARTS, start := body.start_byte):
        string = _first(_first(body, "expression_statement"), "string")
        if string is not None:
            literal = data[start : min(string.end_byte, start + _READ)].lstrip(b"rRuU")
            if literal.startswith((b"'", b'"')):  # one of bytes or with places to fill in is no docstring
                return _first_words(literal.strip(b"'\"")), start
    if comments is None:
        return "", 0
    _, start, end = comments
    return _first_words(data[start : min(end, start + _READ)]), start


def _first(node: Node | None, kind: str) -> Node | None:
    """What a node begins with, if that is a node of this kind."""
    child = node.named_child(0) if node is not None and node.named_child_count else None
    return child if child is not None and child.type == kind else None


def _first_words(text: bytes) -> str:
    """The first line that has words, without marks of comments around it."""
    for line in text.decode("utf-8", "replace").splitlines():
        words = _END.sub("", _MARKS.sub("", line, count=1)).strip()
        if any(map(str.isalnum, words)):
            return words[:MAX_SAID]
    return ""


def _comments_above(comments: list[Node], data: bytes) -> dict[int, _Comments]:
    """Blocks of comments, by the start of the line that follows each without a gap."""
    found: dict[int, _Comments] = {}
    for start, end in sorted(_span(node) for node in comments):
        line_start = data.rfind(b"\n", 0, start) + 1
        if data[line_start:start].strip():
            continue  # behind code
        end -= data[start:end].endswith(b"\n")  # some grammars count the line's end in
        following = data.find(b"\n", end) + 1
        if following and not data[end:following].strip():
            first, words, last = found.pop(line_start, (start, start, start))
            if not data.startswith(_ATTRIBUTES, start):
                words, last = words if words < last else start, end
            found[following] = first, words, last
    return found


def _with_methods(ordered: list[Definition]) -> Iterator[Definition]:
    """Functions right inside a class are methods."""
    around: list[Definition] = []
    for definition in ordered:
        while around and around[-1].end <= definition.start:
            around.pop()
        if definition.kind == "function" and around and around[-1].kind in _MEMBERED:
            definition = definition._replace(kind="method")
        around.append(definition)
        yield definition


def _span(node: Node) -> _Span:
    return node.start_byte, node.end_byte
