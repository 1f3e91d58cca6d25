"""Every runtime against transformers: whatever is computed in pieces, moved or merged, the logits are the same."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from index.lora import UnusableAdapterError
from inkling.errors import UserError
from model.positions import SchemeName, scheme_for
from model.prompt import Prompt
from model.runtimes.onnx_runtime import OnnxRuntime
from model.runtimes.runtime import Runtime
from model.runtimes.torch_runtime import TorchRuntime
from tests.unit.model.reference import MaskedReference, random_network

VOCABULARY, CLOSE = 120, {"atol": 1e-4, "rtol": 1e-4}
Open = Callable[..., Runtime]


def onnx(folder: Path, *adapters: Path) -> OnnxRuntime:
    return OnnxRuntime(folder, adapters, precision="float32", threads=1)


def lean(folder: Path, *adapters: Path) -> TorchRuntime:
    return TorchRuntime(folder, adapters, threads=1, device="cpu")


RUNTIMES = pytest.mark.parametrize("open_one", [onnx, lean], ids=["onnx", "torch"])
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 128,
}
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama, tied": ("llama", {"tie_word_embeddings": True}),
    "llama, biases, no groups": ("llama", {"attention_bias": True, "mlp_bias": True, "num_key_value_heads": 4}),
    "llama 3 frequencies": ("llama", {"rope_parameters": LLAMA3}),
    "llama, stretched positions": (
        "llama",
        {"rope_parameters": {"rope_type": "linear", "rope_theta": 10_000.0, "factor": 4.0}},
    ),
    "mistral": ("mistral", {"sliding_window": None}),
    "qwen2": ("qwen2", {"tie_word_embeddings": True}),
    "qwen3": ("qwen3", {}),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A small random network of each family."""
    return {
        name: random_network(tmp_path_factory.mktemp("families") / "weights", family, **more)
        for name, (family, more) in FAMILIES.items()
    }


def some(seed: int, count: int) -> tuple[int, ...]:
    return tuple(np.random.default_rng(seed).integers(5, VOCABULARY, count).tolist())


@RUNTIMES
@pytest.mark.parametrize("family", FAMILIES)
def test_a_forward_pass_is_that_of_transformers_however_it_is_cut(
    folders: dict[str, Path], open_one: Open, family: str
):
    tokens = some(0, 90)
    expected = MaskedReference(folders[family]).logits(Prompt((), (), tokens, b""))
    runtime = open_one(folders[family])
    position = scheme_for("parallel", 1024).tail(0, [])
    whole, pieces = runtime.buffer(100), runtime.buffer(100)
    np.testing.assert_allclose(runtime.forward(whole, tokens, 0, position, "all"), expected, **CLOSE)
    np.testing.assert_allclose(runtime.forward(whole, tokens[-1:], 89, position + 89), expected[-1:], **CLOSE)
    at = 0
    for size in (1, 30, 1, 1, 57):
        logits = runtime.forward(pieces, tokens[at : at + size], at, position + at)
        at += size
        np.testing.assert_allclose(logits[0], expected[at - 1], **CLOSE)


@RUNTIMES
@pytest.mark.parametrize("scheme", ["parallel", "sequential"])
@pytest.mark.parametrize("family", ["llama, tied", "llama 3 frequencies", "qwen3"])
def test_documents_that_were_encoded_apart_are_one_masked_forward_pass(
    folders: dict[str, Path], open_one: Open, family: str, scheme: SchemeName
):
    sink, documents, tail = some(1, 3), (some(2, 20), some(3, 31), some(4, 5)), some(5, 25)
    expected = MaskedReference(folders[family]).logits(Prompt(sink, documents, tail, b""), scheme)
    runtime, placed = open_one(folders[family]), scheme_for(scheme, 1024)
    apart, together = runtime.buffer(60), runtime.buffer(100)
    runtime.forward(apart, sink, 0, 0, "none")
    together.write(0, apart.read(0, 3))
    lengths, slot = [len(document) for document in documents], 3
    for document, start in zip(documents, placed.starts(3, lengths), strict=True):
        runtime.forward(apart, document, 3, 3, "none")
        together.write(slot, runtime.upload(apart.read(3, 3 + len(document))), start - 3)
        slot += len(document)
    logits = runtime.forward(together, tail, slot, placed.tail(3, lengths), "all")
    np.testing.assert_allclose(logits, expected, **CLOSE)


@RUNTIMES
def test_going_back_costs_nothing_and_leaves_no_trace(folders: dict[str, Path], open_one: Open):
    runtime = open_one(folders["llama, tied"])
    buffer, fresh = runtime.buffer(64), runtime.buffer(64)
    runtime.forward(buffer, some(1, 40), 0, 0)
    runtime.forward(buffer, some(2, 20), 10, 10)
    again = runtime.forward(buffer, some(3, 5), 12, 12)
    expected = runtime.forward(fresh, [*some(1, 10), *some(2, 2), *some(3, 5)], 0, 0)
    np.testing.assert_allclose(again, expected, **CLOSE)


