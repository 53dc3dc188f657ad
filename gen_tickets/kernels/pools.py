"""3x3 pooling as maxima or sums of shifted slices, one axis at a time.

XLA:CPU does not vectorize `reduce_window`, which takes six times as long. Arrays are
[N, H, W, C].
"""

import functools
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float


def max_pool(
    x: Float[Array, "n H W c"], stride: int, padding: int = 0
) -> Float[Array, "n h w c"]:
    """Maximum of each 3x3 window; padded cells are ignored."""
    return _pool(x, stride, padding, jnp.maximum, -np.inf)


def average_pool(x: Float[Array, "n h w c"]) -> Float[Array, "n h w c"]:
    """Mean of each 3x3 window, stride 1, same size; padded cells are not counted."""
    sums = _pool(x, 1, 1, jnp.add, 0.0)
    rows, columns = (_window_counts(size) for size in x.shape[1:3])
    return sums / (rows[:, None] * columns)[None, :, :, None]


def _window_counts(size: int) -> np.ndarray:
    """The number of the 3 cells around each position that lie inside."""
    positions = np.arange(size)
    inside = np.minimum(positions + 1, size - 1) - np.maximum(positions - 1, 0) + 1
    return inside.astype(np.float32)


def _pool(
    x: Float[Array, "n H W c"],
    stride: int,
    padding: int,
    combine: Callable[[Array, Array], Array],
    neutral: float,
) -> Float[Array, "n h w c"]:
    width = ((0, 0), (padding, padding), (padding, padding), (0, 0))
    x = jnp.pad(x, width, constant_values=neutral)
    for axis in (1, 2):
        size = (x.shape[axis] - 3) // stride + 1
        slices = (
            lax.slice_in_dim(x, i, i + stride * (size - 1) + 1, stride, axis)
            for i in range(3)
        )
        x = functools.reduce(combine, slices)
    return x
