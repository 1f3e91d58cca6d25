"""Our own export of a BERT-shaped encoder: an ONNX graph written node by node, its matrices as 8-bit blocks.

Pure: a configuration and arrays go in, a serialised graph and the arrays that it refers to come out. Operators of ONNX
Runtime (com.microsoft) are used where they do more at once. Activations are quantised by row, so that a text's vector
does not depend on the texts beside it.

Inputs: ids int64 (texts, length), padded on the right; lengths int32 (texts). Output: hidden, float32 (texts, length,
width).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[np.float32]]
Weights = Literal["blocks", "dynamic", "float32"]

_CONTRIB = "com.microsoft"
_BLOCK = 64


@dataclass(frozen=True)
class BertShape:
    """Sizes of a BERT (Devlin et al. 2019) with absolute positions and the exact gelu."""

    layers: int
    hidden: int
    heads: int
    epsilon: float

    @staticmethod
    def of(config: Mapping[str, Any]) -> "BertShape | None":
        """From a `config.json`; None if it asks for something else."""
        if (
            config.get("model_type") != "bert"
            or config.get("hidden_act") != "gelu"
            or config.get("position_embedding_type", "absolute") != "absolute"
            or config.get("is_decoder")
        ):
            return None
        return BertShape(
            int(config["num_hidden_layers"]),
            int(config["hidden_size"]),
            int(config["num_attention_heads"]),
            float(config["layer_norm_eps"]),
        )


class _Writer:
    """The nodes so far, and the arrays that they refer to."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.arrays: dict[str, NDArray[Any]] = {}

    def node(self, kind: str, inputs: list[str], outputs: list[str], domain: str = "", **attributes: Any) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(kind, inputs, outputs, name=outputs[0], domain=domain, **attributes))
        return outputs[0]

    def array(self, name: str, value: NDArray[Any]) -> str:
        self.arrays[name] = np.ascontiguousarray(value)
        return name

    def constant(self, name: str, value: NDArray[Any]) -> str:
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def linear(self, source: str, output: str, weight: NDArray[np.float32]) -> str:
        """source @ weight.T, without bias: the next node adds it."""
        if self.weights == "float32":
            return self.node("MatMul", [source, self.array(f"{output}.weight", weight.T)], [output])
        if self.weights == "dynamic":
            scales = np.abs(weight).max(axis=1) / 127
            rounded = np.rint(weight / scales[:, None]).astype(np.int8)
            inputs = [source, self.array(f"{output}.weight", rounded.T), self.array(f"{output}.scales", scales)]
            return self.node("DynamicQuantizeMatMul", inputs, [output], _CONTRIB)
        rows, columns = weight.shape
        blocks = weight.reshape(rows, columns // _BLOCK, _BLOCK)
        scales = np.maximum(np.abs(blocks).max(axis=-1) / 127, 1e-12).astype(np.float32)
        packed = (np.rint(blocks / scales[..., None]) + 128).astype(np.uint8)  # 128 is the operator's zero
        inputs = [source, self.array(f"{output}.packed", packed), self.array(f"{output}.scales", scales)]
        return self.node(
            "MatMulNBits", inputs, [output], _CONTRIB, K=columns, N=rows, bits=8, block_size=_BLOCK, accuracy_level=4
        )


def build(shape: BertShape, arrays: Arrays, weights: Weights = "blocks") -> tuple[bytes, dict[str, NDArray[Any]]]:
    """The serialised graph and its arrays by name. Raises KeyError if a tensor is missing."""
    from onnx import TensorProto, helper

    writer = _Writer(weights)
    _embeddings(writer, shape, arrays)
    hidden = "embedded"
    for layer in range(shape.layers):
        hidden = _layer(writer, shape, arrays, layer, hidden)
    info = helper.make_tensor_value_info
    model = helper.make_model(
        helper.make_graph(
            writer.nodes,
            "encoder",
            [info("ids", TensorProto.INT64, ["texts", "length"]), info("lengths", TensorProto.INT32, ["texts"])],
            [info(hidden, TensorProto.FLOAT, ["texts", "length", shape.hidden])],
            [*writer.constants, *_declared(writer.arrays)],
        ),
        opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid(_CONTRIB, 1)],
        ir_version=9,
    )
    return model.SerializeToString(), writer.arrays


