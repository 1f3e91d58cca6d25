"""A shipped adapter lies below every other one: nights read, train and measure on top of it, as serving serves."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from safetensors.torch import load_file

from index.lora import UnusableAdapterError
from model.adapters import WEIGHTS_FILE, Registry, RegistryError, check_folder
from model.checkpoint import load_tensors
from model.document import Document
from model.evaluation.comparison import measure
from model.lineage import fitting, promote_fitting
from model.shipped import DamagedInstallationError, Shipped, read_shipped, shipped
from model.tokens import Tokens
from model.training.network import load_network
from model.training.night import run_night
from model.training.night_data import NightOptions
from model.training.pretraining import write_adapter
from model.training.serving import serving_format
from model.training.sft import SftOptions, train
from tests.unit.training.tiny_language import HABITS, OTHER_HABITS, written

SFT = SftOptions(rank=4, alpha=8, learning_rate=1e-2, epochs=6, batch=4)
OPTIONS = NightOptions(minimum_regions=20, distance_bound=20.0, sft=SFT)


@pytest.fixture(scope="module")
def anchor(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Shipped:
    """An adapter that knows the other habits."""
    folder = tmp_path_factory.mktemp("anchor")
    sequences = [serving_format(tiny_base)(example) for example in written(OTHER_HABITS, 60, start=1000)]
    model, _ = train(load_network(tiny_base), sequences, options=SFT, budget_seconds=600, run_folder=folder / "run")
    write_adapter(model, folder / "adapter", "tiny", {"fills_middle": True, "scheme": "parallel"})
    return read_shipped(folder / "adapter")


def test_a_night_begins_with_what_the_anchor_knows(tiny_base: Path, anchor: Shipped, tmp_path: Path) -> None:
    registry = Registry(tmp_path / "adapters")
    little = replace(OPTIONS, sft=replace(SFT, epochs=1, learning_rate=1e-4))
    verdict = run_night(
        written(OTHER_HABITS, 60),
        base="tiny",
        base_folder=tiny_base,
        registry=registry,
        anchor=anchor,
        options=little,
    )
    assert verdict.figures["later_before"] < 0.3
    assert verdict.figures["first_loss"] < 0.5
    assert verdict.adapter is not None
    assert registry.record(verdict.adapter)["anchor"] == check_folder(anchor.folder)


def test_an_adapter_is_not_served_on_top_of_anything_else(tiny_base: Path, anchor: Shipped, tmp_path: Path) -> None:
    registry = Registry(tmp_path / "adapters")
    verdict = run_night(
        written(HABITS, 60), base="tiny", base_folder=tiny_base, registry=registry, anchor=anchor, options=OPTIONS
    )
    assert verdict.status == "promoted", verdict.reason
    champion = registry.champion("tiny")
    assert champion is not None
    assert fitting(registry, champion, anchor) == champion
    with pytest.raises(RegistryError, match="another version of what comes with Inkling"):
        fitting(registry, champion, None)
    with pytest.raises(RegistryError, match="not served"):
        promote_fitting(registry, champion.name)
    registry.amend(champion.name, lambda record: {key: value for key, value in record.items() if key != "anchor"})
    assert fitting(registry, champion, None) == champion  # one that does not say on what it was trained


def test_a_night_is_held_against_the_bare_base_where_the_champion_fits_no_more(
    tiny_base: Path, anchor: Shipped, tmp_path: Path
) -> None:
    registry = Registry(tmp_path / "adapters")
    night = partial(run_night, base="tiny", base_folder=tiny_base, registry=registry, options=OPTIONS)
    assert night(written(OTHER_HABITS, 60)).status == "promoted"
    verdict = night(written(HABITS, 90), anchor=anchor)
    assert "the base as it came" in verdict.reason
    assert verdict.status == "promoted", verdict.reason


def test_what_a_night_measured_is_what_both_adapters_together_say(
    tiny_base: Path, anchor: Shipped, tmp_path: Path
) -> None:
    registry = Registry(tmp_path / "adapters")
    examples = written(HABITS, 60)
    verdict = run_night(examples, base="tiny", base_folder=tiny_base, registry=registry, anchor=anchor, options=OPTIONS)
    assert verdict.status == "promoted", verdict.reason
    champion = registry.champion("tiny")
    assert champion is not None
    encode = serving_format(tiny_base, anchor)
    later = [encode(example) for example in examples if example.id in registry.record(champion.name)["later_examples"]]
    together = load_network(tiny_base, [anchor.folder, champion.folder])
    assert measure(together, later).losses.mean() == pytest.approx(verdict.figures["later_after"], abs=1e-3)
    alone = load_network(tiny_base, [champion.folder])
    assert measure(alone, later).losses.mean() > verdict.figures["later_after"] + 0.05


def test_training_and_serving_merge_the_same_numbers(tiny_base: Path, anchor: Shipped) -> None:
    served = load_tensors(tiny_base, [anchor.folder])
    for name, parameter in load_network(tiny_base, [anchor.folder]).named_parameters():
        assert parameter.detach().numpy() == pytest.approx(served[name], abs=1e-6), name


def test_the_suffix_is_read_only_by_an_anchor_that_learned_to(tiny_base: Path, anchor: Shipped) -> None:
    example = replace(written(HABITS, 1)[0], suffix="\nm=blue\n")
    tokens = Tokens(tiny_base)
    middle, end = tokens.named("<jupyter_code>"), tokens.named("<|endoftext|>")
    row = serving_format(tiny_base, anchor)(example).row
    assert middle in row.tokens
    assert row.tokens[-1] == end
    assert end not in serving_format(tiny_base, anchor)(replace(example, goes_on=True)).row.tokens[1:]
    assert middle not in serving_format(tiny_base)(example).row.tokens
    assert middle not in serving_format(tiny_base, replace(anchor, fills_middle=False))(example).row.tokens


def test_documents_stand_where_the_anchor_learned_them(tiny_base: Path, anchor: Shipped) -> None:
    example = replace(written(HABITS, 1)[0], documents=(Document("b.py", "k=red\n"),))
    start = {}
    for scheme in ("parallel", "sequential"):
        row = serving_format(tiny_base, replace(anchor, scheme=scheme))(example).row
        start[scheme] = row.positions[row.blocks.index(-1)]
    assert start["parallel"] == 128
    assert start["sequential"] < 40


def test_an_adapter_in_bfloat16_says_what_it_can(anchor: Shipped) -> None:
    assert (anchor.fills_middle, anchor.scheme) == (True, "parallel")
    assert {str(tensor.dtype) for tensor in load_file(anchor.folder / WEIGHTS_FILE).values()} == {"torch.bfloat16"}


def test_an_adapter_of_another_base_is_refused(tiny_base: Path, anchor: Shipped, tmp_path: Path) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig.from_pretrained(tiny_base, hidden_size=24)
    LlamaForCausalLM(config).save_pretrained(tmp_path)
    with pytest.raises(UnusableAdapterError, match="another base"):
        load_network(tmp_path, [anchor.folder])


def test_only_bases_of_the_catalog_come_with_an_adapter(tmp_path: Path) -> None:
    (tmp_path / "tiny").mkdir()
    assert shipped("tiny", tmp_path) is None
    assert shipped("path:/somewhere", tmp_path) is None
    assert shipped("smollm2-135m-instruct", tmp_path) is None


def test_a_record_that_cannot_be_read_is_one_clear_error(tmp_path: Path) -> None:
    folder = tmp_path / "smollm2-135m-instruct"
    folder.mkdir()
    (folder / "metadata.json").write_text('{"scheme": "parallel"}')
    with pytest.raises(DamagedInstallationError, match="Install Inkling again"):
        shipped("smollm2-135m-instruct", tmp_path)
