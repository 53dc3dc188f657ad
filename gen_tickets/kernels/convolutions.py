"""Convolutions, transposed convolutions and products that are fast inside loops.

XLA:CPU runs a library convolution slowly inside a loop body, a transposed one slowly
everywhere, and `vmap` over members turns both into grouped convolutions, slower still.
So on the CPU a convolution is a matrix product ("product" lowering): with the patches
of its input, or with fewer multiplications where `winograd` applies. A few images at a
time, so that patches stay in the cache, and members of a `vmap` one after the other.
Elsewhere the library convolution is used ("library"). `lowering` chooses.

Operands are cast to `dtype`; sums and results are float32, in gradients too. Gradients
of any order are by reverse mode (custom rules have no forward mode).
"""

import contextlib
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from gen_tickets.kernels import products

_forced_lowering = None


def lowering() -> str:
    """How convolutions are compiled: "product" on the CPU, "library" elsewhere."""
    if _forced_lowering:
        return _forced_lowering
    return "product" if jax.default_backend() == "cpu" else "library"


@contextlib.contextmanager
def use_lowering(name: str):
    """Sets "product" or "library" for what is traced inside the context."""
    global _forced_lowering
    before, _forced_lowering = _forced_lowering, name
    try:
        yield
    finally:
        _forced_lowering = before


class _Geometry(NamedTuple):
    """The static side of a convolution from `size` pixels to `out` pixels.

    flipped: the kernel is given as [kh, kw, O, C], turned by 180 degrees, as transposed
    convolutions have it.
    """

    kernel: tuple[int, int]
    strides: tuple[int, int]
    padding: tuple[tuple[int, int], tuple[int, int]]
    size: tuple[int, int]
    dtype: Any
    lowering: str
    flipped: bool

    @property
    def sides(self):
        return [*zip(self.size, self.kernel, self.strides, self.padding)]

    @property
    def out(self):
        return tuple((n + sum(p) - k) // s + 1 for n, k, s, p in self.sides)


def conv(x, kernel, *, strides=(1, 1), padding=((0, 0), (0, 0)), dtype=jnp.float32):
    """Convolution of x [N, H, W, C] with kernel [kh, kw, C, O]: float32 [N, h, w, O].

    Equals `lax.conv_general_dilated`. `padding` holds (low, high) pixels, 0 or more,
    for rows and columns.
    """
    size, pads = x.shape[1:3], tuple((low, high) for low, high in padding)
    return _forward(x, kernel, _geometry(kernel, strides, pads, size, dtype, False))


def conv_transpose(
    x, kernel, *, strides=(1, 1), padding=((0, 0), (0, 0)), dtype=jnp.float32
):
    """Transposed convolution of x [N, H, W, C], kernel [kh, kw, C, O]: [N, h, w, O].

    Equals `lax.conv_transpose` with explicit `padding`: x with strides - 1 zeros
    between its pixels and `padding` around them, convolved with the kernel.
    """
    sides = [*zip(x.shape[1:3], kernel.shape[:2], strides, padding)]
    size = tuple((n - 1) * s + sum(p) + 2 - k for n, k, s, p in sides)
    crops = tuple((k - 1 - low, k - 1 - high) for _, k, _, (low, high) in sides)
    return _backward(x, kernel, _geometry(kernel, strides, crops, size, dtype, True))


def _geometry(kernel, strides, padding, size, dtype, flipped):
    sides = kernel.shape[:2], tuple(strides), padding, tuple(size)
    return _Geometry(*sides, jnp.dtype(dtype), lowering(), flipped)


def dense(x, kernel, dtype=jnp.float32):
    """x [..., C] times kernel [C, O]: float32 [..., O]."""
    return _product(x.reshape(-1, x.shape[-1]), kernel, jnp.dtype(dtype)).reshape(
        *x.shape[:-1], kernel.shape[1]
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _product(a, b, dtype):
    return jnp.matmul(
        a.astype(dtype), b.astype(dtype), preferred_element_type=jnp.float32
    )


_product.defvjp(
    lambda a, b, dtype: (_product(a, b, dtype), (a, b)),
    lambda dtype, saved, g: (
        _product(g, saved[1].T, dtype),
        _product(saved[0].T, g, dtype),
    ),
)


# The three operators of a convolution y = x * k. Each is linear in both arguments, and
# its gradients are the other two: one rule serves every order.


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _forward(x, k, geometry):
    """y [N, h, w, O] of x [N, H, W, C] and kernel k."""
    return _run(products.forward, _forward_library, x, k, geometry)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _backward(y, k, geometry):
    """x [N, H, W, C]: the transpose of `_forward` in x, y spread over its windows."""
    return _run(products.backward, _backward_library, y, k, geometry)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _correlate(x, y, geometry):
    """Kernel k: the transpose of `_forward` in k."""
    return _run(products.correlate, _correlate_library, x, y, geometry)


def _define_gradients(function, first, second):
    function.defvjp(
        lambda a, b, geometry: (function(a, b, geometry), (a, b)),
        lambda geometry, saved, g: (
            first(*saved, g, geometry),
            second(*saved, g, geometry),
        ),
    )


_define_gradients(
    _forward,
    lambda x, k, g, geometry: _backward(g, k, geometry),
    lambda x, k, g, geometry: _correlate(x, g, geometry),
)
_define_gradients(
    _backward,
    lambda y, k, g, geometry: _forward(g, k, geometry),
    lambda y, k, g, geometry: _correlate(g, y, geometry),
)
_define_gradients(
    _correlate,
    lambda x, y, g, geometry: _backward(y, g, geometry),
    lambda x, y, g, geometry: _forward(x, g, geometry),
)


def _run(product, library, a, b, geometry):
    if geometry.lowering == "library":
        return library(a.astype(geometry.dtype), b.astype(geometry.dtype), geometry)
    one_member = jax.custom_batching.sequential_vmap(
        lambda a, b: product(a, b, geometry)
    )
    return one_member(a, b)


# Lowering "library".


def _forward_library(x, k, geometry):
    k, spec = (k[::-1, ::-1], "HWOI") if geometry.flipped else (k, "HWIO")
    return lax.conv_general_dilated(
        x,
        k,
        geometry.strides,
        geometry.padding,
        dimension_numbers=("NHWC", spec, "NHWC"),
        preferred_element_type=jnp.float32,
    )


def _backward_library(y, k, geometry):
    k, spec = (k, "HWIO") if geometry.flipped else (k[::-1, ::-1], "HWOI")
    padding = [
        (k - 1 - low, n + low - 1 - (out - 1) * s)
        for (n, k, s, (low, _)), out in zip(geometry.sides, geometry.out)
    ]
    return lax.conv_general_dilated(
        y,
        k,
        (1, 1),
        padding,
        lhs_dilation=geometry.strides,
        dimension_numbers=("NHWC", spec, "NHWC"),
        preferred_element_type=jnp.float32,
    )


def _correlate_library(x, y, geometry):
    padding = [
        (low, k + (out - 1) * s - n - low)
        for (n, k, s, (low, _)), out in zip(geometry.sides, geometry.out)
    ]
    spec = "HWCN" if geometry.flipped else "HWNC"
    k = lax.conv_general_dilated(
        x,
        y,
        (1, 1),
        padding,
        rhs_dilation=geometry.strides,
        dimension_numbers=("CHWN", "IHWO", spec),
        preferred_element_type=jnp.float32,
    )
    return k[::-1, ::-1] if geometry.flipped else k
