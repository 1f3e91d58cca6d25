"""What only the torch runtime has: two ways to attend, passes in chunks, bfloat16, and what CUDA graphs replay.

No GPU is needed here. `test_runtimes.py` has what every runtime must do, `test_runtime_gpu.py` what only a GPU shows.
"""

import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from model.positions import scheme_for
from model.prompt import Prompt
from model.rotation import turned
from model.runtimes import torch_attention
from model.runtimes.runtime import OutOfMemoryError
from model.runtimes.torch_attention import Attention
from model.runtimes.torch_graphs import DecodeGraphs
from model.runtimes.torch_runtime import CHUNK, TorchRuntime
from model.shape import ModelShape, UnsupportedModelError, read_shape
from tests.unit.model.reference import MaskedReference

CLOSE = {"atol": 1e-4, "rtol": 1e-4}


@pytest.fixture(scope="module")
def runtime(tiny_base: Path) -> TorchRuntime:
    return TorchRuntime(tiny_base, threads=1, device="cpu")


@pytest.fixture
def shape(tiny_base: Path) -> ModelShape:
    return read_shape(tiny_base)


def some(seed: int, count: int) -> list[int]:
    found: list[int] = np.random.default_rng(seed).integers(5, 300, count).tolist()
    return found


def parts(shape: ModelShape, count: int, past: int, scale: float = 1.0) -> tuple[torch.Tensor, ...]:
    seeded = torch.Generator().manual_seed(count)
    sizes = ((shape.heads, count), *[(shape.kv_heads, past + count)] * 2)
    return tuple(scale * torch.randn(*size, shape.head_dim, generator=seeded) for size in sizes)


def attended(shape: ModelShape, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """torch's own attention in float32, with the keys repeated and the mask written out."""
    repeated = (part.float().repeat_interleave(shape.groups, 0) for part in (keys, values))
    count, total = queries.shape[1], keys.shape[1]
    mask = torch.ones(count, total, dtype=torch.bool).tril(total - count)
    found = torch.nn.functional.scaled_dot_product_attention(queries.float(), *repeated, attn_mask=mask)
    return found.transpose(0, 1).flatten(1)


@pytest.mark.parametrize("scale", [1.0, 30.0], ids=["small scores", "large scores"])
@pytest.mark.parametrize(("count", "past"), [(1, 0), (1, 40), (6, 0), (6, 1), (70, 300)])
@pytest.mark.parametrize("kv_heads", [4, 2, 1])
@pytest.mark.parametrize("kernel", ["flash", "plain"])
def test_attention_in_two_parts_is_attention(
    shape: ModelShape, monkeypatch: pytest.MonkeyPatch, kernel: str, kv_heads: int, count: int, past: int, scale: float
):
    if kernel == "plain":
        monkeypatch.setattr(torch_attention, "_FLASH", {})
    sizes = replace(shape, kv_heads=kv_heads)
    attention = Attention(sizes, "cpu", torch.float32)
    assert attention.flash == (kernel == "flash")
    given = parts(sizes, count, past, scale)
    expected = attended(sizes, *given)
    torch.testing.assert_close(attention.causal(*given, past), expected, **CLOSE)
    visible = torch.ones(count, past + count, dtype=torch.bool).tril(past)
    torch.testing.assert_close(attention.masked(*given, visible), expected, **CLOSE)


@pytest.mark.parametrize("kernel", ["flash", "plain"])
def test_attention_in_bfloat16_loses_what_rounding_its_inputs_loses(
    shape: ModelShape, monkeypatch: pytest.MonkeyPatch, kernel: str
):
    if kernel == "plain":
        monkeypatch.setattr(torch_attention, "_FLASH", {})
    given = [part.bfloat16() for part in parts(shape, 20, 200, 2.0)]
    found = Attention(shape, "cpu", torch.bfloat16).causal(*given, 200)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), attended(shape, *given), atol=0.03, rtol=0.03)


def test_a_kernel_that_is_not_there_or_computes_something_else_is_not_used(
    shape: ModelShape, monkeypatch: pytest.MonkeyPatch
):
    def nonsense(self: Attention, queries: torch.Tensor, *_: Any, **__: Any) -> tuple[torch.Tensor, torch.Tensor]:
        return queries, queries[..., 0]

    with monkeypatch.context() as other:
        other.setattr(Attention, "_flash", nonsense)
        assert not Attention(shape, "cpu", torch.float32).flash
    monkeypatch.setattr(torch_attention, "_FLASH", {"cpu": "no_such_kernel"})
    assert not Attention(shape, "cpu", torch.float32).flash


