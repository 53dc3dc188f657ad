"""Conversion between pixels and the inputs and outputs of models.

Images are uint8 in 0..255; models use float32 in [-1, 1]. Both functions work on arrays
of any shape and may be called inside compiled code.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Shaped, UInt8


def to_float(
    images: Shaped[Array | np.ndarray, " *shape"],
) -> Float32[Array, " *shape"]:
    """uint8 of any shape → float32 of that shape in [-1, 1], as x / 127.5 - 1."""
    return jnp.asarray(images, jnp.float32) / 127.5 - 1.0


def to_uint8(images: Float[Array | np.ndarray, " *shape"]) -> UInt8[Array, " *shape"]:
    """float in [-1, 1] of any shape → uint8, (x + 1) * 127.5 rounded half up, clipped.

    NaN, for instance from a diverged model, becomes 0, because devices cast NaN to
    different integers.
    """
    levels = jnp.floor((jnp.nan_to_num(images, nan=-1.0) + 1.0) * 127.5 + 0.5)
    return jnp.clip(levels, 0, 255).astype(jnp.uint8)
