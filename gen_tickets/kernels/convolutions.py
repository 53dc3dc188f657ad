"""Convolutions, transposed convolutions and products that are fast inside loops.

XLA:CPU runs library convolutions slowly inside loop bodies and transposed ones slowly
everywhere; a `vmap` over members turns both into grouped convolutions, which are even
slower. Matrix products avoid all of this, either on patches of the input (`products`)
or with fewer multiplications (`winograd`). `lowering` chooses the form.

Operands are cast to `dtype`; sums and results are float32, also in gradients. Gradients
of any order use reverse mode (the custom rules have no forward mode).
"""

import functools
from collections.abc import Callable, Sequence
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_batching import custom_vmap, sequential_vmap
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Float32

from gen_tickets.kernels import batched_products, library, products
from gen_tickets.kernels.geometry import Geometry, Pair
from gen_tickets.kernels.lowering import Form, Lowering

_NONE = ((0, 0), (0, 0))
# (both arguments, the gradient of the result) -> the gradient of one argument
_Gradient: TypeAlias = Callable[[Array, Array, Array, Geometry], Array]


def conv(
    x: Float[Array, "n H W c"],
    kernel: Float[Array, "kh kw c o"],
    *,
    lowering: Lowering,
    strides: Pair = (1, 1),
    padding: tuple[Pair, Pair] = _NONE,
    dtype: DTypeLike = jnp.float32
) -> Float32[Array, "n h w o"]:
    """Convolution of x [N, H, W, C] with kernel [kh, kw, C, O]: float32 [N, h, w, O].

    Equals `lax.conv_general_dilated`. `padding` holds (low, high) pixels, 0 or more,
    for rows and columns; `lowering` is a `lowering.Lowering`.
    """
    _, height, width, _ = x.shape
    kh, kw, _, _ = kernel.shape
    geometry = Geometry(
        (kh, kw),
        strides,
        padding,
        (height, width),
        jnp.dtype(dtype),
        lowering,
        flipped=False,
    )
    return _forward(x, kernel, geometry)


def conv_transpose(
    x: Float[Array, "n H W c"],
    kernel: Float[Array, "kh kw c o"],
    *,
    lowering: Lowering,
    strides: Pair = (1, 1),
    padding: tuple[Pair, Pair] = _NONE,
    dtype: DTypeLike = jnp.float32
) -> Float32[Array, "n h w o"]:
    """Transposed convolution of x [N, H, W, C], kernel [kh, kw, C, O]: [N, h, w, O].

    Equals `lax.conv_transpose` with explicit `padding`: x is dilated with strides - 1
    zeros between its pixels, padded, and convolved with the kernel.
    """
    kh, kw, _, _ = kernel.shape
    sides = [*zip(x.shape[1:3], (kh, kw), strides, padding)]
    height, width = ((n - 1) * s + sum(p) + 2 - k for n, k, s, p in sides)
    rows, columns = ((k - 1 - low, k - 1 - high) for _, k, _, (low, high) in sides)
    geometry = Geometry(
        (kh, kw),
        strides,
        (rows, columns),
        (height, width),
        jnp.dtype(dtype),
        lowering,
        flipped=True,
    )
    return _backward(x, kernel, geometry)


def dense(
    x: Float[Array, "*n c"], kernel: Float[Array, "c o"], dtype: DTypeLike = jnp.float32
) -> Float32[Array, "*n o"]:
    """x [..., C] times kernel [C, O]: float32 [..., O]."""
    return _product(x.reshape(-1, x.shape[-1]), kernel, jnp.dtype(dtype)).reshape(
        *x.shape[:-1], kernel.shape[1]
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _product(
    a: Float[Array, "n c"], b: Float[Array, "c o"], dtype: np.dtype
) -> Float32[Array, "n o"]:
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
# its gradients are the other two, so one rule covers all orders.


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _forward(
    x: Float[Array, "n H W c"], k: Float[Array, "kh kw _ _"], geometry: Geometry
) -> Float[Array, "n h w o"]:
    """y [N, h, w, O] from x [N, H, W, C] and kernel k."""
    return _run("forward", x, k, geometry)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _backward(
    y: Float[Array, "n h w o"], k: Float[Array, "kh kw _ _"], geometry: Geometry
) -> Float[Array, "n H W c"]:
    """x [N, H, W, C]: the transpose of `_forward` with respect to x."""
    return _run("backward", y, k, geometry)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _correlate(
    x: Float[Array, "n H W c"], y: Float[Array, "n h w o"], geometry: Geometry
) -> Float[Array, "kh kw _ _"]:
    """Kernel k: the transpose of `_forward` with respect to k."""
    return _run("correlate", x, y, geometry)


def _define_gradients(
    function: jax.custom_vjp, first: _Gradient, second: _Gradient
) -> None:
    def forward(
        a: Array, b: Array, geometry: Geometry
    ) -> tuple[Array, tuple[Array, Array]]:
        return function(a, b, geometry), (a, b)

    def backward(
        geometry: Geometry, saved: tuple[Array, Array], g: Array
    ) -> tuple[Array, Array]:
        a, b = saved
        return first(a, b, g, geometry), second(a, b, g, geometry)

    function.defvjp(forward, backward)


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


def _run(
    operator: str, a: Float[Array, "..."], b: Float[Array, "..."], geometry: Geometry
) -> Float[Array, "..."]:
    """Applies an operator to two arrays, in the form chosen by its lowering."""
    alone, vmapped = (_form(form, operator, geometry) for form in geometry.lowering)
    if geometry.lowering.alone == geometry.lowering.vmapped:
        return alone(a, b)
    function = custom_vmap(alone)

    @function.def_vmap
    def over_members(
        count: int,
        is_batched: Sequence[bool],
        a: Float[Array, "..."],
        b: Float[Array, "..."],
    ) -> tuple[Float[Array, "..."], bool]:
        del count
        axes = tuple(0 if batched else None for batched in is_batched)
        return jax.vmap(vmapped, axes)(a, b), True

    return function(a, b)


def _form(
    form: Form, operator: str, geometry: Geometry
) -> Callable[[Array, Array], Array]:
    """The implementation of an operator in one form."""
    if form == "product":
        function = getattr(products, operator)
        return sequential_vmap(functools.partial(function, geometry=geometry))
    module = batched_products if form == "batched_product" else library
    return functools.partial(getattr(module, operator), geometry=geometry)
