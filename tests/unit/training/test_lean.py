"""Rows side by side through our own network: losses and gradients of transformers' layers, row by row."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from model.positions import Parallel, PositionScheme, Sequential
from model.prompt import Layout
from model.training import lean as lean_module
from model.training.attention import use_block_attention
from model.training.batches import in_packs, target_logits
from model.training.bundles import bundles, packs
from model.training.lean import lean
from model.training.network import load_network, narrow, to_bfloat16
from model.training.rows import Row, joined, plain
from model.training.sft import SftOptions, with_fresh_adapter
from tests.unit.training.reference import plain_model, served

SCHEMES = [Parallel(128), Sequential()]
WHOLE = 10**9  # tokens that one bundle may have


@pytest.fixture(params=["run by run", "under one mask"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to attend, here on the CPU."""
    if request.param == "under one mask":
        monkeypatch.setattr(lean_module, "MASKED_ON", frozenset({"cpu"}))


def rows_of(layout: Layout, scheme: PositionScheme) -> list[Row]:
    """Rows alone, rows that begin alike, one with several tails, one without documents of their own."""
    one = served(layout, scheme=scheme)
    return [
        one,
        one,
        served(layout, target="blue", scheme=scheme),
        served(layout, target="red\nz=pink", scheme=scheme),
        served(layout, prefix="p", suffix="", scheme=scheme),
        joined([one, served(layout, prefix="p", suffix="", scheme=scheme)]),
        plain(one),
    ]


def adapted(folder: Path, narrow: bool = False) -> Any:
    model = load_network(folder)
    if narrow:
        to_bfloat16(model)
    model = with_fresh_adapter(model, SftOptions(rank=4, alpha=8))
    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    return model


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("scheme", SCHEMES)
def test_logits_are_those_of_each_row_alone(tiny_base: Path, layout: Layout, scheme: PositionScheme) -> None:
    model, rows = adapted(tiny_base), rows_of(layout, scheme)
    with torch.inference_mode():
        found = [each for pack in in_packs(model, rows) for each in pack]
        for row, (logits, wanted, weights) in zip(rows, found, strict=True):
            expected = target_logits(model, row)
            torch.testing.assert_close(logits, expected[0], atol=1e-4, rtol=0)
            assert wanted.tolist() == expected[1].tolist()
            assert weights.tolist() == expected[2].tolist()
        with model.disable_adapter():
            ((bare, _, _),) = next(in_packs(model, rows[:1]))
            torch.testing.assert_close(bare, target_logits(model, rows[0])[0], atol=1e-4, rtol=0)
        assert not torch.allclose(bare, found[0][0], atol=1e-3)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("scheme", SCHEMES)
def test_gradients_are_those_of_each_row_alone(tiny_base: Path, layout: Layout, scheme: PositionScheme) -> None:
    model, rows = adapted(tiny_base), rows_of(layout, scheme)

    def gradients(losses: list[torch.Tensor]) -> dict[str, torch.Tensor]:
        model.zero_grad()
        torch.stack(losses).sum().backward()
        return {name: one.grad.clone() for name, one in model.named_parameters() if one.grad is not None}

    told = [each for pack in in_packs(model, rows) for each in pack]
    ours = gradients([functional.cross_entropy(logits, wanted) for logits, wanted, _ in told])
    alone = gradients([functional.cross_entropy(*target_logits(model, row)[:2]) for row in rows])
    assert ours.keys() == alone.keys()
    assert ours
    for name, gradient in ours.items():
        torch.testing.assert_close(gradient, alone[name], atol=1e-5, rtol=1e-3)


@pytest.mark.gpu
@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_gpu_computes_what_transformers_does_there(tiny_base: Path, layout: Layout, scheme: PositionScheme) -> None:
    model, rows = adapted(tiny_base).to("cuda"), rows_of(layout, scheme)
    with torch.inference_mode():
        found = [each for pack in in_packs(model, rows, "cuda") for each in pack]
        for row, (logits, wanted, _) in zip(rows, found, strict=True):
            expected = target_logits(model, row, "cuda")
            torch.testing.assert_close(logits, expected[0], atol=1e-3, rtol=0)
            assert wanted.tolist() == expected[1].tolist()


def test_what_turns_keys_stays_precise_where_weights_are_narrow(tiny_base: Path) -> None:
    """Frequencies in bfloat16 are up to 0.4% off, and so is every angle: at position 500 by most of a radian."""
    model = load_network(tiny_base)
    before = model.model.rotary_emb.inv_freq.clone()
    narrow(model)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    assert model.lm_head.weight.data_ptr() == model.model.embed_tokens.weight.data_ptr()
    torch.testing.assert_close(model.model.rotary_emb.inv_freq, before, atol=0, rtol=0)


def test_layers_in_bfloat16_are_near_those_in_float32(tiny_base: Path, layout: Layout) -> None:
    rows = rows_of(layout, SCHEMES[0])
    with torch.inference_mode():
        wide, narrow = (
            [each[0] for pack in in_packs(adapted(tiny_base, half), rows) for each in pack] for half in (False, True)
        )
    for one, other in zip(wide, narrow, strict=True):
        assert float((torch.log_softmax(one, -1) - torch.log_softmax(other, -1)).abs().max()) < 0.3


def test_what_rows_begin_with_is_laid_down_once(layout: Layout) -> None:
    rows = rows_of(layout, SCHEMES[0])
    found = list(bundles(rows, WHOLE))
    assert [len(each.rows) for each in found] == [5, 1, 1]
    own = len(rows[0])
    assert own < len(found[0]) < own + len(rows[3])
    for each, row in zip(found[0].rows, rows, strict=False):
        assert each.wanted.tolist() == [token for token, weight in zip(row.tokens, row.weights, strict=True) if weight]


def test_rows_that_all_begin_alike_are_not_computed_all_at_once(layout: Layout) -> None:
    alike = rows_of(layout, SCHEMES[0])[:5]
    size = len(alike[0]) + 20
    found = list(bundles(alike * 40, size))
    assert sum(len(each.rows) for each in found) == 200
    assert len(found) > 2
    assert all(len(each) <= size or len(each.rows) == 1 for each in found)
    assert [len(each.rows) for each in bundles(alike, 1)] == [1] * 5
    assert list(bundles([], 1)) == []


def test_packs_hold_so_many_tokens_and_never_nothing(layout: Layout) -> None:
    found = list(bundles(rows_of(layout, SCHEMES[0]), WHOLE))
    assert [len(pack) for pack in packs(found, 1)] == [1, 1, 1]
    assert list(packs(found, 10**9)) == [found]
    assert list(packs([], 5)) == []


def test_a_network_of_another_shape_goes_row_by_row(tiny_base: Path, layout: Layout, monkeypatch: Any) -> None:
    model = plain_model(tiny_base)
    use_block_attention(model)
    monkeypatch.setattr(model.config, "hidden_act", "gelu")
    assert lean(model) is None
    rows = rows_of(layout, SCHEMES[0])
    with torch.inference_mode():
        found = list(in_packs(model, rows))
    assert [len(pack) for pack in found] == [1] * len(rows)
