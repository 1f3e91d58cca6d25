"""Turning keys that are already rotated: moving a document to other positions without computing it again.

A rotation by a then by b is one by a + b (Su et al. 2021, "RoFormer"), so the distance is all that is needed.
Half-split layout: the first half of a head pairs with its second half, as transformers has it.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.shape import ModelShape


def turned(keys: NDArray[np.float32], distance: int, shape: ModelShape) -> NDArray[np.float32]:
    """`keys` (..., tokens, head_dim) as if each token stood `distance` positions further on. float32, a new array."""
    if distance == 0:
        return keys
    angles = distance * shape.inverse_frequencies()
    cos, sin = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
    half = shape.head_dim // 2
    first, second = keys[..., :half], keys[..., half:]
    moved: NDArray[Any] = np.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)
    return moved