@RUNTIMES
def test_more_tokens_than_slots_are_refused(folders: dict[str, Path], open_one: Open):
    runtime = open_one(folders["llama, tied"])
    with pytest.raises(ValueError, match="do not fit into 8 slots"):
        runtime.forward(runtime.buffer(8), some(1, 9), 0, 0)


@RUNTIMES
def test_queries_score_keys_as_the_network_does(folders: dict[str, Path], open_one: Open):
    """Rotated queries of a token times its rotated keys: the same for every shift of both."""
    runtime = open_one(folders["qwen3"])
    buffer = runtime.buffer(32)
    runtime.forward(buffer, some(1, 20), 0, 0)
    here = runtime.queries(buffer, some(1, 20)[16:], 16, 16)
    assert here.shape == (2, 4, 4, 16)
    scores = np.einsum("nhd,td->nht", here[0], buffer.read(0, 16).keys[0, 0])
    moved = runtime.buffer(32)
    runtime.forward(moved, some(1, 20), 0, 100)
    there = runtime.queries(moved, some(1, 20)[16:], 16, 116)
    np.testing.assert_allclose(np.einsum("nhd,td->nht", there[0], moved.read(0, 16).keys[0, 0]), scores, atol=1e-3)


@RUNTIMES
def test_adapters_are_merged_and_taken_out_without_a_trace(
    tiny_base: Path, make_adapter: Callable[[int], Path], open_one: Open
):
    one, two = make_adapter(1), make_adapter(2)
    reference, prompt = MaskedReference(tiny_base), Prompt((), (), some(0, 30), b"")
    runtime = open_one(tiny_base, one)
    position = scheme_for("parallel", 1024).tail(0, [])

    def logits() -> np.ndarray:
        return runtime.forward(runtime.buffer(32), prompt.tail, 0, position, "all")

    np.testing.assert_allclose(logits(), reference.logits(prompt, adapters=[one]), **CLOSE)
    runtime.load_adapters([one, two])
    np.testing.assert_allclose(logits(), reference.logits(prompt, adapters=[one, two]), **CLOSE)
    runtime.load_adapters([])
    np.testing.assert_allclose(logits(), reference.logits(prompt), **CLOSE)


@RUNTIMES
def test_an_adapter_that_does_not_fit_changes_nothing(
    tiny_base: Path, make_adapter: Callable[[int], Path], tmp_path: Path, open_one: Open
):
    adapter = make_adapter(1)
    runtime = open_one(tiny_base, adapter)
    before = runtime.forward(runtime.buffer(8), some(0, 5), 0, 0)
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (tmp_path / name).write_bytes((adapter / name).read_bytes()[:200])
    with pytest.raises(UnusableAdapterError):
        runtime.load_adapters([tmp_path])
    np.testing.assert_array_equal(runtime.forward(runtime.buffer(8), some(0, 5), 0, 0), before)


@pytest.mark.parametrize(("precision", "bound"), [("int8", 0.05), ("int4", 0.6)])
def test_quantised_weights_stay_near(tiny_base: Path, precision: Any, bound: float):
    exact = onnx(tiny_base)
    near = OnnxRuntime(tiny_base, precision=precision, threads=1)
    tokens = some(3, 40)
    one = exact.forward(exact.buffer(64), tokens, 0, 0, "all")
    two = near.forward(near.buffer(64), tokens, 0, 0, "all")
    assert np.abs(one - two).mean() < bound * np.abs(one).mean() + bound


def test_what_a_token_computes_does_not_depend_on_its_neighbours_when_quantised(tiny_base: Path):
    runtime = OnnxRuntime(tiny_base, precision="int8", threads=1)
    tokens, one_by_one = some(3, 24), runtime.buffer(32)
    together = runtime.forward(runtime.buffer(32), tokens, 0, 0, "all")
    apart = [runtime.forward(one_by_one, [token], at, at)[0] for at, token in enumerate(tokens)]
    np.testing.assert_allclose(np.stack(apart), together, atol=0.05 * float(np.abs(together).max()))


def test_weights_of_no_meaning_compute_and_take_no_adapter(folders: dict[str, Path]):
    runtime = TorchRuntime.random(lean(folders["qwen2"]).shape, "cpu", threads=1)
    assert runtime.forward(runtime.buffer(8), [1, 2, 3], 0, 0).shape == (1, VOCABULARY)
    with pytest.raises(ValueError, match="no adapter"):
        runtime.load_adapters([])


def test_heads_that_onnx_runtime_cannot_attend_with_are_named(tiny_base: Path, tmp_path: Path):
    config = (tiny_base / "config.json").read_text().replace('"head_dim": 16', '"head_dim": 8')
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(UserError, match=r"heads of 8.*inkling.model.runtime"):
        OnnxRuntime(tmp_path)
