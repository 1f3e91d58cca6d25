"""Chunks cover a text once and in order, follow its definitions, and name them."""

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.chunks import MAX_CHARACTERS, MAX_HEADER, lines_of, outline
from index.grammars import grammar
from index.languages import MAX_SAID

PATHS = ("a.py", "a.js", "a.jsx", "a.ts", "a.tsx", "a.go", "a.rs", "A.java", "a.c", "a.cpp", "a.cs", "a.rb", "a.php",
         "a.sh", "a.md", "a.json", "a.yaml", "a.toml", "a.html", "a.css", "a.txt", "Makefile")  # fmt: skip
FRAGMENTS = st.sampled_from(
    [
        "def f(a):\n",
        "    return 1\r\n",
        "class A:\n",
        "    x = 1\n",
        "\r",
        "\f",
        "\n",
        "\t\n",
        "\u2028",
        "👩‍💻",
        "é" * 9,
        "async def g(\n",
        "@deco\n",
        "    def m(self): pass\n",
        "function f() {\n",
        "}\n",
        "const f = () => 1, g = () => 2;",
        "export class B { m() {} }\r\n",
        "interface I { m(): void }\n",
        "enum E { A }",
        "# Head\n",
        "## Sub\n",
        "```\n",
        "x = 3\n",
        "\x85",
        "\x0b",
        "\x00",
        '"""',
        "y" * 2000,
        "\n\n",
        "    " * 40 + "deep\n",
        "if (x) {",
        ");",
        "\ufeff",
        "// comment\n",
        "func (s *S) Run() {\n",
        "impl A for B {\n",
        "key: value\n",
        "- item\n",
        "[table]\n",
        '{"key": {"a": [1]}}',
        '<div id="a">',
        "</div>\n",
        "<?php\n",
        "end\n",
        "#include <a.h>\n",
        "Title\n===\n",
    ]
)
TEXTS = st.one_of(st.text(max_size=300), st.lists(FRAGMENTS, max_size=60).map("".join))


@given(path=st.sampled_from(PATHS), text=TEXTS)
@settings(max_examples=300, deadline=None)
def test_every_line_that_is_not_blank_lies_in_exactly_one_chunk(path: str, text: str) -> None:
    lines = lines_of(text)
    assert "".join(lines) == text
    covered: list[int] = []
    for chunk in outline(path, text).chunks:
        assert chunk.start_line <= chunk.end_line
        assert chunk.text == "".join(lines[chunk.start_line : chunk.end_line + 1])
        covered += range(chunk.start_line, chunk.end_line + 1)
    assert covered == sorted(set(covered))
    assert {number for number, line in enumerate(lines) if line.strip()} <= set(covered)


@given(path=st.sampled_from(PATHS), text=TEXTS)
@settings(max_examples=200, deadline=None)
def test_a_symbol_points_at_its_name(path: str, text: str) -> None:
    lines = lines_of(text)
    for symbol in outline(path, text).symbols:
        assert symbol.name in lines[symbol.line][symbol.column : symbol.end_column]


@given(text=TEXTS)
@settings(max_examples=100, deadline=None)
def test_a_chunk_of_several_lines_is_never_too_big(text: str) -> None:
    for chunk in outline("a.py", text).chunks:
        assert len(chunk.text) <= MAX_CHARACTERS or chunk.start_line == chunk.end_line


def test_columns_count_code_points_and_lines_do_not_end_at_form_feeds() -> None:
    symbols = outline("a.py", "x = '👍👍'; \f y = 1\nclass Ä: pass\nif x: 名前 = 2\ndef ünder_é(): pass\n").symbols
    assert [(symbol.name, symbol.line, symbol.column, symbol.end_column) for symbol in symbols] == [
        ("x", 0, 0, 1),
        ("y", 0, 12, 13),
        ("Ä", 1, 6, 7),
        ("ünder_é", 3, 4, 11),
    ]


def test_a_big_class_is_cut_into_methods_that_say_where_they_belong() -> None:
    methods = "\n".join(f"    def method_{n}(self) -> int:\n" + "        work()\n" * 80 for n in range(4))
    chunks = outline("a.py", f"class Engine(Base):\n    '''Runs.'''\n\n{methods}").chunks
    found = {chunk.name: chunk for chunk in chunks}
    assert set(found) == {"Engine", "method_0", "method_1", "method_2", "method_3"}
    assert found["method_2"].scope == "Engine"
    assert found["method_2"].header == "class Engine(Base):\n  Runs."
    assert found["method_2"].kind == "method"
    assert found["Engine"].header == ""


def test_the_later_parts_of_a_long_function_repeat_its_signature() -> None:
    chunks = outline("a.py", "def long(a,\n         b):\n" + "    step()\n" * 400).chunks
    assert len(chunks) > 2
    assert {chunk.name for chunk in chunks} == {"long"}
    assert chunks[0].header == ""
    assert {chunk.header for chunk in chunks[1:]} == {"def long(a, b):"}


def test_the_first_line_of_a_docstring_stands_below_its_signature_where_the_text_does_not_show_it() -> None:
    method = (
        '    def run(self):\n        """\n        Goes on.\n\n        Until the end.\n        """\n'
        + "        go()\n" * 200
    )
    chunks = outline("a.py", f"class Engine:\n    '''Burns oil.'''\n\n{method}").chunks
    assert [chunk.name for chunk in chunks] == ["Engine", "run", "run"]
    assert [chunk.header for chunk in chunks] == [
        "",
        "class Engine:\n  Burns oil.",
        "class Engine:\n  Burns oil.\n  def run(self):\n    Goes on.",
    ]


