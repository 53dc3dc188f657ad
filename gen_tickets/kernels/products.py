"""Form "product" of `convolutions`: matrix products on patches, for XLA:CPU.

Processes a few images at a time, so that their patches stay in the cache. Uses
`winograd` where it needs fewer multiplications.
"""

import math
from collections.abc import Callable

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Float32

from gen_tickets.kernels import winograd
from gen_tickets.kernels.geometry import Geometry

_FLOAT32 = jnp.dtype("float32")
# Measured on one core of an AMD EPYC (AVX-512, 1 MiB of L2); RESULTS.md has a table.
_CHUNK_BYTES = 2**20
_MOST_PAIRED = 256  # channels times features
_TAPER = 8  # channels per feature


def patches(
    x: Float[Array, "n H W c"], geometry: Geometry
) -> Float[Array, "rows depth"]:
    """Windows of x [N, H, W, C] as rows [N * h * w, kh * kw * C], in `dtype`."""
    x = x.astype(geometry.dtype)
    (kh, kw), (sh, sw), (h, w) = geometry.kernel, geometry.strides, geometry.out
    n, depth = len(x), kh * kw * x.shape[-1]
    edges = [(*pair, 0) for pair in geometry.padding]  # negative: crop
    x = lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), *edges, (0, 0, 0)))
    if (h, w) == (1, 1):
        return x[:, :kh, :kw].reshape(-1, depth)
    if kw % sw == 0:  # reads sw neighbours at once, as one pixel of more channels
        x = jnp.pad(x, ((0, 0), (0, 0), (0, -x.shape[2] % sw), (0, 0)))
        x = x.reshape(n, x.shape[1], x.shape[2] // sw, -1)
        kw, sw = kw // sw, 1
    taps = [
        x[:, i : i + (h - 1) * sh + 1 : sh, j : j + (w - 1) * sw + 1 : sw]
        for i in range(kh)
        for j in range(kw)
    ]
    return jnp.concatenate(taps, -1).reshape(-1, depth)


def add_windows(
    windows: Float[Array, "n h w depth"], geometry: Geometry
) -> Float[Array, "n H W c"]:
    """Transpose of `patches`: adds up [N, h, w, kh * kw * C] to [N, H, W, C]."""
    (kh, kw), (sh, sw), (h, w) = geometry.kernel, geometry.strides, geometry.out
    n, channels = len(windows), windows.shape[-1] // (kh * kw)
    th, tw = -(-kh // sh), -(-kw // sw)  # windows that cover one pixel, per axis
    if (h, w) == (1, 1):
        x = windows.reshape(n, kh, kw, channels)
    else:
        rows = []
        for a in range(sh):  # rows a, a + sh, ... of x; sw pixels per column
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


def _split(x: Array, wanted: float, least: int = 1) -> Array:
    """x [N, ...] → [m, N / m, ...]: as close to `wanted` chunks as N allows."""
    least = min(least, len(x))
    divisors = (d for d in range(least, len(x) + 1) if len(x) % d == 0)
    chunks = min(divisors, key=lambda d: abs(math.log(d / wanted)))
    return x.reshape(chunks, -1, *x.shape[1:])


def _is_tapered(geometry: Geometry, channels: int, features: int) -> bool:
    """Whether to compute the transpose, whose patches have far fewer channels."""
    return (
        geometry.strides == (1, 1)
        and geometry.out != (1, 1)
        and features * _TAPER < channels
        and features < winograd.MIN_CHANNELS  # `winograd` may take the transpose back.
    )


def _has_pairs(geometry: Geometry, channels: int, features: int) -> bool:
    """Whether to compute two columns of the output as one, which copies less."""
    return (
        channels * features <= _MOST_PAIRED
        and geometry.strides == (1, 1)
        and geometry.kernel[1] % 2 == 1
        and geometry.kernel[1] > 1
        and geometry.out[1] % 2 == 0
        and not geometry.flipped
    )


def _pair(k: Float[Array, "kh kw c o"]) -> Float[Array, "kh kw_plus_1 c two_o"]:
    """The kernel of `Geometry.paired`: features of the left, then the right column."""
    rest = (0, 0)
    shifted = [jnp.pad(k, (rest, side, rest, rest)) for side in ((0, 1), (1, 0))]
    return jnp.concatenate(shifted, -1)


def _unpair(k: Float[Array, "kh kw_plus_1 c two_o"]) -> Float[Array, "kh kw c o"]:
    """Transpose of `_pair`."""
    left, right = jnp.split(k, 2, -1)
    return left[:, :-1] + right[:, 1:]


def _plan(
    geometry: Geometry, num_images: int, channels: int, features: int
) -> tuple[bool, float]:
    """(whether to use winograd, number of chunks whose patches stay in the cache)."""
    fewer = winograd.applies(geometry, num_images, (channels, features))
    if fewer:
        image_bytes = winograd.image_bytes(geometry, channels)
    else:
        values = math.prod(geometry.out) * math.prod(geometry.kernel) * channels
        image_bytes = values * geometry.dtype.itemsize
    return fewer, num_images * image_bytes / _CHUNK_BYTES


def as_matrix(
    k: Float[Array, "kh kw _ _"], geometry: Geometry
) -> tuple[Float[Array, "_ _"], int, int]:
    """(kernel as a matrix, its depth axis kh * kw * C, its feature axis O)."""
    if not geometry.flipped:
        return k.reshape(-1, k.shape[3]), 0, 1
    features = k.shape[2]
    return k[::-1, ::-1].transpose(2, 0, 1, 3).reshape(features, -1), 1, 0


def _map(function: Callable[[Array], Array], chunks: Array) -> Array:
    y = function(chunks[0])[None] if len(chunks) == 1 else lax.map(function, chunks)
    return y.reshape(-1, *y.shape[2:])


def forward(
    x: Float[Array, "n H W c"], k: Float[Array, "kh kw _ _"], geometry: Geometry
) -> Float[Array, "n h w o"]:
    """y [N, h, w, O] of x [N, H, W, C] and kernel k."""
    channels, features = k.shape[:1:-1] if geometry.flipped else k.shape[2:]
    if _is_tapered(geometry, channels, features):
        return backward(x, k, geometry.turned)
    if _has_pairs(geometry, channels, features):
        y = forward(x, _pair(k), geometry.paired)  # [N, h, w / 2, 2 O]
        return y.reshape(len(x), *geometry.out, features)
    fewer, num_chunks = _plan(geometry, len(x), channels, features)
    matrix, depth, _ = as_matrix(k, geometry)

    def multiply(x: Float[Array, "n H W c"]) -> Float[Array, "n h w o"]:
        y = geometry.dot(patches(x, geometry), matrix, ((1,), (depth,)))
        return y.reshape(len(x), *geometry.out, -1)

    function = winograd.forward(k, geometry) if fewer else multiply
    return _map(function, _split(x, num_chunks))


def backward(
    y: Float[Array, "n h w o"], k: Float[Array, "kh kw _ _"], geometry: Geometry
) -> Float[Array, "n H W c"]:
    """x [N, H, W, C]: y [N, h, w, O] spread over its windows."""
    channels, features = k.shape[:1:-1] if geometry.flipped else k.shape[2:]
    if _is_tapered(geometry, channels, features):
        return forward(y, k, geometry.turned)
    if _has_pairs(geometry, channels, features):
        y = y.reshape(*y.shape[:2], -1, 2 * features)
        return backward(y, _pair(k), geometry.paired)
    fewer, num_chunks = _plan(geometry, len(y), channels, features)
    if fewer and geometry.strides == (1, 1):
        return forward(y, k, geometry.turned)  # whose transforms are cheaper
    matrix, _, feature = as_matrix(k, geometry)

    def multiply(y: Float[Array, "n h w o"]) -> Float[Array, "n H W c"]:
        windows = geometry.dot(y, matrix, ((3,), (feature,)))
        return add_windows(windows, geometry)

    function = winograd.backward(k, geometry) if fewer else multiply
    return _map(function, _split(y, num_chunks))


def correlate(
    x: Float[Array, "n H W c"], y: Float[Array, "n h w o"], geometry: Geometry
) -> Float[Array, "kh kw _ _"]:
    """Kernel k of x [N, H, W, C] and y [N, h, w, O]."""
    channels, features = x.shape[-1], y.shape[-1]
    if _is_tapered(geometry, channels, features):
        return correlate(y, x, geometry.turned)
    if _has_pairs(geometry, channels, features):
        y = y.reshape(*y.shape[:2], -1, 2 * features)
        return _unpair(correlate(x, y, geometry.paired))
    fewer, num_chunks = _plan(geometry, len(x), channels, features)
    # XLA:CPU unrolls a loop of one step, and then lacks a bfloat16 product with the
    # transposed operand.
    xs = _split(x, num_chunks, least=1 if geometry.dtype == _FLOAT32 else 2)
    if len(xs) == 1:
        geometry = geometry._replace(dtype=_FLOAT32)
    ys = y.reshape(len(xs), -1, *y.shape[1:])
    if fewer:
        return winograd.correlate(xs, ys, geometry)
    depth = math.prod(geometry.kernel) * channels
    is_deep = depth >= features  # Products transpose their left operand: the smaller.

    def add(
        total: Float32[Array, "_ _"], chunk: tuple[Array, Array]
    ) -> tuple[Float32[Array, "_ _"], None]:
        x, y = chunk
        rows, columns = patches(x, geometry), y.reshape(-1, features)
        left, right = (columns, rows) if is_deep else (rows, columns)
        return total + geometry.dot(left, right, ((0,), (0,))), None

    zero = jnp.zeros((features, depth) if is_deep else (depth, features))
    total, _ = lax.scan(add, zero, (xs, ys))
    total = lax.optimization_barrier(total)
    if geometry.flipped:
        total = total if is_deep else total.T
        total = total.reshape(features, *geometry.kernel, channels)
        return total.transpose(1, 2, 0, 3)[::-1, ::-1]
    total = winograd.turn(total[None]) if is_deep else total
    return total.reshape(*geometry.kernel, channels, features)