def test_more_than_a_chunk_is_one_pass(tiny_base: Path, runtime: TorchRuntime):
    tokens = some(0, 2 * CHUNK + 30)
    expected = MaskedReference(tiny_base).logits(Prompt((), (), tuple(tokens), b""))
    position, buffer = scheme_for("parallel", 1024).tail(0, []), runtime.buffer(len(tokens))
    np.testing.assert_allclose(runtime.forward(buffer, tokens, 0, position, "all"), expected, **CLOSE)
    np.testing.assert_allclose(runtime.forward(buffer, tokens, 0, position), expected[-1:], **CLOSE)
    assert runtime.forward(buffer, tokens, 0, position, "none").shape == (0, expected.shape[1])


def test_queries_of_more_than_a_chunk_are_those_of_its_parts(runtime: TorchRuntime):
    tokens, one, two = some(1, CHUNK + 9), runtime.buffer(300), runtime.buffer(300)
    whole = runtime.queries(one, tokens, 0, 0)
    apart = [runtime.queries(two, tokens[at : at + 53], at, at) for at in range(0, len(tokens), 53)]
    np.testing.assert_allclose(whole, np.concatenate(apart, axis=1), **CLOSE)
    with pytest.raises(ValueError, match="do not fit"):
        runtime.queries(one, tokens, 290, 290)


def test_keys_are_turned_as_on_the_host(runtime: TorchRuntime):
    one, two = runtime.buffer(16), runtime.buffer(16)
    runtime.forward(one, some(2, 10), 0, 0, "none")
    stored = one.read(2, 10)
    two.write(0, stored, 77)
    np.testing.assert_allclose(two.read(0, 8).keys, turned(stored.keys, 77, runtime.shape), atol=1e-5)
    np.testing.assert_array_equal(two.read(0, 8).values, stored.values)


def test_what_was_read_does_not_change_with_the_buffer(runtime: TorchRuntime):
    buffer = runtime.buffer(10)
    runtime.forward(buffer, some(2, 10), 0, 0, "none")
    stored = buffer.read(0, 10)
    before = stored.keys.copy()
    runtime.forward(buffer, some(3, 10), 0, 0, "none")
    np.testing.assert_array_equal(stored.keys, before)


def test_bfloat16_leaves_and_comes_back_bit_by_bit(tiny_base: Path):
    runtime = TorchRuntime(tiny_base, threads=1, device="cpu", dtype="bfloat16")
    assert (runtime.name, runtime.dtype) == ("torch-cpu-bfloat16", "bfloat16")
    one, two = runtime.buffer(40), runtime.buffer(40)
    expected = runtime.forward(one, some(4, 30), 0, 0)
    stored = one.read(0, 29)
    assert stored.keys.dtype == stored.values.dtype == np.uint16
    two.write(0, runtime.upload(stored.part(0, 11)))
    two.write(11, stored.part(11, 29))
    np.testing.assert_array_equal(two.read(0, 29).keys, stored.keys)
    np.testing.assert_array_equal(two.read(0, 29).values, stored.values)
    np.testing.assert_allclose(runtime.forward(two, some(4, 30)[29:], 29, 29), expected, atol=0.05, rtol=0.05)


def test_bfloat16_stays_near_float32(tiny_base: Path, runtime: TorchRuntime):
    near, tokens = TorchRuntime(tiny_base, threads=1, device="cpu", dtype="bfloat16"), some(5, 60)
    one = near.forward(near.buffer(64), tokens, 0, 0, "all")
    two = runtime.forward(runtime.buffer(64), tokens, 0, 0, "all")
    assert np.abs(one - two).mean() < 0.02 * np.abs(two).mean() + 0.01


def test_adapters_compute_what_peft_computes(
    tiny_base: Path, make_adapter: Callable[[int], Path], runtime: TorchRuntime
):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    tokens = some(6, 40)
    for seed in (1, 2):
        adapter = make_adapter(seed)
        base = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32)
        with torch.inference_mode():
            expected = PeftModel.from_pretrained(base, adapter).eval()(torch.tensor([tokens])).logits[0].numpy()
        runtime.load_adapters([adapter])
        np.testing.assert_allclose(runtime.forward(runtime.buffer(40), tokens, 0, 0, "all"), expected, **CLOSE)
    runtime.load_adapters([])


def test_weights_stay_where_they_are_when_an_adapter_comes(tiny_base: Path, make_adapter: Callable[[int], Path]):
    """A captured graph has their addresses."""
    runtime = TorchRuntime(tiny_base, threads=1, device="cpu")
    before = {name: tensor.data_ptr() for name, tensor in runtime._network._parameters.items()}
    runtime.load_adapters([make_adapter(1)])
    assert {name: tensor.data_ptr() for name, tensor in runtime._network._parameters.items()} == before


