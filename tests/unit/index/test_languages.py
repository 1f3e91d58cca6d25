"""Every language of the index has a grammar whose queries find definitions, references and imports."""

from dataclasses import replace

import pytest

from index.chunks import outline
from index.grammars import LANGUAGES, grammar
from index.languages import MAX_NESTING, definitions, has_grammar, language_of, nesting, parse, syntax

SAMPLES = {
    "a.py": ("from .a import b as c\n# Doc\n@deco\nclass A(Base):\n    def m(self): return walk(1)\n",
             ["class A", "method m"], ["b", "deco", "Base", "walk"], [".a"]),
    "a.js": ("const x = require('fs');\nexport class A extends B { m() { go(); } }\nconst f = () => 1, g = () => 2;\n",
             ["variable x", "class A", "method m", "function f", "function g"], ["require", "B", "go"], ["fs"]),
    "a.ts": ("import { A } from './a';\ninterface I { m(): Foo }\nenum E { A }\n",
             ["interface I", "method m", "type E"], ["A", "I", "Foo"], ["./a"]),
    "a.tsx": ("export function View() { return <A b={load()}/>; }\n", ["function View"], ["load"], []),
    "a.go": ('import "fmt"\n\n// Doc\ntype S struct{}\n\ntype (\n\tA int\n)\n\nfunc (s *S) Run() { fmt.Println() }\n',
             ["class S", "type A", "method Run"], ["S", "A", "int", "S", "Println"], ["fmt"]),
    "a.rs": ("use std::io;\npub struct P;\nimpl P {\n    fn new() { helper(); }\n}\nfn free() {}\n",
             ["class P", "class P", "method new", "function free"], ["P", "P", "helper"], ["std::io"]),
    "A.java": ("import java.util.List;\nclass A extends B { int m() { return go(); } }\ninterface I {}\n",
               ["class A", "method m", "interface I"], ["B", "go"], ["java.util.List"]),
    "a.c": ('#include "a.h"\n#define MAX 3\nstruct s { int a; };\nint add(int a)\n{\n  return go(a);\n}\n',
            ["variable MAX", "class s", "function add"], ["s", "go"], ["a.h"]),
    "a.cpp": ("namespace n {\ntemplate <class T>\nclass V {\n  int size() const { return go(); }\n};\n}\n"
              "int V::other() { return 1; }\n",
              ["module n", "class V", "method size", "method other"], ["T", "V", "go"], []),
    "a.cs": ("using System.Text;\nnamespace N {\n  class A : B { void M() { Go(); } }\n}\n",
             ["module N", "class A", "method M"], ["B", "Go"], ["System.Text"]),
    "a.rb": ("require 'json'\nmodule M\n  class A < B\n    def run; go(1); end\n  end\nend\n",
             ["module M", "class A", "method run"], ["require", "B", "go"], ["json"]),
    "a.php": ("<?php\nuse Foo\\Bar;\nclass A extends B { function m() { go(); } }\nfunction f() {}\n",
              ["class A", "method m", "function f"], ["B", "go"], ["Foo\\Bar"]),
    "a.sh": ("source ./lib.sh\nNAME=1\nrun() {\n  go 1\n}\n", ["variable NAME", "function run"], ["source", "go"],
             ["./lib.sh"]),
    "a.md": ("# Title\n\n```\n# no\n```\n\n## Part\n", ["section Title", "section Part"], [], []),
    "a.json": ('{"name": 1, "scripts": {"build": {"a": 1}, "t": 2}}', ["section name", "section scripts",
               "section build"], [], []),
    "a.yaml": ("on: push\njobs:\n  build:\n    os: x\n", ["section on", "section jobs", "section build"], [], []),
    "a.toml": ('title = "x"\n[tool.ruff]\nx = 1\n[[a]]\ny = 2\n', ["variable title", "section tool.ruff", "section a"],
               [], []),
    "a.html": ('<div id="main"><p>hi</p></div>\n', ["section main"], [], []),
    "a.css": ('@import "x.css";\n.a > b { color: red; }\n', ["section .a > b"], [], ["x.css"]),
}  # fmt: skip


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_grammar_loads_with_its_queries(language: str) -> None:
    assert has_grammar(language)


@pytest.mark.parametrize("path", SAMPLES)
def test_definitions_references_and_imports_come_from_one_pass(path: str) -> None:
    text, definitions, references, imports = SAMPLES[path]
    found = syntax(language_of(path), text.encode())
    assert [f"{each.kind} {each.name}" for each in found.definitions] == definitions
    assert [each.name for each in found.references] == references
    assert [each.name for each in found.imports] == imports


