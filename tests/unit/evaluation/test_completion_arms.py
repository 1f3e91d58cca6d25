"""Arms differ in what is read and in nothing else; losses are those of transformers, texts those that are served."""

import importlib.util
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from model.cache.document_cache import CacheBudgets
from model.completion import CompletionRequest
from model.document import Document
from model.evaluation.completion_arms import ARMS, laid_out, losses
from model.evaluation.completion_cases import CompletionCase, Sizes
from model.evaluation.completion_writing import Plain, measure_times, served, write
from model.generator import Generator, GeneratorOptions
from model.positions import Sequential
from model.prompt import Format, Layout
from model.tokens import Tokens

SIZES = Sizes(documents=2, document=64, tail=96, suffix=24)
BY_NAME = {arm.name: arm for arm in ARMS}
CASE = CompletionCase(
    "lines",
    "lines",
    "shop",
    "shop/orders.py",
    "def total(prices):\n    ",
    "found = sum(prices)\n    return found",
    "\n\n\ndef mean(prices):\n    return total(prices) / len(prices)\n",
    (Document("shop/prices.py", "def price(name):\n    return 1\n"), Document("shop/notes.py", "NOTES = []\n")),
)

needs_onnxruntime = pytest.mark.skipif(importlib.util.find_spec("onnxruntime") is None, reason="needs onnxruntime")


def filling(tiny_base: Path, folder: Path) -> Path:
    """A copy of the tiny base in `folder`, with names for the tokens that fill in the middle."""
    shutil.copytree(tiny_base, folder)
    file = folder / "tokenizer.json"
    text = file.read_text(encoding="utf-8")
    named = text.replace("<repo_name>", "<jupyter_output>").replace("<filename>", "<jupyter_code>")
    file.write_text(named, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def base(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return filling(tiny_base, tmp_path_factory.mktemp("models") / "filling")


@pytest.fixture(scope="module")
def layout(base: Path) -> Layout:
    tokens = Tokens(base)
    return Layout(tokens, SIZES.budget, Format.of(tokens, fills_middle=True))


@pytest.fixture(scope="module")
def generator(base: Path) -> Iterator[Generator]:
    from model.runtimes.onnx_runtime import OnnxRuntime

    options = GeneratorOptions(
        SIZES.budget, CacheBudgets(1 << 30, 1 << 30, 0), None, "sequential", fills_middle=True, prefetch=False
    )
    made = Generator(base, OnnxRuntime(base, precision="float32", threads=1), options)
    yield made
    made.close(1.0)


def test_loss_lies_on_the_tokens_of_the_middle_and_on_the_same_ones_in_every_arm(layout: Layout):
    counted = set()
    for arm in ARMS:
        row = laid_out(layout, Sequential(), CASE, arm)
        counted.add(tuple(token for token, weight in zip(row.tokens, row.weights, strict=True) if weight))
    (ids,) = counted
    assert layout.tokens.decode(ids).decode().endswith(CASE.middle)
    assert layout.tokens.decode(ids[1:]).decode() in CASE.middle


def test_arms_read_documents_and_suffix_where_they_say_so(layout: Layout):
    for arm in ARMS:
        row = laid_out(layout, Sequential(), CASE, arm)
        text = layout.tokens.decode(row.tokens).decode()
        assert ("def price" in text) == arm.documents
        assert ("def mean" in text) == arm.suffix
        assert (max(row.blocks) > 0) == (arm.documents and arm.masked)


def test_a_token_that_only_spells_the_indentation_is_not_counted(layout: Layout):
    row = laid_out(layout, Sequential(), CASE, BY_NAME["base"])
    first = row.weights.index(1.0)
    assert layout.tokens.decode(row.tokens[first : first + 1]).strip()


def test_the_loss_of_the_base_is_that_of_transformers(base: Path, layout: Layout):
    import torch
    from transformers import AutoModelForCausalLM

    from model.training.network import load_network

    row = laid_out(layout, Sequential(), CASE, BY_NAME["base_documents"])
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()
    with torch.inference_mode():
        logits = model(torch.tensor([row.tokens])).logits[0]
    wanted = [number for number, weight in enumerate(row.weights) if weight]
    expected = torch.nn.functional.cross_entropy(
        logits[[number - 1 for number in wanted]], torch.tensor([row.tokens[number] for number in wanted])
    )
    found = losses(load_network(base), layout, Sequential(), CASE, BY_NAME["base_documents"])
    assert len(found) == len(wanted)
    assert found.mean() == pytest.approx(float(expected), abs=0.05)  # bfloat16


@needs_onnxruntime
def test_one_causal_sequence_and_the_generator_write_the_same_without_documents(layout: Layout, generator: Generator):
    plain = Plain(generator.runtime, layout)
    for suffix in (False, True):
        request = CASE.request(documents=False, suffix=suffix)
        assert plain.complete(request).tokens == list(served(generator)(request).tokens)


class Said:
    """Writes lines of its own; `last` is why the last of them ended."""

    def __init__(self, lines: list[str], last: str = "end") -> None:
        self.lines = lines
        self.last = last
        self.asked: list[CompletionRequest] = []

    def __call__(self, request: CompletionRequest) -> "Said":
        self.asked.append(request)
        self.text = self.lines[(len(self.asked) - 1) % len(self.lines)]
        self.tokens = [0] * 4
        self.stop = self.last if len(self.asked) % len(self.lines) == 0 else "line"
        return self


def test_a_text_goes_on_line_by_line_until_the_model_ends_it(layout: Layout):
    said = Said(["found = 1", "", "    return found"])
    assert write(said, layout, CASE, BY_NAME["adapter"]) == "found = 1\n\n    return found"
    assert said.asked[2].prefix == CASE.prefix + "found = 1\n\n"
    assert all(request.suffix == CASE.suffix and not request.documents for request in said.asked)


def test_who_reads_no_suffix_gets_as_many_lines_as_were_taken_out(layout: Layout):
    said = Said(["a", "b", "c", "d"], last="line")
    assert write(said, layout, CASE, BY_NAME["base"]) == "a\nb"


def test_a_line_is_over_at_its_newline_whoever_writes_it(layout: Layout):
    line = CompletionCase("line", "whole line", "p", "a.py", "x = 1\n", "y = 2", "\nz = 3\n")
    for name in ("base", "adapter"):
        assert write(Said(["a", "b"]), layout, line, BY_NAME[name]) == "a"


def test_a_text_that_never_ends_is_cut_off(layout: Layout):
    text = write(Said(["again"], last="line"), layout, CASE, BY_NAME["adapter"])
    assert 2 < text.count("\n") < 20


@needs_onnxruntime
def test_a_keystroke_finds_the_documents_encoded(generator: Generator):
    for _ in range(2):
        before = generator.cache.status()["encodedTokens"]
        times = measure_times(generator, CASE)
        assert generator.cache.status()["encodedTokens"] > before  # each time anew
        assert times.cold > 0
        assert times.keystroke > 0