def test_a_tensor_that_is_missing_is_named(tiny_base: Path, tmp_path: Path):
    tensors = load_file(tiny_base / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_bytes((tiny_base / "config.json").read_bytes())
    with pytest.raises(UnsupportedModelError, match=r"model.layers.1.mlp.up_proj.weight.*inkling.model.base"):
        TorchRuntime(tmp_path, threads=1, device="cpu")


def test_every_optional_bias_has_a_size(shape: ModelShape):
    biased = replace(shape, qkv_bias=True, output_bias=True, mlp_bias=True, qk_norm=True, tied=False)
    runtime = TorchRuntime.random(biased, "cpu", threads=1)
    names = {name.partition(".")[2] for name in runtime._network._parameters}
    assert {"qkv.bias", "output.bias", "gate_up.bias", "down.bias", "q_norm", "k_norm"} < names
    assert np.isfinite(runtime.forward(runtime.buffer(8), [1, 2, 3], 0, 0)).all()


def test_a_full_accelerator_is_an_error_that_can_be_answered(runtime: TorchRuntime, monkeypatch: pytest.MonkeyPatch):
    buffer, tokens = runtime.buffer(64), some(7, 20)
    expected = runtime.forward(buffer, tokens, 0, 0)

    def fail_with(error: Exception) -> Callable[..., Any]:
        def fail(*_: Any) -> Any:
            raise error

        return fail

    for full in (torch.OutOfMemoryError("CUDA out of memory."), RuntimeError("MPS backend out of memory")):
        monkeypatch.setattr(runtime._network, "logits", fail_with(full))
        with pytest.raises(OutOfMemoryError, match="out of memory"):
            runtime.forward(buffer, tokens, 0, 0)
    monkeypatch.setattr(runtime._network, "logits", fail_with(RuntimeError("something else")))
    with pytest.raises(RuntimeError, match="something else"):
        runtime.forward(buffer, tokens, 0, 0)
    monkeypatch.undo()
    np.testing.assert_allclose(runtime.forward(buffer, tokens[-1:], 19, 19), expected, **CLOSE)


def test_an_error_that_is_kept_does_not_keep_what_was_computed(runtime: TorchRuntime, monkeypatch: pytest.MonkeyPatch):
    """Otherwise the memory of the failed pass is gone for as long as somebody looks at the error."""
    left = []

    def fail(*_: Any) -> Any:
        activations = torch.zeros(8)
        left.append(weakref.ref(activations))
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(runtime._network, "logits", fail)
    with pytest.raises(OutOfMemoryError) as kept:
        runtime.forward(runtime.buffer(8), [1, 2, 3], 0, 0)
    assert kept.value.__cause__ is not None
    assert left[0]() is None


class Replayed(DecodeGraphs):
    """Graphs of a machine without a GPU: what would be captured is computed again at every replay."""

    def _captured(self, count: int, length: int, example: torch.Tensor) -> Any:
        held = example.clone()

        def compute() -> torch.Tensor:
            return self._network.logits(self._network.forward_static(held[0], held[1], self._slots, held[2], length))

        logits = compute()

        class Graph:
            def replay(self) -> None:
                logits.copy_(compute())

        made = self._graphs[(count, length)] = (Graph(), held, logits)
        return made


def test_what_a_graph_replays_is_what_is_computed_without_it(runtime: TorchRuntime):
    """Over the borders of the lengths 512, 1024 and the capacity, back again, and over slots that hold other things."""
    one, two = runtime.buffer(1100), runtime.buffer(1100)
    one.graphs = Replayed(runtime._network, one.slots, one.capacity)
    prompt = some(8, 1090)
    for buffer in (one, two):
        runtime.forward(buffer, prompt, 0, 0, "none")
    for slot, count in ((505, 1), (506, 5), (511, 1), (512, 9), (521, 10), (1020, 5), (1091, 9), (40, 1), (41, 2)):
        new = some(slot, count)
        for rows in ("all", "last"):
            np.testing.assert_allclose(
                runtime.forward(one, new, slot, slot, rows),
                runtime.forward(two, new, slot, slot, rows),
                **CLOSE,
            )
    np.testing.assert_allclose(one.read(0, 1100).keys, two.read(0, 1100).keys, **CLOSE)
    assert set(one.graphs._graphs) == {(1, 512), (2, 512), (5, 512), (9, 1024), (5, 1100), (9, 1100)}


def test_a_graph_that_cannot_be_captured_is_tried_once(runtime: TorchRuntime):
    class Broken(DecodeGraphs):
        tried = 0

        def _captured(self, count: int, length: int, example: torch.Tensor) -> Any:
            Broken.tried += 1
            raise RuntimeError("operation not permitted when stream is capturing")

    one, two = runtime.buffer(16), runtime.buffer(16)
    one.graphs = Broken(runtime._network, one.slots, one.capacity)
    for at, token in enumerate(some(9, 5)):
        np.testing.assert_array_equal(runtime.forward(one, [token], at, at), runtime.forward(two, [token], at, at))
    assert Broken.tried == 1