@pytest.mark.parametrize(
    ("path", "above", "definition"),
    [
        ("a.js", "/**\n * It does.\n * @param a what\n */\n", "function f(a) {"),
        ("a.ts", "// It does.\n// And more.\n", "export class F {"),
        ("a.go", "// It does.\n", "func F() {"),
        ("a.rs", "#[cfg(unix)]\n/// It does.\n#[test]\n", "fn f() {"),
        ("A.java", "/** It does. */\n@Ann\n", "class F {"),
        ("a.cs", "/// <summary>\n/// It does.\n/// </summary>\n", "class F {"),
        ("a.cs", "/// <summary>It does.</summary>\n", "class F {"),
        ("a.c", "/* -----\n   It does. */\n", "int f(int a) {"),
        ("a.rb", "# -----\n# It does.\n# -----\n", "def f"),
        ("a.sh", "# It does.\n", "f() {"),
        ("a.py", "# It does.\n", "def f():"),
    ],
)
def test_later_parts_repeat_what_the_comment_above_a_definition_says(path: str, above: str, definition: str) -> None:
    end = {"def f": "end\n", "def f():": ""}.get(definition, "}\n")
    chunks = outline(path, f"{above}{definition}\n" + "    int step;\n" * 300 + end).chunks
    assert chunks[0].header == ""
    assert {chunk.header.split("\n")[-1] for chunk in chunks[1:]} == {"  It does."}


def test_a_comment_longer_than_a_chunk_says_its_first_line_to_what_it_stands_above() -> None:
    chunks = outline("a.go", "// It does.\n" + "// More.\n" * 300 + "func F() {\n\tgo()\n}\n").chunks
    assert "func F" in chunks[-1].text
    assert [chunk.header for chunk in chunks] == ["", *["  It does."] * (len(chunks) - 1)]


def test_what_is_said_leaves_room_for_every_signature_and_goes_to_the_innermost_first() -> None:
    def opening(name: str, indent: str) -> str:
        return f'{indent}class {name * 100}:\n{indent}    """{name.lower() * 300}"""\n'

    header = outline("a.py", opening("A", "") + opening("B", "    ") + "        step()\n" * 300).chunks[-1].header
    assert len(header) <= MAX_HEADER
    assert header.split("\n") == [f"class {'A' * 100}:", f"  class {'B' * 100}:", "    " + "b" * MAX_SAID]


def test_decorators_and_export_stay_with_their_definition() -> None:
    body = "    step()\n" * 80
    python = outline("a.py", f"import os\n\n@cache\ndef f():\n{body}\n@cache\ndef g():\n{body}").chunks
    assert [chunk.text.split("\n")[0] for chunk in python if chunk.name] == ["@cache", "@cache"]
    script = outline("a.ts", "const a = 1;\n\nexport async function f() {\n" + "  step();\n" * 80 + "}\n").chunks
    assert script[-1].text.startswith("export async function f")


def test_small_neighbours_are_one_chunk() -> None:
    chunks = outline("a.py", "A = 1\nB = 2\n\ndef f():\n    return A\n\n\ndef g():\n    return B\n").chunks
    assert len(chunks) == 1


@pytest.mark.parametrize("path", ["a.js", "a.ts", "a.tsx"])
def test_the_usual_javascript_definitions_are_found(path: str) -> None:
    text = (
        "export class A extends B {\n  constructor(x) {}\n  bar = () => 1;\n}\n"
        "const arrow = async () => {};\nlet plain = 3;\nexport default function g() {}\n"
        "module.exports.h = function () {};\n"
    )
    found = {(symbol.scope, symbol.name, symbol.kind) for symbol in outline(path, text).symbols}
    assert found == {
        ("", "A", "class"),
        ("A", "constructor", "method"),
        ("A", "bar", "method"),
        ("", "arrow", "function"),
        ("", "plain", "variable"),
        ("", "g", "function"),
        ("", "h", "function"),
    }


def test_typescript_types_are_found() -> None:
    text = "export interface I { m(): void }\ntype T = string;\nenum E { A }\nnamespace N { export function f() {} }\n"
    found = {(symbol.scope, symbol.name, symbol.kind) for symbol in outline("a.ts", text).symbols}
    assert found == {
        ("", "I", "interface"),
        ("I", "m", "method"),
        ("", "T", "type"),
        ("", "E", "type"),
        ("", "N", "module"),
        ("N", "f", "function"),
    }


def test_markdown_is_cut_at_headings_outside_code_fences() -> None:
    text = "# Title\n\n" + "word " * 200 + "\n\n## Part\n\n```\n# no heading\n```\n" + "word " * 200 + "\n"
    found = outline("README.md", text)
    assert [(symbol.scope, symbol.name, symbol.kind) for symbol in found.symbols] == [
        ("", "Title", "section"),
        ("Title", "Part", "section"),
    ]
    assert [(chunk.name, chunk.header) for chunk in found.chunks] == [("Title", ""), ("Part", "# Title")]


def test_text_without_a_grammar_is_cut_at_blank_lines() -> None:
    paragraph = "line of text\n" * 100
    chunks = outline("notes.txt", f"{paragraph}\n{paragraph}\n{paragraph}").chunks
    assert [chunk.start_line for chunk in chunks] == [0, 101, 202]


def test_without_the_wheel_of_its_grammar_a_language_is_cut_by_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "fn erupt() {\n    lava();\n}\n"
    grammar.cache_clear()
    monkeypatch.setitem(sys.modules, "tree_sitter_rust", None)
    found = outline("a.rs", text)
    grammar.cache_clear()
    assert [(chunk.name, chunk.text) for chunk in found.chunks] == [("", text)]
    assert found.symbols == ()
