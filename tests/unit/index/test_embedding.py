"""Our encoder against sentence-transformers: the same vectors, in any company, and a fall-back for the rest."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

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
    return Embedder(folder, threads=1)


pytestmark = pytest.mark.weights


def test_vectors_are_those_of_sentence_transformers_up_to_rounding(folder: Path, embedder: Embedder):
    from sentence_transformers import SentenceTransformer

    reference = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    expected = reference.encode(TEXTS, normalize_embeddings=True)
    assert ((embedder.encode(TEXTS) * expected).sum(axis=1) > 0.997).all()


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
    np.testing.assert_allclose(together, alone, atol=2e-2)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1.0, atol=1e-5)


@pytest.mark.parametrize("text", ["", "\x00\x01\ufffd", "\n" * 5000, "a" * 100_000, "\U0001f600" * 400])
def test_any_text_has_a_vector(embedder: Embedder, text: str):
    vector = embedder.encode([text])
    assert vector.shape == (1, 384)
    assert np.isfinite(vector).all()


def test_no_texts_are_no_vectors(embedder: Embedder):
    assert embedder.encode([]).shape[0] == 0


def test_vectors_of_different_encoders_have_different_names(folder: Path, monkeypatch: pytest.MonkeyPatch):
    ours = Embedder(folder).model
    monkeypatch.setattr("index.onnx_encoder.find_spec", lambda name: None)
    theirs = Embedder(folder).model
    assert ours == f"{theirs}-{KIND}"


def test_without_onnxruntime_sentence_transformers_encodes(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("index.onnx_encoder.find_spec", lambda name: None)
    assert Embedder(folder, threads=1).encode(TEXTS[:1]).shape == (1, 384)


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("config.json", {"model_type": "mpnet"}),
        ("config.json", {"hidden_act": "relu"}),
        ("1_Pooling/config.json", {"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True}),
    ],
)
def test_a_model_of_another_kind_is_left_to_sentence_transformers(
    folder: Path, tmp_path: Path, file: str, change: dict
):
    other = tmp_path / "other"
    shutil.copytree(folder, other, copy_function=lambda source, target: Path(target).symlink_to(source))
    content = json.loads((folder / file).read_text())
    (other / file).unlink()
    (other / file).write_text(json.dumps(content | change))
    assert OnnxEncoder.fitting(other) is None
    assert KIND not in Embedder(other).model


def test_an_empty_folder_names_the_command(tmp_path: Path):
    with pytest.raises(NoEmbeddingWeightsError, match="inkling models pull"):
        _ = Embedder(tmp_path).model
