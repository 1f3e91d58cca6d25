"""Prompts: bytes are exact, typing only appends, and training reads what serving would have."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.completion import CompletionRequest
from model.document import Document
from model.positions import Parallel, Sequential, scheme_for
from model.prompt import Budget, Format, Layout, row_of, training_prompt
from model.tokens import Tokens, UnsupportedTokenizerError
from model.weights import resolve

CODE = "\n".join(f"def function_{n}(value):\n    return value * {n}\n" for n in range(60))


@cache
def tokens_of(folder: Path) -> Tokens:
    return Tokens(folder)


@pytest.fixture(scope="session")
def tokens(tiny_base: Path) -> Tokens:
    return tokens_of(tiny_base)


def request(prefix: str, *documents: Document) -> CompletionRequest:
    return CompletionRequest("pkg/mod.py", "python", prefix, "", documents)


@given(text=st.text())
def test_text_comes_back_byte_by_byte(tokens: Tokens, text: str):
    assert tokens.decode(tokens.encode(text)) == text.encode()


@given(text=st.text())
def test_healing_takes_nothing_away(tokens: Tokens, text: str):
    ids, piece = tokens.encode_healable(text)
    assert tokens.decode(ids) + piece == text.encode()
    piece.decode()


@given(piece=st.text(min_size=1, max_size=6).map(str.encode))
def test_a_healed_piece_can_be_continued_by_exactly_the_tokens_that_fit(tokens: Tokens, piece: bytes):
    found = {tokens.decode([int(id)]) for id in tokens.continuing(piece)}
    every = {tokens.decode([id]) for id in range(len(tokens))} - {b""}
    assert found == {text for text in every if text.startswith(piece) or piece.startswith(text)}


def test_a_word_is_healed_with_the_blank_before_it_and_a_newline_with_its_indentation(tokens: Tokens):
    assert tokens.encode_healable("for i in ran")[1] == b" ran"
    assert tokens.encode_healable("def f():\n    ")[1] == b"\n    "


def test_the_names_of_special_tokens_in_a_file_stay_text(tokens: Tokens):
    assert not set(tokens.encode("a = '<|endoftext|><file_sep>'")) & tokens.special


def test_weights_with_another_kind_of_tokenizer_are_refused_by_name(tmp_path: Path):
    with pytest.raises(UnsupportedTokenizerError, match=r"tokenizer\.json"):
        Tokens(tmp_path)


def test_typing_a_line_only_appends_to_the_tail(tokens: Tokens):
    layout = Layout(tokens, Budget(tail=2000, grid=8))
    before = layout.build(request(CODE)).tail
    for length in range(1, 30):
        after = layout.build(request(CODE + "def another(value, more):\n    return"[:length])).tail
        assert after[: len(before)] == before


def test_the_top_of_the_tail_moves_seldom_and_in_steps(tokens: Tokens):
    layout = Layout(tokens, Budget(tail=300, grid=8))
    lines = CODE.splitlines(keepends=True)
    windows = [layout.window("".join(lines[:n])) for n in range(len(lines) // 2, len(lines))]
    starts = [len("".join(lines[: len(lines) // 2 + n])) - len(window) for n, window in enumerate(windows)]
    assert len(set(starts)) <= len(starts) / 8 + 1


@given(prefix=st.text(alphabet="ab \n\t(é", max_size=2000))
def test_the_window_is_an_end_of_the_prefix_within_the_budget(tokens: Tokens, prefix: str):
    layout = Layout(tokens, Budget(tail=60, grid=8))
    assert prefix.endswith(layout.window(prefix))
    assert len(layout.build(request(prefix)).tail) <= 60 + 64 + len(tokens.encode("pkg/mod.py\n")) + 1


def test_documents_keep_their_order_and_what_does_not_fit_is_left_out_whole(tokens: Tokens):
    layout = Layout(tokens, Budget(documents=120, document=50))
    documents = [Document(f"{name}.py", CODE) for name in "abc"]
    laid = layout.build(request("x", *documents)).documents
    assert [b"a.py" in tokens.decode(ids) for ids in laid] == [True, False]
    assert all(len(ids) <= 50 for ids in laid)


def test_the_repository_is_named_in_the_sink(tokens: Tokens):
    layout = Layout(tokens)
    assert layout.build(request("x")).sink == layout.form.start
    named = layout.sink("shapes")
    assert tokens.decode(named) == b"shapes\n"
    assert len(layout.sink("shapes" * 100)) <= 36


def test_weights_that_cannot_fill_in_the_middle_read_no_suffix(tokens: Tokens):
    asked = CompletionRequest("a.py", "python", "x = ", "  # the rest\n")
    assert b"rest" not in tokens.decode(Layout(tokens).build(asked).tail)


@pytest.mark.weights
def test_the_suffix_stands_before_the_prefix_so_that_typing_only_appends():
    weights = Tokens(resolve("smollm2-135m-instruct"))
    layout = Layout(weights, form=Format.of(weights, fills_middle=True))
    tails = [
        layout.build(CompletionRequest("a.py", "python", "x = first" + typed, " + last\n")).tail
        for typed in ("", " ", " +", " + se")
    ]
    middle = layout.form.middle
    assert middle is not None
    assert all(tail.index(middle.suffix) < tail.index(middle.prefix) for tail in tails)
    assert all(after[: len(tails[0])] == tails[0] for after in tails)


def test_training_reads_the_context_that_serving_reads(tokens: Tokens):
    layout = Layout(tokens)
    asked = replace(request("def area(radius):\n    ret", Document("other.py", CODE)), suffix="\nprint()\n")
    prompt = layout.build(asked)
    row = training_prompt(layout, asked, "urn radius")
    context = [*prompt.sink, *(id for laid in prompt.documents for id in laid), *prompt.tail]
    ahead = row.targets.index(True)
    assert list(row.tokens[:ahead]) == context
    assert tokens.decode(row.tokens[ahead:]) == prompt.piece + b"urn radius\n"
    goes_on = training_prompt(layout, asked, "urn radius", ends=False)
    assert tokens.decode(goes_on.tokens[ahead:]) == prompt.piece + b"urn radius"


def test_documents_stand_side_by_side_and_the_tail_at_a_fixed_base(tokens: Tokens):
    prompt = Layout(tokens).build(request("x = 1", Document("a.py", "a = 1\n"), Document("b.py", "bb = 22\n")))
    row = row_of(prompt, (), Parallel(100))
    sink, one, two = len(prompt.sink), len(prompt.documents[0]), len(prompt.documents[1])
    assert row.positions[sink] == row.positions[sink + one] == sink
    assert row.positions[sink + one + two :] == tuple(range(100, 100 + len(prompt.tail)))
    assert row.blocks == (0,) * sink + (1,) * one + (2,) * two + (-1,) * len(prompt.tail)
    one = row_of(prompt, (), Sequential())
    assert tuple(map(sum, zip(one.positions, one.moved, strict=True))) == tuple(range(prompt.size))
    assert one.positions[: prompt.size - len(prompt.tail)] == row.positions[: prompt.size - len(prompt.tail)]


def test_a_document_that_is_longer_than_it_should_be_never_reaches_into_the_tail():
    assert Parallel(100).tail(5, [200]) == 205
    assert scheme_for("parallel", 400).tail(5, [10]) == 100
