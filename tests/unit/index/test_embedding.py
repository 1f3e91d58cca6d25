"""Our encoder against sentence-transformers: the same vectors, in any company, and a fall-back for the rest."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from index import onnx_encoder
from index.embedding import Embedder, NoEmbeddingWeightsError
from index.onnx_encoder import KIND, OnnxEncoder
from model.weights import resolve

TEXTS = [
    "def area(radius):\n    return 3.14 * radius ** 2",
    "class Cache:\n    def get(self, key):\n        return self._entries.get(key)",
    "how long do we wait before a request is tried again",
    "x",
    "retries = 3\n" * 200,
]


@pytest.fixture(scope="module")
def folder() -> Path:
    return resolve("all-minilm-l6-v2")


@pytest.fixture(scope="module")
def embedder(folder: Path) -> Embedder:
    return Embedder(folder, adapter=None, threads=1)


pytestmark = pytest.mark.weights


def test_vectors_are_those_of_sentence_transformers_up_to_rounding(folder: Path, embedder: Embedder):
    from sentence_transformers import SentenceTransformer

    reference = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    expected = reference.encode(TEXTS, normalize_embeddings=True)
    assert ((embedder.encode(TEXTS) * expected).sum(axis=1) > 0.995).all()


def test_the_graph_in_float32_is_exact(folder: Path):
    from sentence_transformers import SentenceTransformer

    shape = OnnxEncoder.fitting(folder)
    assert shape is not None
    exact = OnnxEncoder(folder, shape, threads=1, weights="float32").encode(TEXTS)
    reference = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    np.testing.assert_allclose(exact, reference.encode(TEXTS, normalize_embeddings=True), atol=1e-4)


def test_a_text_has_the_same_vector_in_any_company(embedder: Embedder):
    together = embedder.encode(TEXTS)
    alone = np.concatenate([embedder.encode([text]) for text in TEXTS])
    np.testing.assert_allclose(together, alone, atol=5e-3)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1.0, atol=1e-5)


@pytest.mark.parametrize(
    "text", ["", "\x00\x01\ufffd", "\n" * 5000, "a" * 100_000, "\U0001f600" * 400, "\ud800", "a b " * 600]
)
def test_any_text_has_a_vector(embedder: Embedder, text: str):
    vector = embedder.encode([text])
    assert vector.shape == (1, 384)
    assert np.isfinite(vector).all()


def test_no_texts_are_no_vectors(embedder: Embedder):
    assert embedder.encode([]).shape[0] == 0


def test_the_layout_for_processors_that_saturate_gives_the_same_vectors_up_to_rounding(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    near = 0.98 if onnx_encoder._saturates() else 0.995  # here the other layout is the one that is not exact
    vectors = []
    for saturates in (False, True):
        monkeypatch.setattr("index.onnx_encoder._saturates", lambda saturates=saturates: saturates)
        vectors.append(Embedder(folder, adapter=None, threads=1).encode(TEXTS))
    signed, unsigned = vectors
    assert ((signed * unsigned).sum(axis=1) > near).all()
    assert (signed != unsigned).any()  # it was another layout


def test_threads_share_the_texts_and_change_nothing(folder: Path, embedder: Embedder):
    texts = [text * times for text in TEXTS for times in (1, 3, 7)]
    several = Embedder(folder, adapter=None, threads=3).encode(texts)
    np.testing.assert_array_equal(several, embedder.encode(texts))


def test_vectors_of_different_encoders_have_different_names(folder: Path, monkeypatch: pytest.MonkeyPatch):
    ours = Embedder(folder).model
    monkeypatch.setattr("index.onnx_encoder.find_spec", lambda name: None)
    theirs = Embedder(folder).model
    assert ours.startswith(f"{theirs}-{KIND}-")  # and the version of the head


def test_the_shipped_head_finds_the_part_that_answers(folder: Path):
    embedder = Embedder(folder, threads=1)
    vectors, parts = embedder.encode_parts(TEXTS)
    vector, question = embedder.encode_question("surface of a circle, given its radius")
    assert parts is not None
    assert question is not None
    assert [one.shape[1] for one in parts] == [64] * len(TEXTS)
    np.testing.assert_array_equal(vectors, embedder.encode(TEXTS))
    assert vector.shape == (384,)
    close = question.closeness(parts)
    assert max(close) == close[0]


def test_other_weights_have_no_parts(embedder: Embedder):
    assert embedder.encode_parts(TEXTS[:1])[1] is None
    assert embedder.encode_question("x")[1] is None


def test_without_onnxruntime_sentence_transformers_encodes(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("index.onnx_encoder.find_spec", lambda name: None)
    embedder = Embedder(folder, threads=1)
    assert embedder.encode([*TEXTS[:1], "\ud800"]).shape == (2, 384)
    assert embedder.encode([]).shape == (0, 384)


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("config.json", {"model_type": "mpnet"}),
        ("config.json", {"hidden_act": "relu"}),
        ("config.json", {"layer_norm_eps": None}),
        ("config.json", {"num_hidden_layers": 7}),
        ("sentence_bert_config.json", {"do_lower_case": True}),
        ("1_Pooling/config.json", {"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True}),
    ],
)
def test_a_model_of_another_kind_is_left_to_sentence_transformers(
    folder: Path, tmp_path: Path, file: str, change: dict
):
    other = linked(folder, tmp_path)
    content = json.loads((folder / file).read_text())
    (other / file).unlink()
    (other / file).write_text(json.dumps(content | change))
    assert OnnxEncoder.fitting(other) is None
    assert KIND not in Embedder(other).model


def test_a_module_after_the_pooling_is_left_to_sentence_transformers(folder: Path, tmp_path: Path):
    other = linked(folder, tmp_path)
    modules = json.loads((folder / "modules.json").read_text())
    modules[2]["type"] = "sentence_transformers.models.Dense"
    (other / "modules.json").unlink()
    (other / "modules.json").write_text(json.dumps(modules))
    assert OnnxEncoder.fitting(other) is None


def test_weights_in_halves_are_read(folder: Path, tmp_path: Path, embedder: Embedder):
    from safetensors.numpy import load_file, save_file

    other = linked(folder, tmp_path)
    halves = {
        name: value.astype(np.float16) if value.dtype == np.float32 else value
        for name, value in load_file(folder / "model.safetensors").items()
    }
    (other / "model.safetensors").unlink()
    save_file(halves, other / "model.safetensors")
    assert KIND in Embedder(other).model
    assert ((Embedder(other, threads=1).encode(TEXTS) * embedder.encode(TEXTS)).sum(axis=1) > 0.99).all()


@pytest.mark.parametrize("content", [b"", b"{}", b"half"])
def test_weights_that_are_not_whole_name_the_command(folder: Path, tmp_path: Path, content: bytes):
    other = linked(folder, tmp_path)
    (other / "model.safetensors").unlink()
    whole = (folder / "model.safetensors").read_bytes()
    (other / "model.safetensors").write_bytes(whole[:4_000_000] if content == b"half" else content)
    with pytest.raises(NoEmbeddingWeightsError, match="inkling models pull"):
        Embedder(other, threads=1).encode(["x"])


def test_a_tokenizer_that_is_none_names_the_command(folder: Path, tmp_path: Path):
    other = linked(folder, tmp_path)
    (other / "tokenizer.json").unlink()
    (other / "tokenizer.json").write_text('{"model": 1}')
    with pytest.raises(NoEmbeddingWeightsError, match="inkling models pull"):
        Embedder(other, threads=1).encode(["x"])


def linked(folder: Path, tmp_path: Path) -> Path:
    """A copy of the weights' folder in which files can be replaced."""
    other = tmp_path / "other"
    shutil.copytree(folder, other, copy_function=lambda source, target: Path(target).symlink_to(source))
    return other


def test_an_empty_folder_names_the_command(tmp_path: Path):
    with pytest.raises(NoEmbeddingWeightsError, match="inkling models pull"):
        _ = Embedder(tmp_path).model
