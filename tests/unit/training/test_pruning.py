"""Weights that cannot be served any more give back their room: all but the newest of a base; records stay."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from inkling.folders import adapters_folder
from model.adapters import Registry, RegistryError
from model.pruning import KEPT_IDLE, prune

BASE = "tiny"
JUDGED = {"status": "refused", "key": "one"}


@pytest.fixture
def registry() -> Registry:
    return Registry(adapters_folder())


@pytest.fixture
def made(registry: Registry) -> Callable[..., str]:
    """Registers adapters, each newer than the one before."""
    count = 0

    def make(name: str, record: dict[str, str] | None = JUDGED) -> str:
        nonlocal count
        count += 1
        folder = registry.folder / ".runs" / name
        folder.mkdir(parents=True)
        (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA"}))
        (folder / "adapter_model.safetensors").write_bytes(name.encode())
        if record is not None:
            (folder / "record.json").write_text(json.dumps(record))
        return registry.add_candidate(folder, base=BASE, name=name, at=float(count)).name

    return make


def weights(registry: Registry, name: str) -> Path:
    return registry.get(name).folder / "adapter_model.safetensors"


def test_the_newest_refused_adapters_keep_their_weights_and_all_their_records(
    registry: Registry, made: Callable[..., str]
) -> None:
    names = [made(f"n{number}") for number in range(KEPT_IDLE + 2)]
    assert prune(registry, "another base") == []
    assert sorted(prune(registry, BASE)) == names[:2]
    assert [weights(registry, name).exists() for name in names] == [False, False] + [True] * KEPT_IDLE
    assert [registry.get(name).dropped for name in names[:3]] == [True, True, False]
    assert all(registry.record(name) == JUDGED for name in names)


def test_what_is_served_or_within_reach_is_never_dropped(registry: Registry, made: Callable[..., str]) -> None:
    for name in ("one", "two", "three"):
        registry.promote(made(name))
    registry.introduce(made("canary"), 0.5)
    for number in range(KEPT_IDLE):
        made(f"n{number}")
    assert prune(registry, BASE) == []
    registry.rollback(BASE)  # the canary was the first in time of those that are idle now
    assert prune(registry, BASE) == ["canary"]
    for name in ("one", "two", "three"):
        assert weights(registry, name).exists()
        assert not registry.drop_weights(name)


def test_what_the_user_brought_or_marked_is_kept(registry: Registry, made: Callable[..., str]) -> None:
    made("imported", None)
    registry.set_note(made("noted"), "the good one")
    for number in range(KEPT_IDLE):
        made(f"n{number}")
    assert prune(registry, BASE) == []


def test_one_without_weights_is_refused_in_words_and_can_be_renamed(
    registry: Registry, made: Callable[..., str]
) -> None:
    assert registry.drop_weights(made("gone"))
    with pytest.raises(RegistryError, match=r"weights were dropped.*inkling models show gone"):
        registry.promote("gone")
    assert registry.rename("gone", "departed").dropped
    assert registry.record("departed") == JUDGED


def test_weights_that_could_not_be_removed_are_removed_later(registry: Registry, made: Callable[..., str]) -> None:
    names = [made(f"n{number}") for number in range(KEPT_IDLE + 1)]
    prune(registry, BASE)
    weights(registry, names[0]).write_bytes(b"as if a server had held them")
    prune(registry, BASE)
    assert not weights(registry, names[0]).exists()
