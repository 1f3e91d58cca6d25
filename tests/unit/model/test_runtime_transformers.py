"""The reference runtime: whatever was reused, the logits are those of one plain forward pass."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from inkling.errors import InklingError
from model.lora import UnusableAdapterError
from model.runtime import CancelledError
from model.runtime_transformers import TransformersRuntime

TOKENS = st.lists(st.integers(10, 60), min_size=1, max_size=30)
Reference = Callable[[list[int], Path | None], np.ndarray]


def never() -> bool:
    return False


@pytest.fixture(scope="module")
def adapters(make_adapter: Callable[[int], Path]) -> list[Path]:
    return [make_adapter(1), make_adapter(2)]


@pytest.fixture(scope="module")
def reference(tiny_base: Path, adapters: list[Path]) -> Reference:
    """Logits after a sequence by transformers and peft themselves, without any cache."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    def load(adapter: Path | None):
        model = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32)
        return (PeftModel.from_pretrained(model, str(adapter)) if adapter else model).eval()

    models = {adapter: load(adapter) for adapter in [None, *adapters]}

    def logits(sequence: list[int], adapter: Path | None) -> np.ndarray:
        with torch.inference_mode():
            return models[adapter](torch.tensor([sequence]), use_cache=False).logits[0, -1].numpy()

    return logits


def test_any_sequence_of_calls_gives_the_logits_of_one_forward_pass(
    tiny_base: Path, adapters: list[Path], reference: Reference
):
    class Machine(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.runtime = TransformersRuntime(tiny_base, chunk=8, device="cpu")
            self.documents: list[int] = []
            self.tail: list[int] = []
            self.adapter: Path | None = None

        def check(self, logits: np.ndarray) -> None:
            expected = reference([*self.documents, *self.tail], self.adapter)
            np.testing.assert_allclose(logits, expected, atol=1e-4, rtol=1e-4)

        @rule(documents=st.lists(TOKENS, max_size=3))
        def encode(self, documents: list[list[int]]) -> None:
            self.runtime.encode(documents, never)
            self.documents = [token for document in documents for token in document]
            self.tail = []

        @rule(kept=st.integers(0, 40), new=TOKENS)
        def edit(self, kept: int, new: list[int]) -> None:
            self.tail = [*self.tail[:kept], *new]
            self.check(self.runtime.extend(self.tail, never).logits)

        @rule(token=st.integers(10, 60))
        def decode(self, token: int) -> None:
            if self.tail:
                self.tail.append(token)
                self.check(self.runtime.decode(token))

        @rule(new=TOKENS, chunks=st.integers(0, 2))
        def be_cancelled(self, new: list[int], chunks: int) -> None:
            looks = iter([False] * chunks)
            tail = [*self.tail, *new]
            try:
                self.check_after(tail, self.runtime.extend(tail, lambda: next(looks, True)).logits)
            except CancelledError:
                self.tail = []

        def check_after(self, tail: list[int], logits: np.ndarray) -> None:
            self.tail = tail
            self.check(logits)

        @rule(adapter=st.sampled_from([None, *adapters]))
        def switch(self, adapter: Path | None) -> None:
            self.runtime.load_adapter(adapter)
            self.adapter, self.tail = adapter, []

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=12, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


def test_typing_on_computes_only_what_is_new(tiny_base: Path):
    runtime = TransformersRuntime(tiny_base)
    runtime.encode([list(range(10, 40))], never)
    runtime.extend(list(range(40, 60)), never)
    answer = runtime.extend([*range(40, 60), 7, 8], never)
    assert (answer.reused_tokens, answer.prefilled_tokens) == (50, 2)


def test_what_a_cancelled_prefill_computed_is_kept(tiny_base: Path):
    runtime = TransformersRuntime(tiny_base, chunk=8)
    looks = iter([False, False])
    with pytest.raises(CancelledError):
        runtime.extend(list(range(10, 50)), lambda: next(looks, True))
    assert runtime.extend(list(range(10, 50)), never).reused_tokens == 16


def test_the_bare_base_comes_back_exactly(tiny_base: Path, adapters: list[Path]):
    runtime = TransformersRuntime(tiny_base)
    before = runtime.extend([11, 12, 13], never).logits
    runtime.load_adapter(adapters[0])
    assert not np.allclose(runtime.extend([11, 12, 13], never).logits, before)
    runtime.load_adapter(None)
    assert np.array_equal(runtime.extend([11, 12, 13], never).logits, before)


def test_an_adapter_that_does_not_fit_leaves_the_one_before(tiny_base: Path, adapters: list[Path], tmp_path: Path):
    runtime = TransformersRuntime(tiny_base)
    runtime.load_adapter(adapters[0])
    before = runtime.extend([11, 12, 13], never).logits
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (tmp_path / name).write_bytes((adapters[1] / name).read_bytes()[:200])
    with pytest.raises(UnusableAdapterError):
        runtime.load_adapter(tmp_path)
    np.testing.assert_allclose(runtime.extend([11, 12, 13], never).logits, before, atol=1e-5)


def test_more_tokens_than_positions_are_refused(tiny_base: Path):
    runtime = TransformersRuntime(tiny_base)
    with pytest.raises(InklingError, match="1025 tokens do not fit into 1024"):
        runtime.extend([11] * 1025, never)


def test_the_buffers_grow_beyond_their_first_size(tiny_base: Path, reference: Reference):
    runtime = TransformersRuntime(tiny_base)
    sequence = [10 + number % 50 for number in range(1020)]
    runtime.extend(sequence[:1000], never)
    np.testing.assert_allclose(runtime.extend(sequence, never).logits, reference(sequence, None), atol=1e-4, rtol=1e-4)
