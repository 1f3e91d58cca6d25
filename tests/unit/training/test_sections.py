"""Rewards say what they are made of; samples that are better than their group become likelier."""

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
from model.training.section_tasks import Section
from model.training.section_training import SectionOptions, Written, difficulty, mean_rewards, train_sections
from model.training.sections import Checks, Reward, advantages, length_cost, reward_of
from model.training.sft import SftOptions, TrainingCancelledError, with_fresh_adapter
from model.training.writing import Sample, Writer
from tests.unit.training.tiny_language import OTHER_HABITS

OPTIONS = SectionOptions(
    samples=6, sections=4, most_tokens=7, temperature=1.0, learning_rate=1e-2, kl=0.0, middle=(0.0, 0.99), seed=1
)  # fmt: skip
FUNCTION = Section(CompletionRequest("a.py", "python", "def f():\n", "\nx = 1\n"), "    return 1")


def section(letter: str, number: int = 0) -> Section:
    request = CompletionRequest("a.txt", "plaintext", f"# {number}\n{letter}=", "", (Document("b.py", "k=red\n"),), "p")
    return Section(request, OTHER_HABITS[letter] + "\n")


@pytest.fixture
def layout(tiny_base: Path) -> Layout:
    tokens = Tokens(tiny_base)
    return Layout(tokens, Budget(documents=40, document=40, tail=40, grid=4, suffix=20), Format.of(tokens))


def rewarded(text: str, *, ended: bool = True, checks: Checks | None = None, of: Section = FUNCTION) -> Reward:
    return reward_of(of, Sample((1,), text, ended), checks)


def test_the_real_text_is_worth_one() -> None:
    assert rewarded("    return 1\n") == Reward(1.0)
    assert rewarded("    return 1\n").total == 1.0


def test_what_does_not_parse_is_worth_half_of_its_likeness() -> None:
    broken = rewarded("    return (1")
    assert broken.syntax == broken.tests == 0.5  # what does not parse passes no test
    assert broken.total == pytest.approx(broken.likeness * 0.25)
    already = Section(CompletionRequest("a.py", "python", "def (:\n", ""), "    return 1")
    assert rewarded("    return (1", of=already).syntax == 1.0


def test_other_languages_are_parsed_as_well() -> None:
    asked = Section(CompletionRequest("a.ts", "typescript", "const a = (", ") => a;\nlet b = 1;\n"), "a: number")
    assert rewarded("a: string", of=asked).syntax == 1.0
    assert rewarded("}]", of=asked).syntax == 0.5


def test_length_costs_beyond_twice_and_half_and_so_does_not_ending() -> None:
    assert length_cost(10, 10) == length_cost(19, 10) == length_cost(5, 10) == 0.0
    assert length_cost(43, 10) == pytest.approx(0.1)
    assert 0 < length_cost(0, 10) <= length_cost(0, 1000) == pytest.approx(0.3)
    assert rewarded("    return 1", ended=False).total == pytest.approx(0.9)


def test_an_edit_is_compared_and_not_what_stood_there_before() -> None:
    asked = Section(FUNCTION.request, "    return compute(1)", replaced="    return compute(0)")
    lazy, right = rewarded("    return compute(0)", of=asked), rewarded("    return compute(1)", of=asked)
    assert lazy.likeness < 0.1 < right.likeness == 1.0


def test_new_findings_cost_and_those_of_the_real_text_do_not() -> None:
    looked: list[str] = []

    def lint(_: Section, text: str) -> int:
        looked.append(text)
        return 3 + 2 * ("print" in text)

    checks = Checks(lint=lint)
    assert rewarded("    return 2", checks=checks).lint == 0.0
    assert rewarded("    return print(2)", checks=checks).lint == pytest.approx(-0.1)
    assert looked.count("    return 1") == 1  # what the real text has is looked at once


def test_tests_are_a_factor_where_they_pass_with_the_real_text() -> None:
    checks = Checks(tests=lambda _, text: "1" in text)
    assert rewarded("    return 1 ", checks=checks).tests == 1.0
    assert rewarded("    return 2", checks=checks).tests == 0.5
    for nothing in (Checks(tests=lambda _, text: False), Checks(tests=lambda _, text: None)):
        assert rewarded("    return 2", checks=nothing).tests == 1.0


def test_advantages_are_distances_to_the_mean_and_are_not_blown_up() -> None:
    assert advantages([0.0, 1.0]).tolist() == [-0.5, 0.5]
    assert advantages([0.5, 0.5 + 1e-9]) == pytest.approx([0.0, 0.0], abs=1e-9)
    assert advantages([0.3, 0.3, 0.3]).tolist() == [0.0, 0.0, 0.0]


def test_only_what_is_near_but_not_right_is_learned_from() -> None:
    options = SectionOptions()
    assert difficulty([Reward(0.0), Reward(0.05)], options) == "too_hard"
    assert difficulty([Reward(1.0), Reward(1.0)], options) == "too_easy"
    assert difficulty([Reward(0.0), Reward(1.0)], options) is None


def test_without_temperature_the_writer_writes_what_is_served(tiny_base: Path, layout: Layout) -> None:
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


class Desk:
    """A model, a writer on the same weights, and sections of the other habits."""

    def __init__(self, base: Path, layout: Layout) -> None:
        torch.manual_seed(0)
        self.layout = layout
        self.runtime = TorchRuntime(base, threads=1, device="cpu")
        self.writer = Writer(self.runtime, layout, Sequential())
        self.model = with_fresh_adapter(load_network(base), SftOptions(rank=4, alpha=8))

    def train(self, sections: list[Section], folder: Path, steps: int, stop: int = 0) -> Written:
        seen: list[int] = []
        return train_sections(
            self.model, self.writer, lambda found: self.runtime.load_adapters([found]), sections, self.layout,
            Sequential(), options=OPTIONS, budget_seconds=300, most_steps=steps, folder=folder / "adapter",
            progress=lambda step: seen.append(step.step), cancelled=lambda: 0 < stop == len(seen),
        )  # fmt: skip


def test_the_reward_rises_on_sections_that_were_not_trained_on(tiny_base: Path, layout: Layout, tmp_path: Path) -> None:
    desk = Desk(tiny_base, layout)
    letters = sorted(OTHER_HABITS)
    held_out = [section(letter, number) for letter in letters for number in range(50, 54)]
    before = mean_rewards(desk.writer, held_out, OPTIONS)
    done = desk.train([section(letter, number) for letter in letters for number in range(4)], tmp_path, 80)
    after = mean_rewards(desk.writer, held_out, OPTIONS)
    assert len(done.steps) == 80
    assert after["total"] > before["total"] + 0.05  # processors round otherwise, and draws follow
    assert after["likeness"] > before["likeness"]
    assert set(done.steps[0].components) == {"likeness", "syntax", "tests", "lint", "length"}
    assert set(done.aside) <= {"too_easy"}


def test_a_killed_stage_goes_on_with_the_same_draws(tiny_base: Path, layout: Layout, tmp_path: Path) -> None:
    sections = [section(letter) for letter in sorted(OTHER_HABITS)]
    for name in ("whole", "cut"):
        (tmp_path / name).mkdir()
    whole = Desk(tiny_base, layout).train(sections, tmp_path / "whole", 4)
    with pytest.raises(TrainingCancelledError):
        Desk(tiny_base, layout).train(sections, tmp_path / "cut", 4, stop=2)
    again = Desk(tiny_base, layout).train(sections, tmp_path / "cut", 4)
    assert again.resumed_at == 2
    assert [step.reward for step in again.steps] == pytest.approx([step.reward for step in whole.steps], abs=1e-3)
