"""Our own export: a Llama-shaped forward pass as an ONNX graph, written node by node, with its weights beside it.

Keys and values go in and out as buffers that the operator `GroupQueryAttention` appends to in place. The graph holds
no weights: they are given to the session as they are (`weights`), so that nothing is serialised and no limit of two
gigabytes applies. Contrib operators are those of ONNX Runtime (domain com.microsoft).

Inputs: ids, positions int64 (1, n); past_lengths int32 (1): slots that are filled afterwards, less one; total int32
(): the same, not less one; rows int64 (m): of which tokens logits are wanted; keys.L, values.L (1, kv_heads, capacity,
head_dim). Outputs: logits (1, m, vocabulary); new_keys.L, new_values.L: the same buffers; and the queries of each
layer (see `queries_name`) for whoever wants them. A second, narrow graph keeps keys and values in 8 bits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.onnx_session import declared
from model.runtimes.onnx_quantise import Precision, bits_of, quantise
from model.shape import ModelShape

LOGITS = {False: "logits", True: "logits.float"}  # the output, by whether activations are float16

ATTENTION = "GroupQueryAttention"
_KEY_SCALES = 12  # which input of it the scales of the keys are; those of the values come next
_OPSET = 17
_IR_VERSION = 9
_CONTRIB = "com.microsoft"
_LEAST_POSITIONS = 40_960  # rows of the rotation table: slots may outnumber the positions that a model knows
_INT8_ACTIVATIONS = 4  # MatMulNBits' accuracy_level: activations are multiplied as 8-bit integers


@dataclass
class Graph:
    """The nodes and inputs of a model that is being written, and the weights that it refers to by name."""

    shape: ModelShape
    precision: Precision
    float_type: int
    nodes: list[Any] = field(default_factory=list)
    weights: dict[str, NDArray[Any]] = field(default_factory=dict)
    constants: list[Any] = field(default_factory=list)

    def node(
        self, kind: str, inputs: list[str], output: str, domain: str = "", extra: int = 0, **attributes: Any
    ) -> str:
        """Add a node with one output that is used. `extra`: further outputs, named output.1, ..."""
        from onnx import helper

        outputs = [output, *(f"{output}.{number}" for number in range(1, extra + 1))]
        self.nodes.append(helper.make_node(kind, inputs, outputs, name=output, domain=domain, **attributes))
        return output

    def weight(self, name: str, value: NDArray[Any]) -> str:
        """Keep an array under a name that nodes can use."""
        self.weights[name] = np.ascontiguousarray(value)
        return name

    def sizes(self, name: str, *values: int) -> str:
        """Keep a few integers in the graph itself, as the inference of shapes reads them."""
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(np.array(values, dtype=np.int64), name))
        return name

    def real(self, name: str, value: NDArray[np.float32]) -> str:
        """Keep an array in the type that activations have."""
        from onnx import helper

        return self.weight(name, value.astype(helper.tensor_dtype_to_np_dtype(self.float_type)))

    def linear(self, source: str, output: str, weight: NDArray[np.float32], bias: NDArray[np.float32] | None) -> str:
        """source @ weight.T + bias; `weight` is (out, in) as torch keeps it."""
        name = output if bias is None else f"{output}.product"
        if self.precision == "float32":
            self.node("MatMul", [source, self.real(f"{output}.weight", weight.T)], name)
        else:
            self._quantised(source, name, output, weight, *bits_of(self.precision, output.split(".")[0]))
        if bias is not None:
            self.node("Add", [name, self.real(f"{output}.bias", bias)], output)
        return output

    def _quantised(
        self, source: str, name: str, output: str, weight: NDArray[np.float32], bits: int, block: int
    ) -> None:
        blocks = quantise(weight, bits, block)
        inputs = [
            source,
            self.weight(f"{output}.packed", blocks.packed),
            self.real(f"{output}.scales", blocks.scales),
            self.weight(f"{output}.zero_points", blocks.zero_points),
        ]
        self.node(
            "MatMulNBits",
            inputs,
            name,
            _CONTRIB,
            K=blocks.columns,
            N=blocks.rows,
            bits=bits,
            block_size=block,
            accuracy_level=_INT8_ACTIVATIONS,
        )


def build(
    shape: ModelShape, tensors: Mapping[str, NDArray[np.float32]], precision: Precision, *, half: bool = False
) -> Graph:
    """The graph of a model. `half`: float16 activations, keys and values (CUDA)."""
    from onnx import TensorProto

    graph = Graph(shape, precision, TensorProto.FLOAT16 if half else TensorProto.FLOAT)
    _rotations(graph)
    hidden = _embedding(graph, tensors)
    residual, pending = hidden, ""
    for layer in range(shape.layers):
        residual, pending = _layer(graph, tensors, layer, residual, pending)
    _norm(graph, "final", tensors["model.norm.weight"], residual, pending)
    graph.node("Gather", ["final", "rows"], "chosen", axis=1)
    head = tensors["model.embed_tokens.weight"] if shape.tied else tensors["lm_head.weight"]
    graph.linear("chosen", "logits", head, None)
    if half:
        graph.node("Cast", ["logits"], LOGITS[half], to=TensorProto.FLOAT)
    return graph


def serialised(graph: Graph, *, narrow: bool = False) -> bytes:
    """The nodes with their inputs and outputs; weights are given to the session.

    `narrow`: with keys and values in 8 bits, and two more inputs per layer: key_scales.L and value_scales.L, float32
    (1, kv_heads, 1, head_dim).
    """
    from onnx import TensorProto, helper

    half = graph.float_type == TensorProto.FLOAT16

    shape, info = graph.shape, helper.make_tensor_value_info
    cache: list[str | int | None] = [1, shape.kv_heads, "capacity", shape.head_dim]
    kept = TensorProto.INT8 if narrow else graph.float_type
    inputs = [
        info("ids", TensorProto.INT64, [1, "n"]),
        info("positions", TensorProto.INT64, [1, "n"]),
        info("past_lengths", TensorProto.INT32, [1]),
        info("total", TensorProto.INT32, []),
        info("rows", TensorProto.INT64, ["m"]),
    ]
    outputs = [info(LOGITS[half], TensorProto.FLOAT, [1, "m", shape.vocabulary])]
    for layer in range(shape.layers):
        inputs += [info(f"{kind}.{layer}", kept, cache) for kind in ("keys", "values")]
        if narrow:
            scales = [1, shape.kv_heads, 1, shape.head_dim]
            inputs += [info(f"{kind}.{layer}", TensorProto.FLOAT, scales) for kind in ("key_scales", "value_scales")]
        outputs += [info(f"new_{kind}.{layer}", kept, cache) for kind in ("keys", "values")]
        outputs.append(info(queries_name(shape, layer), graph.float_type, [1, "n", None]))
    nodes = [_narrow(node) if narrow and node.op_type == ATTENTION else node for node in graph.nodes]
    model = helper.make_model(
        helper.make_graph(nodes, shape.family, inputs, outputs, [*graph.constants, *declared(graph.weights)]),
        opset_imports=[helper.make_opsetid("", _OPSET), helper.make_opsetid(_CONTRIB, 1)],
        ir_version=_IR_VERSION,
    )
    found: bytes = model.SerializeToString()
    return found


def _narrow(attention: Any) -> Any:
    """The same attention over keys and values in 8 bits."""
    from onnx import NodeProto, helper

    node = NodeProto()
    node.CopyFrom(attention)
    layer = attention.name.rsplit(".", 1)[-1]
    missing = _KEY_SCALES - len(node.input)
    node.input.extend([*[""] * missing, f"key_scales.{layer}", f"value_scales.{layer}"])
    for name, value in (("kv_cache_bit_width", 8), ("k_quant_type", "PER_CHANNEL"), ("v_quant_type", "PER_CHANNEL")):
        node.attribute.append(helper.make_attribute(name, value))
    return node


def queries_name(shape: ModelShape, layer: int) -> str:
    """The output that holds this layer's queries, first in its last dimension, before they are rotated."""
    return f"q.{layer}.joined" if shape.qk_norm else f"qkv.{layer}"


