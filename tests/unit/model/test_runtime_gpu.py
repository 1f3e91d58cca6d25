"""The runtime on a CUDA device: bfloat16 logits stay near the CPU's float32, whatever was reused."""

from pathlib import Path

import numpy as np
import pytest

from model.runtime_transformers import TransformersRuntime

pytestmark = pytest.mark.gpu


def never() -> bool:
    return False


def test_logits_on_the_device_are_near_those_of_the_processor(tiny_base: Path):
    there, here = TransformersRuntime(tiny_base, device="cuda"), TransformersRuntime(tiny_base, device="cpu")
    for tail in ([5, 6, 7, 8], [5, 6, 9], [5, 6, 9, 10, 11]):
        for runtime in (there, here):
            runtime.encode([[1, 2, 3]], never)
        answers = [runtime.extend(tail, never).logits for runtime in (there, here)]
        np.testing.assert_allclose(answers[0], answers[1], atol=0.1)