def _embeddings(writer: _Writer, shape: BertShape, arrays: Arrays) -> None:
    """Word, position and (all of the first) segment, normed."""
    words = writer.array("words", arrays["embeddings.word_embeddings.weight"])
    segment = arrays["embeddings.token_type_embeddings.weight"][0]
    places = writer.array("places", arrays["embeddings.position_embeddings.weight"] + segment)
    for name, value in (("zero", 0), ("one", 1)):
        writer.constant(name, np.array(value, dtype=np.int64))
    writer.node("Gather", [words, "ids"], ["word"])
    writer.node("Shape", ["ids"], ["size"])
    writer.node("Gather", ["size", "one"], ["length"], axis=0)
    writer.node("Range", ["zero", "length", "one"], ["range"])
    writer.node("Gather", [places, "range"], ["place"])
    writer.node("Add", ["word", "place"], ["summed"])
    scale = writer.array("embedded.scale", arrays["embeddings.LayerNorm.weight"])
    shift = writer.array("embedded.shift", arrays["embeddings.LayerNorm.bias"])
    writer.node("LayerNormalization", ["summed", scale, shift], ["embedded"], axis=-1, epsilon=shape.epsilon)


def _layer(writer: _Writer, shape: BertShape, arrays: Arrays, layer: int, hidden: str) -> str:
    prefix, at = f"encoder.layer.{layer}.", f".{layer}"
    parts = [f"{prefix}attention.self.{name}" for name in ("query", "key", "value")]
    weight = np.concatenate([arrays[f"{part}.weight"] for part in parts])
    bias = np.concatenate([arrays[f"{part}.bias"] for part in parts])
    writer.linear(hidden, f"qkv{at}", weight)
    writer.node("Split", [f"qkv{at}"], [f"{name}{at}" for name in "qkv"], axis=-1)
    inputs = [f"q{at}", f"k{at}", f"v{at}", writer.array(f"qkv.bias{at}", bias), "lengths"]
    writer.node("MultiHeadAttention", inputs, [f"attended{at}"], _CONTRIB, num_heads=shape.heads)
    writer.linear(f"attended{at}", f"output{at}", arrays[f"{prefix}attention.output.dense.weight"])
    normed = _add_and_norm(writer, shape, arrays, f"{prefix}attention.output", f"output{at}", hidden, f"middle{at}")
    writer.linear(normed, f"wide{at}", arrays[f"{prefix}intermediate.dense.weight"])
    wide_bias = writer.array(f"wide.bias{at}", arrays[f"{prefix}intermediate.dense.bias"])
    writer.node("BiasGelu", [f"wide{at}", wide_bias], [f"bent{at}"], _CONTRIB)
    writer.linear(f"bent{at}", f"narrow{at}", arrays[f"{prefix}output.dense.weight"])
    return _add_and_norm(writer, shape, arrays, f"{prefix}output", f"narrow{at}", normed, f"hidden{at}")


def _add_and_norm(
    writer: _Writer, shape: BertShape, arrays: Arrays, prefix: str, source: str, skip: str, output: str
) -> str:
    """Layer norm of source + bias + skip."""
    inputs = [
        source,
        skip,
        writer.array(f"{output}.scale", arrays[f"{prefix}.LayerNorm.weight"]),
        writer.array(f"{output}.shift", arrays[f"{prefix}.LayerNorm.bias"]),
        writer.array(f"{output}.bias", arrays[f"{prefix}.dense.bias"]),
    ]
    return writer.node("SkipLayerNormalization", inputs, [output], _CONTRIB, epsilon=shape.epsilon)


def _declared(arrays: Mapping[str, NDArray[Any]]) -> list[Any]:
    """Initialisers whose data are handed to the session beside the graph."""
    from onnx import TensorProto, helper

    declared = []
    for name, value in arrays.items():
        tensor = TensorProto(name=name, data_type=helper.np_dtype_to_tensor_dtype(value.dtype), dims=value.shape)
        tensor.data_location = TensorProto.EXTERNAL
        entry = tensor.external_data.add()
        entry.key, entry.value = "location", "memory"
        declared.append(tensor)
    return declared