def _rotations(graph: Graph) -> None:
    """cos and sin of position times frequency, (positions, head_dim / 2)."""
    positions = np.arange(max(graph.shape.positions, _LEAST_POSITIONS))
    angles = positions[:, None] * graph.shape.inverse_frequencies()[None]
    graph.real("cos", np.cos(angles).astype(np.float32))
    graph.real("sin", np.sin(angles).astype(np.float32))


def _embedding(graph: Graph, tensors: Mapping[str, NDArray[np.float32]]) -> str:
    table = tensors["model.embed_tokens.weight"]
    if graph.precision == "float32":
        return graph.node("Gather", [graph.real("embedding", table), "ids"], "embedded")
    graph.node("Gather", [graph.weight("embedding", table.astype(np.float16)), "ids"], "embedded.half")
    return graph.node("Cast", ["embedded.half"], "embedded", to=graph.float_type)


def _norm(graph: Graph, output: str, weight: NDArray[np.float32], residual: str, pending: str) -> str:
    """RMS norm (Zhang & Sennrich 2019) of residual + pending; returns the name of that sum."""
    scale = graph.real(f"{output}.scale", weight)
    if not pending:
        graph.node(
            "SimplifiedLayerNormalization",
            [residual, scale],
            output,
            axis=-1,
            epsilon=graph.shape.epsilon,
            stash_type=1,
        )
        return residual
    graph.node(
        "SkipSimplifiedLayerNormalization",
        [residual, pending, scale],
        output,
        _CONTRIB,
        extra=3,
        epsilon=graph.shape.epsilon,
    )
    return f"{output}.3"


