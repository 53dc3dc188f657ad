"""Form "library" of `convolutions`: XLA's own convolution, operands in `dtype`."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from gen_tickets.kernels.geometry import Geometry


def forward(
    x: Float[Array, "n H W c"], k: Float[Array, "kh kw _ _"], geometry: Geometry
) -> Float[Array, "n h w o"]:
    k, spec = (k[::-1, ::-1], "HWOI") if geometry.flipped else (k, "HWIO")
    return lax.conv_general_dilated(
        x.astype(geometry.dtype),
        k.astype(geometry.dtype),
        geometry.strides,
        geometry.padding,
        dimension_numbers=("NHWC", spec, "NHWC"),
        preferred_element_type=jnp.float32,
    )


def backward(
    y: Float[Array, "n h w o"], k: Float[Array, "kh kw _ _"], geometry: Geometry
) -> Float[Array, "n H W c"]:
    k, spec = (k, "HWIO") if geometry.flipped else (k[::-1, ::-1], "HWOI")
    padding = [
        (k - 1 - low, n + low - 1 - (out - 1) * s)
        for (n, k, s, (low, _)), out in zip(geometry.sides, geometry.out)
    ]
    return lax.conv_general_dilated(
        y.astype(geometry.dtype),
        k.astype(geometry.dtype),
        (1, 1),
        padding,
        lhs_dilation=geometry.strides,
        dimension_numbers=("NHWC", spec, "NHWC"),
        preferred_element_type=jnp.float32,
    )


def correlate(
    x: Float[Array, "n H W c"], y: Float[Array, "n h w o"], geometry: Geometry
) -> Float[Array, "kh kw _ _"]:
    padding = [
        (low, k + (out - 1) * s - n - low)
        for (n, k, s, (low, _)), out in zip(geometry.sides, geometry.out)
    ]
    spec = "HWCN" if geometry.flipped else "HWNC"
    k = lax.conv_general_dilated(
        x.astype(geometry.dtype),
        y.astype(geometry.dtype),
        (1, 1),
        padding,
        rhs_dilation=geometry.strides,
        dimension_numbers=("CHWN", "IHWO", spec),
        preferred_element_type=jnp.float32,
    )
    return k[::-1, ::-1] if geometry.flipped else k
