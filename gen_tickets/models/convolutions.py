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
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from gen_tickets.models import winograd

_CHUNK_BYTES = 2**23  # of patches: what stays in the cache, measured
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
    return _run(_forward_product, _forward_library, x, k, geometry)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _backward(y, k, geometry):
    """x [N, H, W, C]: the transpose of `_forward` in x, y spread over its windows."""
    return _run(_backward_product, _backward_library, y, k, geometry)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _correlate(x, y, geometry):
    """Kernel k: the transpose of `_forward` in k."""
    return _run(_correlate_product, _correlate_library, x, y, geometry)


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


# Lowering "product".


def _dot(a, b, contract, dtype):
    dimensions = (contract, ((), ()))
    return lax.dot_general(
        a.astype(dtype), b.astype(dtype), dimensions, preferred_element_type=jnp.float32
    )


def _patches(x, geometry):
    """Windows of x [N, H, W, C] as rows [N * h * w, kh * kw * C], in `dtype`."""
    x = x.astype(geometry.dtype)
    (kh, kw), (sh, sw), (h, w) = geometry.kernel, geometry.strides, geometry.out
    depth = kh * kw * x.shape[-1]
    edges = [(*pair, 0) for pair in geometry.padding]  # negative: crop
    x = lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), *edges, (0, 0, 0)))
    if (h, w) == (1, 1):
        return x[:, :kh, :kw].reshape(-1, depth)
    taps = [
        x[:, i : i + (h - 1) * sh + 1 : sh, j : j + (w - 1) * sw + 1 : sw]
        for i in range(kh)
        for j in range(kw)
    ]
    return jnp.concatenate(taps, -1).reshape(-1, depth)


def _add_windows(windows, geometry):
    """Transpose of `_patches`: [N, h, w, kh * kw * C] added up to [N, H, W, C]."""
    (kh, kw), (sh, sw), (h, w) = geometry.kernel, geometry.strides, geometry.out
    n, channels = len(windows), windows.shape[-1] // (kh * kw)
    th, tw = -(-kh // sh), -(-kw // sw)  # windows over one pixel, a side
    if (h, w) == (1, 1):
        x = windows.reshape(n, kh, kw, channels)
    else:
        rows = []
        for a in range(sh):  # rows a, a + sh, ... of x; sw pixels a column
            row = jnp.zeros((n, h + th - 1, w + tw - 1, sw * channels))
            for t, i in enumerate(range(a, kh, sh)):
                for u, j in enumerate(range(0, kw, sw)):
                    width = min(sw, kw - j)
                    start = (i * kw + j) * channels
                    part = windows[..., start : start + width * channels]
                    edges = ((t, th - 1 - t), (u, tw - 1 - u))
                    missing = (0, (sw - width) * channels)
                    row += jnp.pad(part, ((0, 0), *edges, missing))
            rows.append(row)
        x = jnp.stack(rows, 2).reshape(n, (h + th - 1) * sh, -1, channels)
    crop = [
        (-low, size + low - full, 0)
        for full, size, (low, _) in zip(x.shape[1:3], geometry.size, geometry.padding)
    ]
    return lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), *crop, (0, 0, 0)))


def _split(x, image_bytes):
    """x [N, ...] → [m, N / m, ...]: chunks as near to the cache's size as N allows."""
    wanted = len(x) * image_bytes / _CHUNK_BYTES
    divisors = (d for d in range(1, len(x) + 1) if len(x) % d == 0)
    chunks = min(divisors, key=lambda d: abs(math.log(d / wanted)))
    return x.reshape(chunks, -1, *x.shape[1:])


def _plan(geometry, num_images, channels, features):
    """(whether to use winograd, bytes of patches an image)."""
    if winograd.applies(geometry, num_images, (channels, features)):
        return True, winograd.image_bytes(geometry, channels)
    values = math.prod(geometry.out) * math.prod(geometry.kernel) * channels
    return False, values * geometry.dtype.itemsize


def _matrix(k, geometry):
    """(kernel as a matrix, its axis of depth kh * kw * C, its axis of features O)."""
    if not geometry.flipped:
        return k.reshape(-1, k.shape[3]), 0, 1
    features = k.shape[2]
    return k[::-1, ::-1].transpose(2, 0, 1, 3).reshape(features, -1), 1, 0


def _map(function, chunks):
    y = function(chunks[0])[None] if len(chunks) == 1 else lax.map(function, chunks)
    return y.reshape(-1, *y.shape[2:])


def _forward_product(x, k, geometry):
    channels, features = k.shape[:1:-1] if geometry.flipped else k.shape[2:]
    fewer, image_bytes = _plan(geometry, len(x), channels, features)
    matrix, depth, _ = _matrix(k, geometry)

    def multiply(x):
        y = _dot(_patches(x, geometry), matrix, ((1,), (depth,)), geometry.dtype)
        return y.reshape(len(x), *geometry.out, -1)

    function = winograd.forward(k, geometry) if fewer else multiply
    return _map(function, _split(x, image_bytes))


def _backward_product(y, k, geometry):
    channels, features = k.shape[:1:-1] if geometry.flipped else k.shape[2:]
    fewer, image_bytes = _plan(geometry, len(y), channels, features)
    matrix, _, feature = _matrix(k, geometry)

    def multiply(y):
        windows = _dot(y, matrix, ((3,), (feature,)), geometry.dtype)
        return _add_windows(windows, geometry)

    function = winograd.backward(k, geometry) if fewer else multiply
    return _map(function, _split(y, image_bytes))


def _correlate_product(x, y, geometry):
    channels, features = x.shape[-1], y.shape[-1]
    fewer, image_bytes = _plan(geometry, len(x), channels, features)
    xs = _split(x, image_bytes)
    if fewer:
        ys = y.reshape(len(xs), -1, *y.shape[1:])
        return winograd.correlate(xs, ys, geometry)
    # A product reads columns of its left side slowly: turn the smaller side once.
    columns = winograd.turn(y.astype(geometry.dtype).reshape(len(xs), -1, features))

    def add(total, chunk):
        x, column = chunk
        patches = _patches(x, geometry)
        return total + _dot(column, patches, ((1,), (0,)), geometry.dtype), None

    zero = jnp.zeros((features, math.prod(geometry.kernel) * channels))
    total = lax.optimization_barrier(lax.scan(add, zero, (xs, columns))[0])
    if not geometry.flipped:
        total = winograd.turn(total[None])
        return total.reshape(*geometry.kernel, channels, features)
    total = total.reshape(features, *geometry.kernel, channels)
    return total.transpose(1, 2, 0, 3)[::-1, ::-1]


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
