"""A running engine follows the registry, also where a switch fails at first."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from model.adapters import WEIGHTS_FILE, Adapter, Registry
from model.engine import Engine, EngineOptions
from model.generator import GeneratorOptions
from model.prompt import Budget
from server.champion import ChampionWatch
from tests.unit.training.tiny_language import make_base

OPTIONS = EngineOptions(
    "torch", "float32", 1, GeneratorOptions(budget=Budget(240, 240, 80, 120, 4, 24), prefetch=False)
)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    make_base(folder)
    return folder


@pytest.fixture
def registry(base: Path, tmp_path: Path) -> Registry:
    """With two champions, the second of which is served."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    registry = Registry(tmp_path / "adapters")
    for number, name in enumerate(("first", "second")):
        torch.manual_seed(number)
        config = LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False)
        get_peft_model(AutoModelForCausalLM.from_pretrained(base), config).save_pretrained(tmp_path / name)
        registry.add_candidate(tmp_path / name, base="tiny", name=name)
        registry.promote(name)
    return registry


class Desk:
    """An engine, its watch with a clock that stands still, and what was said to the user."""

    def __init__(self, base: Path, registry: Registry) -> None:
        self.engine = Engine(base, name="tiny", options=OPTIONS)
        self.registry = registry
        self.told: list[str] = []
        self.now = 0.0
        self.watch = ChampionWatch(registry, self.engine, self.serving, self.told.append, clock=lambda: self.now)

    def serving(self) -> Adapter | None:
        return self.registry.serving("tiny", "session")


@pytest.fixture
async def desk(base: Path, registry: Registry) -> AsyncIterator[Desk]:
    made = Desk(base, registry)
    made.engine.start()
    await made.engine.ready()
    yield made
    made.engine.close()


async def test_what_is_promoted_and_rolled_back_is_served(desk: Desk) -> None:
    await desk.watch.look()
    assert desk.engine.adapter == "second"
    desk.registry.rollback("tiny")
    await desk.watch.look()
    assert (desk.engine.adapter, desk.told) == ("first", [])


async def test_a_switch_that_failed_is_tried_again_and_told_once(desk: Desk, tmp_path: Path) -> None:
    weights = desk.registry.get("second").folder / WEIGHTS_FILE
    shutil.move(weights, tmp_path / "aside")
    for _ in range(3):
        await desk.watch.look()
        desk.now += 60.0
    assert desk.engine.adapter is None
    assert len(desk.told) == 1
    assert "second cannot be served" in desk.told[0]
    shutil.move(tmp_path / "aside", weights)
    await desk.watch.look()
    assert desk.engine.adapter == "second"


async def test_behind_a_failure_another_choice_is_served_at_once(desk: Desk) -> None:
    (desk.registry.get("second").folder / WEIGHTS_FILE).unlink()
    await desk.watch.look()
    desk.registry.rollback("tiny")
    await desk.watch.look()
    assert desk.engine.adapter == "first"
