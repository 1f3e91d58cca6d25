"""What a configuration asks for: read where it is supported, named where it is not."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.shape import UnsupportedModelError, fingerprint, read_shape

LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "hidden_act": "silu",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 100,
    "max_position_embeddings": 512,
    "rms_norm_eps": 1e-5,
}


def folder(path: Path, **more: Any) -> Path:
    (path / "config.json").write_text(json.dumps({**LLAMA, **more}))
    return path


def test_sizes_are_read(tmp_path: Path):
    shape = read_shape(folder(tmp_path, tie_word_embeddings=True))
    assert (shape.head_dim, shape.groups, shape.tied, shape.qk_norm) == (16, 2, True, False)
    assert shape.kv_bytes(10, 4) == 2 * 2 * 2 * 16 * 4 * 10


def test_frequencies_of_the_older_and_the_newer_way_of_writing_are_the_same(tmp_path: Path):
    old = read_shape(folder(tmp_path, rope_theta=500.0)).inverse_frequencies()
    new = read_shape(folder(tmp_path, rope_parameters={"rope_type": "default", "rope_theta": 500.0}))
    np.testing.assert_array_equal(old, new.inverse_frequencies())


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"model_type": "gemma"}, "gemma"),
        ({"hidden_act": "gelu"}, "gelu"),
        ({"model_type": "mistral", "sliding_window": 128}, "sliding window of 128"),
        ({"model_type": "qwen2", "use_sliding_window": True, "sliding_window": 128}, "sliding window"),
        ({"rope_parameters": {"rope_type": "yarn", "factor": 4.0}}, "yarn"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor"),
    ],
)
def test_what_is_not_supported_is_named(tmp_path: Path, more: dict[str, Any], named: str):
    with pytest.raises(UnsupportedModelError, match=named) as error:
        read_shape(folder(tmp_path, **more))
    assert "inkling.model.base" in str(error.value)


def test_a_window_as_long_as_the_positions_is_no_window(tmp_path: Path):
    assert read_shape(folder(tmp_path, model_type="mistral", sliding_window=512)).family == "mistral"


def test_other_weights_have_another_fingerprint(tiny_base: Path, tmp_path: Path):
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((tiny_base / name).read_bytes())
    assert fingerprint(tmp_path) == fingerprint(tiny_base)
    weights = bytearray((tmp_path / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (tmp_path / "model.safetensors").write_bytes(weights)
    assert fingerprint(tmp_path) != fingerprint(tiny_base)


def test_weights_that_differ_only_in_one_matrix_have_another_fingerprint(tmp_path: Path):
    (tmp_path / "config.json").write_text("{}")
    weights = bytearray(1 << 20)
    (tmp_path / "model.safetensors").write_bytes(weights)
    before = fingerprint(tmp_path)
    for place in range(400_000, 600_000, 2):  # 200 kB in the middle, as a training of one projection would leave them
        weights[place] ^= 1
    (tmp_path / "model.safetensors").write_bytes(weights)
    assert fingerprint(tmp_path) != before


@pytest.mark.parametrize("size", [0, 1, 100_000, 150_000])
def test_weights_of_any_size_are_read_to_the_end(size: int, tmp_path: Path):
    (tmp_path / "config.json").write_text("{}")
    file = tmp_path / "model.safetensors"
    file.write_bytes(bytes(size))
    before = fingerprint(tmp_path)
    file.write_bytes(bytes(size) + b"\1")
    longer = fingerprint(tmp_path)
    file.write_bytes(bytes(size) + b"\2")
    assert len({before, longer, fingerprint(tmp_path)}) == 3
