"""Texts to vectors: the one module that touches an encoder.

`Encoder` is what the rest of the index asks for; `Embedder` is one that runs a model of a local folder on the CPU: on
ONNX Runtime if it is of the usual kind, else with sentence-transformers. Nothing is ever fetched, and the heavy import
happens with the first text.
"""

import hashlib
import os
import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from index.encoder_graph import BertShape
from index.late import Head, Parts, Question, opened
from index.lora import deltas
from index.onnx_encoder import KIND, OnnxEncoder
from index.shipped_encoder import shipped, version_of
from inkling.content import sampled_digest
from inkling.errors import UserError
from inkling.imports import heavy

MAX_CHARACTERS = 2400  # more than the models here read; spares the tokenizer
_WEIGHTS = ("model.safetensors", "pytorch_model.bin", "onnx/model.onnx")


class NoMeaningError(UserError):
    """Texts cannot be embedded here: search goes by words."""


class NoEmbeddingWeightsError(NoMeaningError):
    """The folder with the embedding weights is not there or not whole."""


class EncoderFailedError(NoMeaningError):
    """The weights are there, but what runs them failed."""


class Encoder(Protocol):
    """Turns texts into unit vectors. `model` names weights and settings: vectors of two names never mix."""

    @property
    def model(self) -> str:
        """The name under which vectors are kept."""

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Float32 (n, dimension), each row of length 1."""


@runtime_checkable
class PartsEncoder(Encoder, Protocol):
    """One that also knows which part of a chunk fits which token of a question (`index.late`)."""

    def encode_parts(self, texts: Sequence[str]) -> tuple[NDArray[np.float32], list[Parts] | None]:
        """Vectors as of `encode`, and the parts of each text; None where these weights have no head for it."""

    def encode_question(self, text: str) -> tuple[NDArray[np.float32], Question | None]:
        """The vector of a question, (dimension,), and its tokens; None as above."""


def with_parts(encoder: Encoder, texts: Sequence[str]) -> tuple[NDArray[np.float32], list[Parts] | None]:
    """Vectors of any encoder, and parts where it makes some."""
    return encoder.encode_parts(texts) if isinstance(encoder, PartsEncoder) else (encoder.encode(texts), None)


def as_question(encoder: Encoder, text: str) -> tuple[NDArray[np.float32], Question | None]:
    """The same for a question."""
    return encoder.encode_question(text) if isinstance(encoder, PartsEncoder) else (encoder.encode([text])[0], None)


class Embedder:
    """A sentence encoder in a local folder. Loading waits for the first text; safe to share by threads.

    `adapter`: a PEFT folder that is merged into the weights; by default what is shipped for them, None for none.
    Without `onnx` it is sentence-transformers that encodes, whatever the model: something to compare with.
    """

    def __init__(
        self,
        folder: Path,
        *,
        adapter: Path | Literal["shipped"] | None = "shipped",
        threads: int | None = None,
        batch: int = 8,
        onnx: bool = True,
    ) -> None:
        self.folder = folder
        self._wanted = adapter
        self._onnx = onnx
        self._threads = threads
        self._batch = batch
        self._encoder: Any = None
        self._lock = threading.Lock()
        self._model: str | None = None

    @property
    def model(self) -> str:
        """The folder's name, a fingerprint of its configuration and weights, and of adapter and head if there are any.

        Raises NoEmbeddingWeightsError.
        """
        if self._model is None:
            kind = f"-{KIND}" if self._shape is not None else ""
            adapter = f"+{version_of(self._adapter)}" if self._adapter is not None else ""
            head = f"-{self._head.version}" if self._head is not None else ""
            self._model = f"{self.folder.name}@{fingerprint(self.folder)}{adapter}{kind}{head}"
        return self._model

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Float32 (n, 384 for the default weights), each row of length 1. Raises NoMeaningError."""
        return self._read(texts)[0]

    def encode_parts(self, texts: Sequence[str]) -> tuple[NDArray[np.float32], list[Parts] | None]:
        """See `PartsEncoder`. Raises NoMeaningError."""
        vectors, states = self._read(texts)
        if self._head is None or states is None:
            return vectors, None
        return vectors, [self._head.parts(one) for one in states]

    def encode_question(self, text: str) -> tuple[NDArray[np.float32], Question | None]:
        """See `PartsEncoder`. Raises NoMeaningError."""
        vectors, states = self._read([text])
        if self._head is None or states is None:
            return vectors[0], None
        return vectors[0], self._head.question(states[0])

    def encode_states(self, texts: Sequence[str]) -> tuple[NDArray[np.float32], list[NDArray[np.float32]]]:
        """Vectors, and the states of each text's tokens, float32 (tokens, width): what a head is taught with. Raises
        NoMeaningError, also for an encoder that tells no states."""
        vectors, states = self._read(texts)
        if states is None:
            raise NoMeaningError(f"Expected a BERT that pools the mean of its tokens in {self.folder}.")
        return vectors, states

    def _read(self, texts: Sequence[str]) -> tuple[NDArray[np.float32], list[NDArray[np.float32]] | None]:
        """Vectors, and states of tokens if our own runtime encodes."""
        readable = [_readable(text) for text in texts]
        try:
            with self._lock:
                if self._encoder is None:
                    self._encoder = self._load()
                return self._encoded(readable)
        except UserError:
            raise
        except Exception as error:  # the runtimes have no common error
            raise EncoderFailedError(
                f"Expected the encoder in {self.folder} to embed a text, but: {error!r}. "
                "Search goes by words until Inkling is started again; if it fails again, report it."
            ) from error

    def _encoded(self, texts: list[str]) -> tuple[NDArray[np.float32], list[NDArray[np.float32]] | None]:
        if isinstance(self._encoder, OnnxEncoder):
            return self._encoder.encode_states(texts)
        if not texts:
            return np.zeros((0, self._encoder.get_embedding_dimension()), dtype=np.float32), None
        vectors = self._encoder.encode(
            texts,
            batch_size=self._batch,
            normalize_embeddings=True,
            convert_to_numpy=True,
            show_progress_bar=False,
        )
        return np.asarray(vectors, dtype=np.float32), None

    @cached_property
    def _shape(self) -> BertShape | None:
        """What our own runtime needs to know; None where sentence-transformers has to encode."""
        return OnnxEncoder.fitting(self.folder) if self._onnx else None

    @cached_property
    def _adapter(self) -> Path | None:
        return shipped(self.folder.name, fingerprint(self.folder)) if self._wanted == "shipped" else self._wanted

    @cached_property
    def _head(self) -> Head | None:
        """What comes with the adapter and makes parts; only our own runtime tells the states of tokens."""
        if self._adapter is None or self._shape is None:
            return None
        return opened(self._adapter, version_of(self._adapter))

    def _load(self) -> Any:
        """An OnnxEncoder or a SentenceTransformer."""
        from safetensors import SafetensorError

        fingerprint(self.folder)
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
        try:
            if self._shape is None:
                return self._load_sentence_transformer()
            with heavy:
                return OnnxEncoder(self.folder, self._shape, adapter=self._adapter, threads=self._threads)
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            raise NoEmbeddingWeightsError(
                f"Expected embedding weights that load in {self.folder}, but: {error}. "
                "Run `inkling models pull` to download them again."
            ) from error

    def _load_sentence_transformer(self) -> Any:
        os.environ["HF_HUB_OFFLINE"] = "1"
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # an editor shows what we print as errors
        with heavy:
            import torch
            from sentence_transformers import SentenceTransformer
        if self._threads is not None:
            torch.set_num_threads(self._threads)
        model = SentenceTransformer(str(self.folder), device="cpu", local_files_only=True)
        if self._adapter is not None:
            network: Any = model[0].auto_model
            parameters = dict(network.named_parameters())
            shapes = {name: tuple(parameter.shape) for name, parameter in parameters.items()}
            with torch.no_grad():
                for name, delta in deltas(self._adapter, shapes).items():
                    parameters[name] += torch.from_numpy(delta)
        return model


def _readable(text: str) -> str:
    """What is read of a text. Half a surrogate pair, which an editor can send, is nothing that tokenizers take."""
    return text[:MAX_CHARACTERS].encode("utf-8", "replace").decode("utf-8")


def fingerprint(folder: Path) -> str:
    """Eight hex digits for configuration and weights; of the weights samples are read (see `inkling.content`)."""
    weights = next((folder / name for name in _WEIGHTS if (folder / name).is_file()), None)
    if weights is None or not (folder / "config.json").is_file():
        raise NoEmbeddingWeightsError(
            f"Expected embedding weights (config.json and one of {', '.join(_WEIGHTS)}) in {folder}, found none. "
            "Run `inkling models pull` to download them."
        )
    digest = hashlib.sha256()
    for name in ("config.json", "modules.json", "sentence_bert_config.json", "1_Pooling/config.json"):
        if (folder / name).is_file():
            digest.update((folder / name).read_bytes())
    digest.update(sampled_digest(weights))
    return digest.hexdigest()[:8]