@pytest.mark.parametrize("path", SAMPLES)
def test_definitions_alone_are_the_same_and_ask_for_no_mention(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    language, data = language_of(path), SAMPLES[path][0].encode()
    expected = list(syntax(language, data).definitions)
    loaded = grammar(language)
    assert loaded is not None
    monkeypatch.setattr("index.languages.grammar", lambda _: replace(loaded, mentions=None))
    assert definitions(language, data) == expected


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a.go", "import 1\n\n// It does.\n// Well.\nfunc F() {\n" + "\tstep()\n" * 120 + "}\n"),
        ("A.java", "import a;\n\n/** It does.\n * Well. */\n@Ann\nclass A {\n" + "  int a;\n" * 120 + "}\n"),
        ("a.rs", "use a;\n\n/// It does.\n#[test]\nfn f() {\n" + "    step();\n" * 90 + "}\n"),
        ("a.rb", "require 'a'\n\n# It does.\nclass A\n" + "  step 1\n" * 120 + "end\n"),
    ],
)
def test_comments_right_above_a_definition_belong_to_its_chunk(path: str, text: str) -> None:
    chunk = next(chunk for chunk in outline(path, text).chunks if chunk.name)
    assert chunk.start_line == 2
    assert "It does." in chunk.text


def test_a_comment_behind_code_or_above_a_gap_belongs_to_nothing() -> None:
    found = syntax("python", b"x = 1  # behind\ndef f(): pass\n\n# alone\n\ndef g(): pass\n").definitions
    assert [each.start == each.doc_start for each in found] == [True, True, True]


def test_names_that_share_a_declaration_stand_beside_each_other() -> None:
    symbols = outline("a.js", "const f = () => 1, g = () => 2;\n").symbols
    assert [(symbol.scope, symbol.name) for symbol in symbols] == [("", "f"), ("", "g")]


@pytest.mark.parametrize(
    ("path", "piece"),
    [
        ("a.py", "["),
        ("a.js", "{a:"),
        ("a.ts", "a=>("),
        ("a.json", "["),
        ("a.rs", "m!("),
        ("a.c", "{("),
        ("a.html", "<a>"),
    ],
)
@pytest.mark.timeout(60)
def test_a_text_that_is_nested_without_end_is_cut_by_lines_in_time(path: str, piece: str) -> None:
    text = f"first\n\n{piece * (900_000 // len(piece))}\n"
    chunks = outline(path, text).chunks
    assert chunks[-1].end_line == 2


def test_nesting_counts_what_is_open_at_once() -> None:
    assert nesting(b"") == 0
    assert nesting(b"(a[b]{c}) (d)") == 2
    assert nesting(b"))))" + b"(" * 7) == 7
    assert parse("python", b"(" * (MAX_NESTING + 1)) is None


@pytest.mark.parametrize("text", ["- " * 300, "\n".join(" " * depth + "a:" for depth in range(300))])
def test_yaml_that_would_end_the_process_is_not_parsed(text: str) -> None:
    assert parse("yaml", text.encode()) is None
    assert parse("yaml", b"- - a: b\n") is not None


def test_comments_do_not_make_a_definition_longer_than_it_is() -> None:
    found = syntax("go", b"package a\n\n// Doc\nfunc F() {}\n").definitions[0]
    assert (found.doc_start, found.start) == (11, 18)


@pytest.mark.parametrize(
    ("path", "text", "said"),
    [
        ("a.py", "# Above.\ndef f():\n    # first\n    r'''\n\n    It\\s so.\n    More.'''\n", "It\\s so."),
        ("a.py", 'class A: "Short."\n', "Short."),
        ("a.py", "# Above.\ndef f():\n    return 1\n", "Above."),
        ("a.py", 'def f():\n    """"""\n', ""),
        ("a.py", 'def f():\n    f"""No {docstring}."""\n', ""),
        ("a.py", 'def f():\n    rb"no docstring"\n', ""),
        ("a.py", 'def f():\n    "no docstring".join(x)\n', ""),
        ("a.py", 'x = "no docstring"\n', ""),
        ("a.js", "f();  // behind\nfunction g() {}\n", ""),
        ("a.js", "// -----\n/**/\nfunction g() {}\n", ""),
        ("a.rs", "#[derive(Debug)]\nstruct S;\n", ""),
        ("a.rb", 'def f = ""\n', ""),
        ("a.rb", 'def f = "no docstring"\n', ""),
        ("a.yaml", "# Where it runs.\njobs:\n  a: 1\n", "Where it runs."),
    ],
)
def test_what_is_said_of_a_definition_is_the_first_line_of_its_docstring_or_of_the_comment_above(
    path: str, text: str, said: str
) -> None:
    definition = syntax(language_of(path), text.encode()).definitions[0]
    assert definition.said == said
    assert not said or said in text.encode()[definition.said_start :].decode()
