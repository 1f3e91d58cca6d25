"""Weights as blocks of small integers, in the layout that ONNX Runtime's `MatMulNBits` multiplies with.

Weight-only: activations are quantised by the operator, per row and block, so that a token's result does not depend on
which tokens are computed beside it. Pure numpy.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Precision = Literal["int8", "int4", "float32"]


def bits_of(precision: Precision, layer: str) -> tuple[int, int]:
    """Bits and block size of a kind of layer (`logits`, `widened`, ...), for one of the two quantised precisions.

    Activations are rounded in the same blocks. Measured, see docs/decisions.md: blocks of 64 cost 0.003 nats per token
    in the logits, 0.001 in front of the attention and nothing elsewhere; four bits cost 0.13 in the logits alone.
    """
    if precision == "int4" and layer != "logits":
        return 4, 32
    return 8, 32 if layer in ("logits", "qkv") else 64


@dataclass(frozen=True)
class Blocks:
    """A matrix (rows, columns) as `bits`-wide unsigned integers: value = (packed - zero point) * scale.

    packed: uint8 (rows, blocks, block * bits / 8), low nibble first; scales: float32 (rows, blocks);
    zero_points: uint8, (rows, ceil(blocks * bits / 8)).
    """

    bits: int
    block: int
    rows: int
    columns: int
    packed: NDArray[np.uint8]
    scales: NDArray[np.float32]
    zero_points: NDArray[np.uint8]


def quantise(weight: NDArray[np.float32], bits: int, block: int) -> Blocks:
    """Round to the nearest of 2^bits evenly spaced values between each block's least and greatest, 0 among them."""
    rows, columns = weight.shape
    count = -(-columns // block)
    padded = np.zeros((rows, count * block), dtype=np.float32)
    padded[:, :columns] = weight
    blocks = padded.reshape(rows, count, block)
    low = np.minimum(blocks.min(axis=-1), 0.0)
    high = np.maximum(blocks.max(axis=-1), 0.0)
    most = 2**bits - 1
    scales = ((high - low) / most).astype(np.float32)
    scales[scales == 0.0] = 1.0
    zero = np.clip(np.rint(-low / scales), 0, most)
    values = np.clip(np.rint(blocks / scales[..., None]) + zero[..., None], 0, most).astype(np.uint8)
    zero_points = zero.astype(np.uint8)
    if bits == 4:
        values = values[..., 0::2] | (values[..., 1::2] << 4)
        zero_points = np.pad(zero_points, ((0, 0), (0, count % 2)))
        zero_points = zero_points[:, 0::2] | (zero_points[:, 1::2] << 4)
    return Blocks(bits, block, rows, columns, np.ascontiguousarray(values), scales, np.ascontiguousarray(zero_points))


def dequantise(blocks: Blocks) -> NDArray[np.float32]:
    """The matrix that the integers stand for, float32 (rows, columns)."""
    values, zero = blocks.packed, blocks.zero_points
    count = blocks.scales.shape[1]
    if blocks.bits == 4:
        values = np.stack([values & 15, values >> 4], axis=-1).reshape(blocks.rows, count, blocks.block)
        zero = np.stack([zero & 15, zero >> 4], axis=-1).reshape(blocks.rows, -1)[:, :count]
    exact = (values.astype(np.float32) - zero[..., None].astype(np.float32)) * blocks.scales[..., None]
    return exact.reshape(blocks.rows, -1)[:, : blocks.columns]
