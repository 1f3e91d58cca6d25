"""Rewards say what they are made of; samples that are better than their group become likelier."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from model.completion import CompletionRequest
from model.document import Document
from model.positions import Sequential
from model.prompt import Budget, Format, Layout
from model.runtimes.torch_runtime import TorchRuntime
from model.tokens import Tokens
from model.training.network import load_network
from model.training.sections import (
    Sample,
    Section,
    SectionOptions,
    Writer,
    advantages,
    mean_reward,
    reward_of,
    train_sections,
)
from model.training.sft import SftOptions, with_fresh_adapter
from tests.unit.training.tiny_language import OTHER_HABITS

OPTIONS = SectionOptions(
    samples=6, sections=4, most_tokens=7, temperature=1.0, learning_rate=1e-2, kl=0.0, seed=1
)  # fmt: skip


def section(letter: str, number: int = 0) -> Section:
    request = CompletionRequest("a.txt", "plaintext", f"# {number}\n{letter}=", "", (Document("b.py", "k=red\n"),), "p")
    return Section(request, OTHER_HABITS[letter] + "\n")


@pytest.fixture
def layout(tiny_base: Path) -> Layout:
    tokens = Tokens(tiny_base)
    return Layout(tokens, Budget(documents=40, document=40, tail=40, grid=4, suffix=20), Format.of(tokens))


def test_a_reward_is_likeness_less_what_is_broken_and_what_never_ends() -> None:
    request = CompletionRequest("a.py", "python", "def f():\n", "\nx = 1\n")
    asked = Section(request, "    return 1")
    assert reward_of(asked, Sample((1,), "    return 1\n", True)).total == 1.0
    broken = reward_of(asked, Sample((1,), "    return (1", True))
    assert broken.syntax == -0.2
    assert 0.8 < broken.likeness < 1
    assert reward_of(asked, Sample((1,), "    return 2", False)).ending == -0.1
    lost = Section(CompletionRequest("a.py", "python", "def f(:\n", ""), "    return 1")
    assert reward_of(lost, Sample((1,), "(", True)).syntax == 0.0  # the real text does not parse there either
    assert advantages([1.0, 0.0, 0.5]).tolist() == [0.5, -0.5, 0.0]
    assert advantages([0.3, 0.3]).tolist() == [0.0, 0.0]


def test_samples_are_those_of_the_network_as_it_is_served(tiny_base: Path, layout: Layout) -> None:
    from model.generator import Generator, GeneratorOptions

    runtime = TorchRuntime(tiny_base, threads=1, device="cpu")
    asked = section("m").request
    _, found = Writer(runtime, layout, Sequential()).write(
        asked, 2, most=4, temperature=0.0, draw=np.random.default_rng(0)
    )
    assert found[0] == found[1]
    generator = Generator(tiny_base, runtime, GeneratorOptions(layout.budget, scheme="sequential", prefetch=False))
    request = CompletionRequest(asked.path, asked.language, asked.prefix, "", asked.documents, "p", wait=True)
    made = generator.complete(request, lambda: False)
    assert found[0].tokens == made.tokens[:4]


def test_the_reward_rises_on_sections_that_were_not_trained_on(tiny_base: Path, layout: Layout, tmp_path: Path) -> None:
    torch.manual_seed(0)
    runtime = TorchRuntime(tiny_base, threads=1, device="cpu")
    writer = Writer(runtime, layout, Sequential())
    model = with_fresh_adapter(load_network(tiny_base), SftOptions(rank=4, alpha=8))
    letters = sorted(OTHER_HABITS)
    trained = [section(letter, number) for letter in letters for number in range(4)]
    held_out = [section(letter, number) for letter in letters for number in range(50, 54)]
    before = mean_reward(writer, held_out, OPTIONS)
    steps = train_sections(
        model, writer, lambda folder: runtime.load_adapters([folder]), trained, layout, Sequential(),
        options=OPTIONS, budget_seconds=300, most_steps=40, folder=tmp_path / "adapter", log=tmp_path / "log.jsonl",
    )  # fmt: skip
    after = mean_reward(writer, held_out, OPTIONS)
    assert len(steps) == 40
    assert after > before + 0.1
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert len(lines) == 40 * OPTIONS.samples * OPTIONS.sections
    assert set(lines[0]) == {"step", "path", "likeness", "syntax", "ending", "tokens"}
