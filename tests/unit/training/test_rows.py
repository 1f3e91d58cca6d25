"""A row is read under the document mask, whoever computes it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from model.positions import Parallel, PositionScheme, Sequential
from model.prompt import Layout
from model.training import network
from model.training.attention import use_block_attention
from model.training.batches import target_logits, token_losses
from model.training.network import load_for_training, load_network, to_bfloat16
from model.training.rows import Row, Segment, joined, plain, segments
from model.training.sft import SftOptions, with_fresh_adapter
from tests.unit.training.reference import assembled_logits, masked_logits, plain_model, served


@pytest.fixture(scope="module")
def reference(tiny_base: Path) -> Any:
    return plain_model(tiny_base)


@pytest.fixture(scope="module")
def blockwise(tiny_base: Path) -> Any:
    model = plain_model(tiny_base)
    use_block_attention(model)
    return model


def test_every_token_with_loss_is_predicted_as_by_one_masked_pass(
    reference: Any, blockwise: Any, layout: Layout
) -> None:
    whole = joined([served(layout), served(layout, prefix="p", suffix=""), served(layout, target="pink\nz=red")])
    for one in (whole, plain(whole), served(layout)):
        wanted = torch.tensor(one.weights).nonzero()[:, 0]
        with torch.no_grad():
            logits, ids, _ = target_logits(blockwise, one)
        torch.testing.assert_close(logits, masked_logits(reference, one)[wanted - 1], atol=1e-4, rtol=0)
        assert ids.tolist() == [one.tokens[number] for number in wanted]


@pytest.mark.parametrize("scheme", [Parallel(128), Sequential()])
def test_a_tail_reads_documents_that_were_encoded_each_alone(
    reference: Any, blockwise: Any, layout: Layout, scheme: PositionScheme
) -> None:
    one = served(layout, scheme=scheme)
    assert any(one.moved) is (scheme.name == "sequential")
    start = one.blocks.index(-1)
    assert sorted(set(one.blocks)) == [-1, 0, 1, 2, 3]
    dense = replace(one, weights=tuple(float(n > start) for n in range(len(one))))
    with torch.no_grad():
        logits, _, _ = target_logits(blockwise, dense)
    torch.testing.assert_close(logits, assembled_logits(reference, one)[:-1], atol=1e-4, rtol=0)


def test_documents_do_change_what_a_tail_expects(blockwise: Any, layout: Layout) -> None:
    one = served(layout)
    swapped = tuple(token + 1 if block == 1 else token for token, block in zip(one.tokens, one.blocks, strict=True))
    other = Row(swapped, one.positions, one.blocks, one.weights)
    with torch.no_grad():
        assert not torch.allclose(target_logits(blockwise, one)[0], target_logits(blockwise, other)[0], atol=1e-3)


def test_loss_lies_on_the_middle_and_on_what_ends_it(layout: Layout) -> None:
    one = served(layout)
    targets = [token for token, weight in zip(one.tokens, one.weights, strict=True) if weight]
    assert layout.form.middle is not None
    assert targets[-1] == layout.form.middle.end
    assert layout.tokens.decode(targets[:-1]).endswith(b"=red")


def test_the_first_token_of_a_block_can_carry_no_loss() -> None:
    with pytest.raises(ValueError, match="first of its block"):
        Row((1, 2, 3), (0, 1, 2), (0, -1, -1), (0.0, 1.0, 1.0))
    with pytest.raises(ValueError, match="different lengths"):
        Row((1, 2, 3), (0, 1, 2), (0, -1, -1), (0.0, 0.0))


@given(st.integers(1, 3), st.lists(st.integers(1, 4), max_size=4), st.lists(st.integers(1, 4), min_size=1, max_size=3))
def test_segments_let_through_exactly_what_the_mask_does(sink: int, documents: list[int], tails: list[int]) -> None:
    blocks = [0] * sink
    for number, length in enumerate(documents, start=1):
        blocks += [number] * length
    for number, length in enumerate(tails, start=1):
        blocks += [-number] * length
    seen = set()
    for segment in segments(blocks):
        for query in range(segment.start, segment.stop):
            keys = [*range(segment.prior), *range(segment.start, query + 1)]
            assert len(keys) == len(set(keys))
            seen |= {(query, key) for key in keys}
    expected = {
        (query, key)
        for query in range(len(blocks))
        for key in range(query + 1)
        if blocks[key] == 0 or blocks[key] == blocks[query] or (blocks[query] < 0 <= blocks[key])
    }
    assert seen == expected


def test_a_plain_row_is_one_run_and_its_tails() -> None:
    one = Row(tuple(range(6)), tuple(range(6)), (0, 1, 2, 2, -1, -1), (0.0,) * 6)
    assert segments(plain(one).blocks) == (Segment(0, 4, 0), Segment(4, 6, 4))
    two = Row(tuple(range(7)), (0, 1, 1, 2, 9, 9, 10), (0, 1, 2, 2, -1, -2, -2), (0.0,) * 7, (0, 0, 1, 1, 0, 0, 0))
    assert plain(two) == Row(two.tokens, (0, 1, 2, 3, 4, 4, 5), (0, 0, 0, 0, -1, -2, -2), two.weights)


def test_tails_behind_other_documents_share_no_row(layout: Layout) -> None:
    other = Row((9, 9, 1), (0, 1, 2), (0, 1, -1), (0.0, 0.0, 0.0))
    with pytest.raises(ValueError, match="same documents"):
        joined([served(layout), other])


def test_narrow_matrices_learn_nearly_what_wide_ones_do(tiny_base: Path, layout: Layout) -> None:
    one = served(layout)
    losses = []
    for narrow in (False, True):
        model = load_network(tiny_base)
        if narrow:
            to_bfloat16(model)
        types = {p.dtype for name, p in model.named_parameters() if ".layers." in name and p.ndim == 2}
        assert types == {torch.bfloat16 if narrow else torch.float32}
        model = with_fresh_adapter(model, SftOptions(rank=2, alpha=4))
        loss = token_losses(model, one)[0].mean()
        loss.backward()
        taught = [p.grad for p in model.parameters() if p.requires_grad]
        assert all(gradient is not None and gradient.dtype == torch.float32 for gradient in taught)
        losses.append(float(loss.detach()))
    assert losses[1] == pytest.approx(losses[0], rel=0.02)
    assert losses[0] != losses[1]


def test_a_night_computes_in_what_the_processor_can(tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "computes_bfloat16", lambda: True)
    small = load_for_training(tiny_base)
    assert small.get_decoder().layers[0].mlp.up_proj.weight.dtype == torch.float32
    monkeypatch.setattr(network, "LEAST_WIDTH", small.config.hidden_size)
    for can in (False, True):
        monkeypatch.setattr(network, "computes_bfloat16", lambda can=can: can)
        model = load_for_training(tiny_base)
        assert (model.get_decoder().layers[0].mlp.up_proj.weight.dtype == torch.bfloat16) is can
        assert model.get_input_embeddings().weight.dtype == torch.float32
