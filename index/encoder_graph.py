"""Our own export of a BERT-shaped encoder: an ONNX graph written node by node, most matrices as 8-bit integers.

Pure: a configuration and arrays go in, a serialised graph and the arrays that it refers to come out. It is no runtime
and reads no file. Operators of ONNX Runtime (com.microsoft) are used where they do more at once.

Always: activations are rounded token by token, so that a text's vector does not depend on the texts beside it.

Inputs: ids int64 (texts, length), padded on the right; lengths int32 (texts). Output: float32 (texts * length, hidden).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from index.onnx_session import declared

Arrays = Mapping[str, NDArray[np.float32]]
Weights = Literal["int8", "float32"]

_CONTRIB = "com.microsoft"
_CENTRE = 128  # the byte that stands for 0 where values lie on both sides of it
_LOW = 16  # the same after a gelu, most of whose range is above 0: nearly twice as fine
_FINER = 254  # what rounding leaves is half a step at most, and becomes 127 steps
_LEAST_GELU = 0.17  # no gelu is below minus this
_SMALLEST = 1e-10  # keeps a token of zeros from a division by zero


@dataclass(frozen=True)
class BertShape:
    """Sizes of a BERT (Devlin et al. 2019) with absolute positions and the exact gelu."""

    layers: int
    hidden: int
    heads: int
    positions: int
    epsilon: float

    @staticmethod
    def of(config: Mapping[str, Any]) -> "BertShape | None":
        """From a `config.json`; None if it asks for something else, or does not say what it asks for."""
        if (
            config.get("model_type") != "bert"
            or config.get("hidden_act") != "gelu"
            or config.get("position_embedding_type", "absolute") != "absolute"
            or config.get("is_decoder")
        ):
            return None
        names = ("num_hidden_layers", "hidden_size", "num_attention_heads", "max_position_embeddings")
        sizes = [config.get(name) for name in names]
        epsilon = config.get("layer_norm_eps")
        if not isinstance(epsilon, int | float) or not all(isinstance(size, int) and size > 0 for size in sizes):
            return None
        layers, hidden, heads, positions = (int(size) for size in sizes if size is not None)
        return BertShape(layers, hidden, heads, positions, float(epsilon))

    def tensors(self) -> Sequence[str]:
        """The names of all that `build` asks for."""
        kinds = ("word", "position", "token_type")
        layer = [f"attention.self.{name}" for name in ("query", "key", "value")]
        layer += [f"{name}.{kind}" for name in ("attention.output", "output") for kind in ("dense", "LayerNorm")]
        inner = [f"encoder.layer.{n}.{name}" for n in range(self.layers) for name in (*layer, "intermediate.dense")]
        return [
            *(f"embeddings.{kind}_embeddings.weight" for kind in kinds),
            *(f"{name}.{part}" for name in ("embeddings.LayerNorm", *inner) for part in ("weight", "bias")),
        ]


class _Writer:
    """The nodes so far, and the arrays that they refer to. Activations are (tokens, width), texts end to end."""

    def __init__(self, weights: Weights, signed: bool = True) -> None:
        self.weights = weights
        self.signed = signed
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

    def constant(self, name: str, value: int | float | list[int], kind: type[Any] = np.int64) -> str:
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(np.array(value, dtype=kind), name))
        return name

    def exact(self, source: str, output: str, weight: NDArray[np.float32]) -> str:
        """source @ weight.T in float32. `weight` is (out, in) as torch keeps it."""
        return self.node("MatMul", [source, self.array(f"{output}.weight", weight.T)], [output])

    def linear(self, source: str, output: str, weight: NDArray[np.float32], *, after_gelu: bool = False) -> str:
        """The same in the graph's precision, without bias: the next node adds it.

        In int8: source = (bytes - zero) * scale by token, weight = bytes * scale by row.
        """
        if self.weights == "float32":
            return self.exact(source, output, weight)
        zero, scale = self._rounded(source, after_gelu)
        packed, scales = _packed(weight)
        product = self._product(f"{source}.bytes", zero, f"{output}.unscaled", self._packed(output, packed), scales)
        return self.node("Mul", [product, scale], [output])

    def fine(self, source: str, output: str, weight: NDArray[np.float32]) -> str:
        """The same where more is asked of `source`: what rounding leaves of it is rounded once more, 15 bits in all.

        That is two products, faster than one in float32 where matrices may be signed; elsewhere the matrix alone is
        rounded.
        """
        if self.weights == "float32":
            return self.exact(source, output, weight)
        values, scales = _packed(weight)
        if not self.signed:
            return self.exact(source, output, values * scales[:, None])
        zero, scale = self._rounded(source, after_gelu=False)
        inputs = [f"{source}.bytes", f"{source}.scales", f"{zero}.each"]
        self.node("DequantizeLinear", inputs, [f"{source}.coarse"], axis=0)
        self.node("Sub", [source, f"{source}.coarse"], [f"{source}.rest"])
        self.node("Mul", [f"{source}.scales", "fine"], [f"{source}.rest.scales"])
        inputs = [f"{source}.rest", f"{source}.rest.scales", f"{zero}.each"]
        self.node("QuantizeLinear", inputs, [f"{source}.rest.bytes"], axis=0)
        packed = self._packed(output, values)
        coarse = self._product(f"{source}.bytes", zero, f"{output}.coarse", packed, scales)
        rest = self._product(f"{source}.rest.bytes", zero, f"{output}.rest", packed, scales / np.float32(_FINER))
        self.node("Add", [coarse, rest], [f"{output}.unscaled"])
        return self.node("Mul", [f"{output}.unscaled", scale], [output])

    def _rounded(self, source: str, after_gelu: bool) -> tuple[str, str]:
        """Writes `source` as bytes, and gives their zero and the width of a step, (tokens, 1)."""
        zero, scale = self._scale(source, after_gelu)
        self.node("Reshape", [scale, "all"], [f"{source}.scales"])
        rounded = [source, f"{source}.scales", f"{zero}.each"]
        self.node("QuantizeLinear", rounded, [f"{source}.bytes"], axis=0)
        return zero, scale

    def _packed(self, output: str, values: NDArray[np.int8]) -> str:
        return self.array(f"{output}.packed", values.T if self.signed else _unsigned(values.T))

    def _product(self, source: str, zero: str, output: str, packed: str, scales: NDArray[np.float32]) -> str:
        """Bytes times bytes, by the scale of each row of the matrix. The operator knows one scale for all tokens."""
        inputs = [source, packed, "unit", self.array(f"{output}.scales", scales), zero, "" if self.signed else "centre"]
        return self.node("MatMulIntegerToFloat", inputs, [output], _CONTRIB)

    def _scale(self, source: str, after_gelu: bool) -> tuple[str, str]:
        """The zero to round `source` with, and the width of a step, (tokens, 1)."""
        if after_gelu:
            self.node("ReduceMax", [source], [f"{source}.most"], axes=[1])
            self.node("Mul", [f"{source}.most", "low.step"], [f"{source}.step"])
            return "low", self.node("Max", [f"{source}.step", "low.least"], [f"{source}.scale"])
        self.node("Abs", [source], [f"{source}.size"])
        self.node("ReduceMax", [f"{source}.size"], [f"{source}.most"], axes=[1])
        self.node("Mul", [f"{source}.most", "centre.step"], [f"{source}.step"])
        return "centre", self.node("Max", [f"{source}.step", "centre.least"], [f"{source}.scale"])

    def zeros(self) -> None:
        """What every product in int8 refers to."""
        self.constant("unit", 1.0, np.float32)
        self.constant("fine", 1.0 / _FINER, np.float32)
        self.node("Size", ["ids"], ["tokens"])
        self.node("Reshape", ["tokens", "all"], ["count"])
        for name, zero, most, least in (
            ("centre", _CENTRE, 255 - _CENTRE, _SMALLEST),
            ("low", _LOW, 255 - _LOW, _LEAST_GELU / _LOW),
        ):
            self.constant(name, zero, np.uint8)
            self.constant(f"{name}.step", 1 / most, np.float32)
            self.constant(f"{name}.least", least, np.float32)
            self.node("Expand", [name, "count"], [f"{name}.each"])


def build(
    shape: BertShape, arrays: Arrays, weights: Weights = "int8", *, signed: bool = True
) -> tuple[bytes, dict[str, NDArray[Any]]]:
    """The serialised graph and its arrays by name. Raises KeyError if one of `shape.tensors()` is missing.

    `signed`: matrices in int8 as signed bytes, which is the faster of two layouts, equal up to rounding, but wrong on
    processors whose sums of products saturate (`extremes` tells).
    """
    from onnx import TensorProto, helper

    writer = _Writer(weights, signed)
    writer.constant("all", [-1])
    writer.constant("flat", [-1, shape.hidden])
    if weights == "int8":
        writer.zeros()
    hidden = _embeddings(writer, shape, arrays)
    for layer in range(shape.layers):
        hidden = _layer(writer, shape, arrays, layer, hidden)
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        writer.nodes,
        "encoder",
        [info("ids", TensorProto.INT64, ["texts", "length"]), info("lengths", TensorProto.INT32, ["texts"])],
        [info(hidden, TensorProto.FLOAT, ["tokens", shape.hidden])],
        [*writer.constants, *declared(writer.arrays)],
    )
    return _serialised(graph), writer.arrays


def extremes() -> tuple[bytes, float]:
    """A graph without inputs that multiplies the greatest bytes, and what each of its numbers has to be.

    x86 without VNNI adds two products in 16 bits, so that unsigned times signed saturates there.
    """
    from onnx import TensorProto, helper, numpy_helper

    rows, depth, columns = 16, 64, 32
    left = np.full((rows, depth), 255, dtype=np.uint8)
    right = np.full((depth, columns), 127, dtype=np.int8)
    values: dict[str, NDArray[Any]] = {
        "left": left,
        "right": right,
        "unit": np.array(1.0, dtype=np.float32),
        "zero": np.array(0, np.uint8),
    }
    inputs = ["left", "right", "unit", "unit", "zero"]
    graph = helper.make_graph(
        [helper.make_node("MatMulIntegerToFloat", inputs, ["product"], domain=_CONTRIB)],
        "extremes",
        [],
        [helper.make_tensor_value_info("product", TensorProto.FLOAT, [rows, columns])],
        [numpy_helper.from_array(value, name) for name, value in values.items()],
    )
    return _serialised(graph), 255.0 * 127.0 * depth


def _serialised(graph: Any) -> bytes:
    from onnx import helper

    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(_CONTRIB, 1)]
    serialised: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()
    return serialised


def _packed(weight: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """A matrix as bytes, and the scale of each of its rows."""
    scales = np.maximum(np.abs(weight).max(axis=1) / 127, _SMALLEST).astype(np.float32)
    return np.rint(weight / scales[:, None]).astype(np.int8), scales


def _unsigned(values: NDArray[np.int8]) -> NDArray[np.uint8]:
    return (values.astype(np.int16) + _CENTRE).astype(np.uint8)


def _embeddings(writer: _Writer, shape: BertShape, arrays: Arrays) -> str:
    """Word, position and (all of the first) segment, normed. Leaves the sizes of queries, keys and values in "deep"."""
    words = writer.array("words", arrays["embeddings.word_embeddings.weight"])
    segment = arrays["embeddings.token_type_embeddings.weight"][0]
    places = writer.array("places", arrays["embeddings.position_embeddings.weight"] + segment)
    writer.constant("zero", 0)
    writer.constant("one", 1)
    writer.constant("three", [3 * shape.hidden])
    writer.node("Gather", [words, "ids"], ["word"])
    writer.node("Shape", ["ids"], ["size"])
    writer.node("Concat", ["size", "three"], ["deep"], axis=0)
    writer.node("Gather", ["size", "one"], ["length"], axis=0)
    writer.node("Range", ["zero", "length", "one"], ["range"])
    writer.node("Gather", [places, "range"], ["place"])
    writer.node("Add", ["word", "place"], ["summed"])
    writer.node("Reshape", ["summed", "flat"], ["summed.flat"])
    scale = writer.array("embedded.scaling", arrays["embeddings.LayerNorm.weight"])
    shift = writer.array("embedded.shift", arrays["embeddings.LayerNorm.bias"])
    inputs = ["summed.flat", scale, shift]
    return writer.node("LayerNormalization", inputs, ["embedded"], axis=-1, epsilon=shape.epsilon)


def _layer(writer: _Writer, shape: BertShape, arrays: Arrays, layer: int, hidden: str) -> str:
    prefix, at = f"encoder.layer.{layer}.", f".{layer}"
    parts = [f"{prefix}attention.self.{name}" for name in ("query", "key", "value")]
    weight = np.concatenate([arrays[f"{part}.weight"] for part in parts])
    bias = np.concatenate([arrays[f"{part}.bias"] for part in parts])
    # Rounding here costs more than everywhere else together, short texts above all: searches are short.
    writer.fine(hidden, f"qkv{at}", weight)
    writer.node("Reshape", [f"qkv{at}", "deep"], [f"qkv.deep{at}"])
    writer.node("Split", [f"qkv.deep{at}"], [f"{name}{at}" for name in "qkv"], axis=-1)
    inputs = [f"q{at}", f"k{at}", f"v{at}", writer.array(f"qkv.bias{at}", bias), "lengths"]
    writer.node("MultiHeadAttention", inputs, [f"attended.deep{at}"], _CONTRIB, num_heads=shape.heads)
    writer.node("Reshape", [f"attended.deep{at}", "flat"], [f"attended{at}"])
    writer.linear(f"attended{at}", f"output{at}", arrays[f"{prefix}attention.output.dense.weight"])
    normed = _add_and_norm(writer, shape, arrays, f"{prefix}attention.output", f"output{at}", hidden, f"middle{at}")
    writer.linear(normed, f"wide{at}", arrays[f"{prefix}intermediate.dense.weight"])
    wide_bias = writer.array(f"wide.bias{at}", arrays[f"{prefix}intermediate.dense.bias"])
    writer.node("BiasGelu", [f"wide{at}", wide_bias], [f"bent{at}"], _CONTRIB)
    writer.linear(f"bent{at}", f"narrow{at}", arrays[f"{prefix}output.dense.weight"], after_gelu=True)
    return _add_and_norm(writer, shape, arrays, f"{prefix}output", f"narrow{at}", normed, f"hidden{at}")


def _add_and_norm(
    writer: _Writer, shape: BertShape, arrays: Arrays, prefix: str, source: str, skip: str, output: str
) -> str:
    """Layer norm of source + bias + skip."""
    writer.node("Add", [source, skip], [f"{output}.sum"])
    bias = writer.array(f"{output}.bias", arrays[f"{prefix}.dense.bias"])
    scale = writer.array(f"{output}.scaling", arrays[f"{prefix}.LayerNorm.weight"])
    shift = writer.array(f"{output}.shift", arrays[f"{prefix}.LayerNorm.bias"])
    writer.node("Add", [f"{output}.sum", bias], [f"{output}.summed"])
    return writer.node(
        "LayerNormalization", [f"{output}.summed", scale, shift], [output], axis=-1, epsilon=shape.epsilon
    )
