"""Keys and values in eight bits, and back: plain arithmetic on arrays, without files.

Keys get one scale per channel and block of at most 64 tokens, values one per token, as the outliers of keys sit in
channels and those of values do not (Liu et al. 2024, "KIVI: A Tuning-Free Asymmetric 2bit Quantization for KV Cache");
eight bits need no zero point. bfloat16 is kept as its bits in uint16, since numpy has no such type.

Always: no number moves by more than half of its scale, and then to the nearest number of the target type, ties to even.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.cache.key import DType
from model.runtimes.runtime import Cancelled, CancelledError, KeysValues

BLOCK = 64  # tokens that share the scales of their keys
_STEPS = 127.0


@dataclass(frozen=True)
class Quantised:
    """int8 `keys` and `values` (layers, kv_heads, tokens, head_dim), and their float32 scales:

    `key_scales` (layers, kv_heads, blocks, head_dim), `value_scales` (layers, kv_heads, tokens). `dtype` is what they
    were made from and become again. The arrays may be views of a mapped file.
    """

    keys: NDArray[np.int8]
    key_scales: NDArray[np.float32]
    values: NDArray[np.int8]
    value_scales: NDArray[np.float32]
    dtype: DType

    @property
    def finite(self) -> bool:
        """Whether every number was finite: NaN and infinity have no place in eight bits."""
        return bool(np.isfinite(self.key_scales).all() and np.isfinite(self.value_scales).all())

    def restored(self) -> KeysValues:
        """In the original dtype, in memory of their own."""
        keys = np.empty(self.keys.shape, dtype=_ARRAY[self.dtype])
        values = np.empty(self.values.shape, dtype=_ARRAY[self.dtype])
        tokens = keys.shape[2]
        for layer in range(len(keys)):  # one layer at a time, so that what is between is small
            scales = np.repeat(self.key_scales[layer], BLOCK, axis=1)[:, :tokens]
            keys[layer] = _narrowed(self.keys[layer] * scales, self.dtype)
            values[layer] = _narrowed(self.values[layer] * self.value_scales[layer][..., None], self.dtype)
        return KeysValues(keys, values)


_ARRAY: dict[DType, Any] = {"float32": np.float32, "bfloat16": np.uint16}


def dtype_of(stored: KeysValues) -> DType:
    """What the arrays hold. Raises ValueError where it is neither float32 nor the bits of bfloat16."""
    for name, array in _ARRAY.items():
        if stored.keys.dtype == array and stored.values.dtype == array:
            return name
    raise ValueError(f"keys are {stored.keys.dtype} and values {stored.values.dtype}; expected float32 or uint16 alike")


def quantise(stored: KeysValues, cancelled: Cancelled = lambda: False) -> Quantised:
    """Round to eight bits. What is not finite gives scales that are not: see `Quantised.finite`.

    Raises CancelledError between two layers (a few milliseconds each), and ValueError as `dtype_of` does.
    """
    dtype = dtype_of(stored)
    layers, heads, tokens, channels = stored.keys.shape
    blocks = -(-tokens // BLOCK)
    keys = np.empty((layers, heads, tokens, channels), dtype=np.int8)
    values = np.empty((layers, heads, tokens, channels), dtype=np.int8)
    key_scales = np.empty((layers, heads, blocks, channels), dtype=np.float32)
    value_scales = np.empty((layers, heads, tokens), dtype=np.float32)
    padded = np.zeros((heads, blocks * BLOCK, channels), dtype=np.float32)
    for layer in range(layers):
        if cancelled():
            raise CancelledError
        padded[:, :tokens] = widened(stored.keys[layer])
        blocked = padded.reshape(heads, blocks, BLOCK, channels)
        key_scales[layer] = _scales(blocked, axis=2)
        rounded = _rounded(blocked, key_scales[layer][:, :, None])
        keys[layer] = rounded.reshape(heads, blocks * BLOCK, channels)[:, :tokens]
        wide = widened(stored.values[layer])
        value_scales[layer] = _scales(wide, axis=2)
        values[layer] = _rounded(wide, value_scales[layer][..., None])
    return Quantised(keys, key_scales, values, value_scales, dtype)


def quantised(stored: KeysValues) -> KeysValues:
    """There and back: what the disk would return. For measuring what eight bits cost."""
    return quantise(stored).restored()


def to_bfloat16(numbers: NDArray[np.float32]) -> NDArray[np.uint16]:
    """The bits of the nearest bfloat16, ties to even; NaN stays NaN, what is too large becomes infinity."""
    bits = np.ascontiguousarray(numbers, dtype=np.float32).view(np.uint32)
    nearest = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
    quiet = (bits >> np.uint32(16)) | np.uint32(0x40)
    return np.where(np.isnan(numbers), quiet, nearest).astype(np.uint16)


def from_bfloat16(bits: NDArray[np.uint16]) -> NDArray[np.float32]:
    """The same numbers in float32, exactly."""
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


def widened(array: NDArray[Any]) -> NDArray[np.float32]:
    """float32 as it is, the bits of bfloat16 as the numbers that they stand for."""
    return from_bfloat16(array) if array.dtype == np.uint16 else array


def _narrowed(numbers: NDArray[np.float32], dtype: DType) -> NDArray[Any]:
    return to_bfloat16(numbers) if dtype == "bfloat16" else numbers


def _scales(numbers: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """What one step is worth, so that the largest number is 127 steps; never 0, so that it can be divided by."""
    largest = np.maximum(numbers.max(axis=axis, initial=0.0), -numbers.min(axis=axis, initial=0.0))
    return np.maximum(largest / np.float32(_STEPS), np.finfo(np.float32).tiny)


def _rounded(numbers: NDArray[np.float32], scales: NDArray[np.float32]) -> NDArray[np.int8]:
    """To the nearest step."""
    with np.errstate(invalid="ignore"):  # infinity by infinity
        steps = np.rint(numbers / scales)
    return np.clip(np.nan_to_num(steps, nan=0.0), -_STEPS, _STEPS).astype(np.int8)
