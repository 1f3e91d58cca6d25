"""An ONNX graph whose arrays lie beside it: declared in the graph by type and size, handed to the session as they are.

Nothing is serialised but the nodes, and no limit of two gigabytes applies. The session's threads wait for the next
operator for some microseconds only, then they sleep, so that all cores can be used beside other programs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]

# Fused they go through numbers one by one, which takes five times as long as adding and norming do.
_LEFT_APART = ["SkipLayerNormFusion"]
SPIN_MICROSECONDS = 20  # bridges two operators; much longer, and a busy neighbour's turn is spent waiting


@dataclass(frozen=True)
class Session:
    """`inference` is onnxruntime's InferenceSession. It reads the arrays where they are, so it keeps them."""

    inference: Any
    arrays: Arrays
    values: Sequence[Any]


def declared(arrays: Arrays) -> list[Any]:
    """Initialisers without data: type, sizes, and the note that the data come from outside."""
    from onnx import TensorProto, helper

    found = []
    for name, value in arrays.items():
        tensor = TensorProto(name=name, data_type=helper.np_dtype_to_tensor_dtype(value.dtype), dims=value.shape)
        tensor.data_location = TensorProto.EXTERNAL
        entry = tensor.external_data.add()
        entry.key, entry.value = "location", "memory"
        found.append(tensor)
    return found


def open_session(
    graph: bytes,
    arrays: Arrays,
    *,
    threads: int = 0,
    providers: Sequence[str] = ("CPUExecutionProvider",),
    spin: int | None = SPIN_MICROSECONDS,
) -> Session:
    """A session for a graph that `declared` its arrays. `threads` 0: all cores.

    `spin`: microseconds that a thread waits awake for its next piece of work; 0: it sleeps at once; None: as ONNX
    Runtime would by itself.
    """
    import onnxruntime

    onnxruntime.set_default_logger_severity(3)
    values = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in arrays.values()]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.force_spinning_stop", "1")  # between two runs nobody waits awake
    if spin is not None:
        options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spin > 0)))
    if spin:
        options.add_session_config_entry("session.intra_op.spin_duration_us", str(spin))
    options.add_external_initializers(list(arrays), values)
    inference = onnxruntime.InferenceSession(graph, options, providers=list(providers), disabled_optimizers=_LEFT_APART)
    return Session(inference, arrays, values)