def _layer(
    graph: Graph, tensors: Mapping[str, NDArray[np.float32]], layer: int, residual: str, pending: str
) -> tuple[str, str]:
    """One transformer block; returns the residual stream and what is still to be added to it."""
    prefix, at = f"model.layers.{layer}.", f".{layer}"
    residual = _norm(graph, f"before{at}", tensors[prefix + "input_layernorm.weight"], residual, pending)
    attended = _attention(graph, tensors, layer, f"before{at}")
    output = prefix + "self_attn.o_proj"
    graph.linear(attended, f"output{at}", tensors[output + ".weight"], tensors.get(output + ".bias"))
    after = tensors[prefix + "post_attention_layernorm.weight"]
    residual = _norm(graph, f"after{at}", after, residual, f"output{at}")
    graph.linear(
        f"after{at}", f"widened{at}", *_joined(tensors, [f"{prefix}mlp.{kind}_proj" for kind in ("gate", "up")])
    )
    wide = len(tensors[f"{prefix}mlp.up_proj.weight"])
    graph.node("Split", [f"widened{at}", graph.sizes(f"halves{at}", wide, wide)], f"gate{at}", extra=1, axis=-1)
    graph.node("QuickGelu", [f"gate{at}"], f"silu{at}", _CONTRIB, alpha=1.0)
    graph.node("Mul", [f"silu{at}", f"gate{at}.1"], f"gated{at}")
    name = prefix + "mlp.down_proj"
    return residual, graph.linear(f"gated{at}", f"down{at}", tensors[name + ".weight"], tensors.get(name + ".bias"))


def _attention(graph: Graph, tensors: Mapping[str, NDArray[np.float32]], layer: int, source: str) -> str:
    shape, at = graph.shape, f".{layer}"
    prefix = f"model.layers.{layer}.self_attn."
    graph.linear(source, f"qkv{at}", *_joined(tensors, [f"{prefix}{name}_proj" for name in "qkv"]))
    projected = [f"qkv{at}", "", ""]  # the operator takes them apart
    if shape.qk_norm:
        parts = [shape.heads * shape.head_dim, *[shape.kv_heads * shape.head_dim] * 2]
        graph.node("Split", [f"qkv{at}", graph.sizes(f"sizes{at}", *parts)], f"q{at}", extra=2, axis=-1)
        queries = _head_norm(graph, f"q{at}", shape.heads, tensors[f"{prefix}q_norm.weight"])
        keys = _head_norm(graph, f"q{at}.1", shape.kv_heads, tensors[f"{prefix}k_norm.weight"])
        projected = [queries, keys, f"q{at}.2"]
    outputs = [f"attended{at}", f"new_keys{at}", f"new_values{at}"]
    from onnx import helper

    graph.nodes.append(
        helper.make_node(
            ATTENTION,
            [*projected, f"keys{at}", f"values{at}", "past_lengths", "total", "cos", "sin", "positions"],
            outputs,
            name=outputs[0],
            domain=_CONTRIB,
            num_heads=shape.heads,
            kv_num_heads=shape.kv_heads,
            do_rotary=1,
        )
    )
    return outputs[0]


def _joined(
    tensors: Mapping[str, NDArray[np.float32]], names: Sequence[str]
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Several layers with one input as one: fewer operators to wait for. All of them have a bias, or none has."""
    biases = [tensors[f"{name}.bias"] for name in names if f"{name}.bias" in tensors]
    return np.concatenate([tensors[f"{name}.weight"] for name in names]), np.concatenate(biases) if biases else None


def _head_norm(graph: Graph, source: str, heads: int, weight: NDArray[np.float32]) -> str:
    """RMS norm of every head on its own (Qwen3)."""
    shape = graph.shape
    apart = graph.sizes(f"{source}.apart", 0, 0, heads, shape.head_dim)
    together = graph.sizes(f"{source}.together", 0, 0, heads * shape.head_dim)
    graph.node("Reshape", [source, apart], f"{source}.heads")
    graph.node(
        "SimplifiedLayerNormalization",
        [f"{source}.heads", graph.real(f"{source}.scale", weight)],
        f"{source}.normed",
        axis=-1,
        epsilon=shape.epsilon,
        stash_type=1,
    )
    return graph.node("Reshape", [f"{source}.normed", together], f"{source}.joined")
