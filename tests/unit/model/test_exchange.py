"""What is exported computes what is served, whoever loads it; what is imported fits."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from index.lora import UnusableAdapterError
from model.adapters import Registry, RegistryError
from model.checkpoint import load_tensors
from model.exchange import ExchangeError, export, import_adapter, take_below
from model.shipped import shipped
from tests.unit.training.tiny_language import make_base


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    make_base(folder)
    return folder


@pytest.fixture(scope="module")
def adapters(base: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two LoRAs of different rank and scale."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    found = []
    for number, targets in enumerate((["q_proj", "down_proj"], ["q_proj", "k_proj", "v_proj"])):
        torch.manual_seed(number)
        model: Any = AutoModelForCausalLM.from_pretrained(base)
        config = LoraConfig(r=2 + 2 * number, lora_alpha=8, target_modules=targets, init_lora_weights=False)
        folder = tmp_path_factory.mktemp(f"adapter-{number}")
        get_peft_model(model, config).save_pretrained(folder)
        found.append(folder)
    return found


def test_the_lora_alone_adds_what_both_added(base: Path, adapters: list[Path], tmp_path: Path) -> None:
    both = export(base, adapters, "peft", tmp_path / "both", base="tiny")
    expected, found = load_tensors(base, adapters), load_tensors(base, [both])
    assert any(not np.allclose(expected[name], load_tensors(base)[name]) for name in expected)
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], atol=1e-5)

    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    merged: Any = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), both)
    theirs = merged.merge_and_unload().state_dict()
    for name, tensor in expected.items():
        np.testing.assert_allclose(theirs[name].numpy(), tensor, atol=1e-5)


def test_merged_weights_are_loaded_by_transformers(base: Path, adapters: list[Path], tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    folder = export(base, adapters, "merged", tmp_path / "merged", base="tiny")
    loaded: Any = AutoModelForCausalLM.from_pretrained(folder).float().state_dict()
    for name, tensor in load_tensors(base, adapters).items():
        np.testing.assert_allclose(loaded[name].numpy(), tensor, atol=0.02, rtol=0.01)  # bfloat16
    assert (folder / "tokenizer.json").read_bytes() == (base / "tokenizer.json").read_bytes()


def test_a_gguf_file_holds_the_same_network_and_vocabulary(base: Path, adapters: list[Path], tmp_path: Path) -> None:
    import torch
    from gguf import GGUFReader
    from transformers import AutoModelForCausalLM

    file = export(base, adapters, "gguf", tmp_path / "tiny.gguf", base="tiny")
    back: Any = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file=file.name, dtype=torch.float32)
    there = back.state_dict()
    for name, tensor in load_tensors(base, adapters).items():
        np.testing.assert_allclose(there[name].numpy(), tensor, atol=1e-3)  # float16
    tokens = GGUFReader(file).get_field("tokenizer.ggml.tokens")
    assert tokens is not None
    vocabulary = json.loads((base / "tokenizer.json").read_text())["model"]["vocab"]
    spelled = tokens.contents()
    assert {spelled[identity]: identity for identity in vocabulary.values()} == vocabulary
    assert spelled[len(vocabulary)] == "<|endoftext|>"


def test_nothing_is_written_over_and_nothing_is_left_by_halves(
    base: Path, adapters: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(ExchangeError, match="exists already"):
        export(base, adapters, "merged", tmp_path / "there", base="tiny")
    with pytest.raises(ExchangeError, match="no adapter to write"):
        export(base, [], "peft", tmp_path / "none", base="tiny")
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "adapter_config.json").write_text("{}")
    with pytest.raises(UnusableAdapterError):
        export(base, [broken], "merged", tmp_path / "new", base="tiny")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken", "there"]


def test_an_adapter_comes_in_as_a_candidate_if_it_fits(base: Path, adapters: list[Path], tmp_path: Path) -> None:
    registry = Registry(tmp_path / "adapters")
    taken = import_adapter(adapters[0], base="tiny", base_folder=base, registry=registry, name="theirs")
    assert (taken.name, taken.state, taken.base) == ("theirs", "candidate", "tiny")
    assert load_tensors(base, [taken.folder]).keys() == load_tensors(base).keys()
    assert (adapters[0] / "adapter_config.json").exists()
    with pytest.raises(RegistryError, match="already an adapter theirs"):
        import_adapter(adapters[0], base="tiny", base_folder=base, registry=registry, name="theirs")
    wrong = tmp_path / "wrong"
    wrong.mkdir()
    from safetensors.numpy import save_file

    save_file(
        {
            f"base_model.model.model.layers.0.self_attn.q_proj.lora_{side}.weight": np.zeros(size, np.float32)
            for side, size in (("A", (2, 7)), ("B", (7, 2)))
        },
        wrong / "adapter_model.safetensors",
    )
    (wrong / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "lora_alpha": 2}))
    with pytest.raises(UnusableAdapterError, match="another base"):
        import_adapter(wrong, base="tiny", base_folder=base, registry=registry, name="wrong")
    assert [adapter.name for adapter in registry.list()] == ["theirs"]
    assert not [path for path in registry.folder.iterdir() if path.name.startswith(".import")]


def test_matrices_that_fit_are_not_taken_for_another_base(base: Path, adapters: list[Path], tmp_path: Path) -> None:
    registry = Registry(tmp_path / "adapters")

    def take(made_for: str, name: str) -> None:
        source = shutil.copytree(adapters[0], tmp_path / name)
        config = json.loads((source / "adapter_config.json").read_text())
        (source / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": made_for}))
        import_adapter(source, base="hub:Org/Tiny-1B@main", base_folder=base, registry=registry, name=name)

    known = ["hub:Org/Tiny-1B@main", "Org/Tiny-1B", "/cache/models--Org--Tiny-1B/snapshots/c0ffee", str(base), ""]
    for number, made_for in enumerate(known):
        take(made_for, f"known-{number}")
    for number, made_for in enumerate(["Org/Tiny-1B-Instruct", "Other/Large", "/home/them/weights"]):
        with pytest.raises(UnusableAdapterError, match=f"made for {made_for}, not for hub:Org/Tiny-1B@main"):
            take(made_for, f"other-{number}")
    assert len(registry.list()) == len(known)


def test_what_was_made_for_another_base_is_served_below_all_others(
    base: Path, adapters: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INKLING_HOME", str(tmp_path / "home"))
    registry, name = Registry(tmp_path / "adapters"), f"path:{base}"
    source = shutil.copytree(adapters[0], tmp_path / "made")

    def take() -> None:
        take_below(source, base=name, base_folder=base, registry=registry)

    assert shipped(name) is None
    with pytest.raises(ExchangeError, match=r"metadata\.json: expected a folder that `inkling pretrain` made"):
        take()
    (source / "metadata.json").write_text(json.dumps({"fills_middle": True, "scheme": "parallel"}))
    take()
    take()  # another one takes its place
    found = shipped(name)
    assert found is not None
    assert (found.fills_middle, found.scheme) == (True, "parallel")
    assert (found.folder / "adapter_model.safetensors").read_bytes() == (
        source / "adapter_model.safetensors"
    ).read_bytes()
    import_adapter(adapters[1], base=name, base_folder=base, registry=registry, name="mine")
    registry.promote("mine")
    with pytest.raises(ExchangeError, match="mine was trained on what is served below it now"):
        take()
    with pytest.raises(ExchangeError, match="comes with an adapter of its own"):
        take_below(source, base="smollm2-135m-instruct", base_folder=base, registry=registry)
