"""Convolutions, transposed convolutions and products that are fast inside loops.

XLA:CPU runs a library convolution slowly inside a loop body, a transposed one slowly
everywhere, and `vmap` over members turns both into grouped convolutions, slower still.
Matrix products avoid all of this, either on patches of the input (`products`) or with
fewer multiplications (`winograd`). `lowering` chooses the form.

Operands are cast to `dtype`; sums and results are float32, also in gradients. Gradients
of any order use reverse mode (the custom rules have no forward mode).
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap, sequential_vmap

from gen_tickets.kernels import batched_products, library, products
from gen_tickets.kernels.lowering import Lowering

_NONE = ((0, 0), (0, 0))


class _Geometry(NamedTuple):
    """The static side of a convolution from `size` pixels to `out` pixels.

    flipped: the kernel is given as [kh, kw, O, C], rotated by 180 degrees, as in
    transposed convolutions.
    """

    kernel: tuple[int, int]
    strides: tuple[int, int]
    padding: tuple[tuple[int, int], tuple[int, int]]
    size: tuple[int, int]
    dtype: Any
    lowering: Lowering
    flipped: bool

    @property
    def sides(self):
        return [*zip(self.size, self.kernel, self.strides, self.padding)]

    @property
    def out(self):
        return tuple((n + sum(p) - k) // s + 1 for n, k, s, p in self.sides)


def conv(x, kernel, *, lowering, strides=(1, 1), padding=_NONE, dtype=jnp.float32):
    """Convolution of x [N, H, W, C] with kernel [kh, kw, C, O]: float32 [N, h, w, O].

    Equals `lax.conv_general_dilated`. `padding` holds (low, high) pixels, 0 or more,
    for rows and columns; `lowering` is a `lowering.Lowering`.
    """
    size, pads = x.shape[1:3], tuple((low, high) for low, high in padding)
    geometry = _Geometry(
        kernel.shape[:2],
        tuple(strides),
        pads,
        tuple(size),
        jnp.dtype(dtype),
        lowering,
        flipped=False,
    )
    return _forward(x, kernel, geometry)


def conv_transpose(
    x, kernel, *, lowering, strides=(1, 1), padding=_NONE, dtype=jnp.float32
):
    """Transposed convolution of x [N, H, W, C], kernel [kh, kw, C, O]: [N, h, w, O].

    Equals `lax.conv_transpose` with explicit `padding`: x with strides - 1 zeros
    between its pixels and `padding` around them, convolved with the kernel.
    """
    sides = [*zip(x.shape[1:3], kernel.shape[:2], strides, padding)]
    size = tuple((n - 1) * s + sum(p) + 2 - k for n, k, s, p in sides)
    crops = tuple((k - 1 - low, k - 1 - high) for _, k, _, (low, high) in sides)
    geometry = _Geometry(
        kernel.shape[:2],
        tuple(strides),
        crops,
        size,
        jnp.dtype(dtype),
        lowering,
        flipped=True,
    )
    return _backward(x, kernel, geometry)


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
    return _run("forward", x, k, geometry)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _backward(y, k, geometry):
    """x [N, H, W, C]: the transpose of `_forward` in x, y spread over its windows."""
    return _run("backward", y, k, geometry)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _correlate(x, y, geometry):
    """Kernel k: the transpose of `_forward` in k."""
    return _run("correlate", x, y, geometry)


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


def _run(operator, a, b, geometry):
    """Applies an operator to two arrays, in the form chosen by its lowering."""
    alone, vmapped = (_form(form, operator, geometry) for form in geometry.lowering)
    if geometry.lowering.alone == geometry.lowering.vmapped:
        return alone(a, b)
    function = custom_vmap(alone)

    @function.def_vmap
    def over_members(count, is_batched, a, b):
        del count
        axes = tuple(0 if batched else None for batched in is_batched)
        return jax.vmap(vmapped, axes)(a, b), True

    return function(a, b)


def _form(form, operator, geometry):
    """The implementation of an operator in one form."""
    if form == "product":
        function = getattr(products, operator)
        return sequential_vmap(functools.partial(function, geometry=geometry))
    module = batched_products if form == "batched_product" else library
    return functools.partial(getattr(module, operator), geometry=geometry)
