"""Convolutions with fewer multiplications (Winograd 1980; Lavin & Gray, CVPR 2016).

For kernels of 2 or 3 strides a side (k4 s2, k3 s1). With stride s the image is seen as
s x s phases, each convolved with its own r x r taps (r = k / s), so that stride is a
matter of channels. Then two neighbouring outputs along an axis need r + 1 products
instead of 2 r:

    y = A^T [(G k) * (B^T d)],   d: the r + 1 inputs of the two outputs.

In two dimensions that is 9 products for 16 (r = 2) or 16 for 36 (r = 3), each a matrix
product over channels. All coefficients are 0, +-1 or 1/2: the result is as exact as the
sum itself to a few roundings. A transform's transpose is the same code with the
transposed matrix, which gives the three operators of a convolution.
"""

import functools
import math
import operator

import jax.numpy as jnp
import numpy as np
from jax import lax

_INPUT = {  # B^T: inputs of two outputs -> factors
    2: np.array([[1, -1, 0], [0, 1, 0], [0, 1, -1]]),
    3: np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]]),
}
_KERNEL = {  # G: taps -> factors
    2: np.array([[1, 0], [1, 1], [0, 1]]),
    3: np.array([[2, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 2]]) / 2,
}
_OUTPUT = {  # A^T: products -> two outputs
    2: np.array([[1, 1, 0], [0, 1, -1]]),
    3: np.array([[1, 1, 1, 0], [0, 1, -1, -1]]),
}
_MIN_CHANNELS, _MIN_TILES = 16, 64  # below, transforms cost more than they save


def applies(geometry, num_images, channels):
    """Whether this is a kernel of 2 or 3 strides, even output, and worth it."""
    taps = {k / s for k, s in zip(geometry.kernel, geometry.strides)}
    tiles = num_images * math.prod(geometry.out) // 4
    return (
        taps in ({2}, {3})
        and not any(n % 2 for n in geometry.out)
        and min(channels) >= _MIN_CHANNELS
        and tiles >= _MIN_TILES
    )


def _taps(geometry):
    return geometry.kernel[0] // geometry.strides[0]


def _combine(matrix, parts):
    """Linear combinations of arrays: one a row of the matrix."""
    return [
        functools.reduce(
            operator.add, (float(c) * part for c, part in zip(row, parts) if c)
        )
        for row in matrix
    ]


def _combine_2d(matrix, grid):
    """The matrix applied to both axes of a list of lists of arrays."""
    rows = [_combine(matrix, row) for row in grid]
    return [*zip(*(_combine(matrix, column) for column in zip(*rows)))]


def _cut(x, geometry):
    """x [N, H, W, C] -> factors [f * f, tiles, s * s * C] of the input."""
    (sh, sw), (h, w), r = geometry.strides, geometry.out, _taps(geometry)
    nh, nw, span = h // 2, w // 2, range(r + 1)
    sides = zip(((nh + 1) * 2 * sh, (nw + 1) * 2 * sw), x.shape[1:3], geometry.padding)
    edges = [(low, full - n - low, 0) for full, n, (low, _) in sides]
    zero = jnp.zeros((), x.dtype)
    x = lax.pad(x, zero, ((0, 0, 0), *edges, (0, 0, 0)))
    x = x.reshape(len(x), nh + 1, 2, sh, nw + 1, 2, sw, -1)
    rows = _combine(_INPUT[r], [x[:, t // 2 : t // 2 + nh, t % 2] for t in span])
    cells = [
        cell  # [N, nh, sh, nw, sw, C]
        for row in rows
        for cell in _combine(
            _INPUT[r], [row[:, :, :, t // 2 : t // 2 + nw, t % 2] for t in span]
        )
    ]
    depth = sh * sw * x.shape[-1]
    return jnp.stack([c.swapaxes(2, 3).reshape(-1, depth) for c in cells])


def _overlap(parts, axis):
    """Transpose of taking tiles: parts t of every tile added up along an axis."""
    def at(part, shift):
        edges = [(0, 0)] * part.ndim
        edges[axis] = (shift, 1 - shift)
        return jnp.pad(part, edges)

    pairs = [
        sum(at(part, shift) for shift, part in enumerate(parts[parity::2]))
        for parity in range(2)
    ]
    return jnp.stack(pairs, axis + 1)


def _uncut(factors, geometry, num_images):
    """Transpose of `_cut`: [f * f, tiles, s * s * C] -> [N, H, W, C]."""
    (sh, sw), (h, w), r = geometry.strides, geometry.out, _taps(geometry)
    f, nh, nw = r + 1, h // 2, w // 2
    cells = factors.reshape(f, f, num_images, nh, nw, sh, sw, -1).swapaxes(4, 5)
    grid = _combine_2d(_INPUT[r].T, [[cells[u, v] for v in range(f)] for u in range(f)])
    rows = [_overlap(row, 3) for row in grid]  # [N, nh, sh, nw + 1, 2, sw, C]
    x = _overlap(rows, 1)  # [N, nh + 1, 2, sh, nw + 1, 2, sw, C]
    x = x.reshape(num_images, (nh + 1) * 2 * sh, (nw + 1) * 2 * sw, -1)
    sides = zip(geometry.size, x.shape[1:3], geometry.padding)
    crop = [(-low, n + low - full, 0) for n, full, (low, _) in sides]
    return lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), *crop, (0, 0, 0)))


def _join(products, geometry, num_images):
    """Products [f * f, tiles, O] -> y [N, h, w, O]."""
    (h, w), r = geometry.out, _taps(geometry)
    f = r + 1
    cells = products.reshape(f, f, num_images, h // 2, w // 2, -1)
    grid = _combine_2d(
        _OUTPUT[r], [[cells[u, v] for v in range(f)] for u in range(f)]
    )
    rows = [jnp.concatenate(row, -1) for row in grid]  # [N, h/2, w/2, 2 O]
    return jnp.stack(rows, 2).reshape(num_images, h, w, -1)


def _unjoin(y, geometry):
    """Transpose of `_join`: y [N, h, w, O] -> [f * f, tiles, O]."""
    (h, w), r = geometry.out, _taps(geometry)
    y = y.reshape(len(y), h // 2, 2, w // 2, 2, -1)
    grid = [[y[:, :, a, :, b] for b in range(2)] for a in range(2)]
    grid = _combine_2d(_OUTPUT[r].T, grid)
    return jnp.stack([c.reshape(-1, y.shape[-1]) for row in grid for c in row])


def _factors(k, geometry):
    """Kernel [kh, kw, C, O] -> [f * f, s * s * C, O]."""
    (sh, sw), r = geometry.strides, _taps(geometry)
    k = k.reshape(r, sh, r, sw, *k.shape[2:])
    grid = [[k[t, :, u] for u in range(r)] for t in range(r)]
    grid = _combine_2d(_KERNEL[r], grid)
    return jnp.stack([c.reshape(-1, k.shape[-1]) for row in grid for c in row])


def _unfactors(factors, geometry):
    """Transpose of `_factors`, from [f * f, O, s * s * C]."""
    (sh, sw), r = geometry.strides, _taps(geometry)
    f, features = r + 1, factors.shape[1]
    cells = factors.reshape(f, f, features, sh, sw, -1)
    grid = [[cells[u, v] for v in range(f)] for u in range(f)]
    grid = _combine_2d(_KERNEL[r].T, grid)
    k = jnp.stack([jnp.stack(row, 2) for row in grid])  # [r, O, sh, r, sw, C]
    k = lax.optimization_barrier(k.reshape(r, features, sh, r * sw, -1))
    return k.transpose(0, 2, 3, 4, 1).reshape(r * sh, r * sw, -1, features)


def _dot(a, b, contract, dtype):
    """One product a factor: [f * f, ...] times [f * f, ...], float32 result."""
    dimensions = (contract, ((0,), (0,)))
    return lax.dot_general(
        a.astype(dtype), b.astype(dtype), dimensions, preferred_element_type=jnp.float32
    )


def image_bytes(geometry, channels):
    """Bytes of `_cut` for one image."""
    f, pixels = _taps(geometry) + 1, math.prod(geometry.out) // 4
    phases = math.prod(geometry.strides)
    return f * f * pixels * phases * channels * jnp.dtype(geometry.dtype).itemsize


def forward(k, geometry):
    """A function from images [n, H, W, C] to outputs [n, h, w, O]."""
    factors = lax.optimization_barrier(_factors(k, geometry).astype(geometry.dtype))

    def function(x):
        cut = _cut(x, geometry).astype(geometry.dtype)
        products = _dot(cut, factors, ((2,), (1,)), geometry.dtype)
        return _join(products, geometry, len(x))

    return function


def backward(k, geometry):
    """A function from outputs [n, h, w, O] to images [n, H, W, C]."""
    factors = lax.optimization_barrier(_factors(k, geometry).astype(geometry.dtype))

    def function(y):
        products = _unjoin(y, geometry)
        cut = _dot(products, factors, ((2,), (2,)), geometry.dtype)
        return _uncut(cut, geometry, len(y))

    return function


def correlate(xs, ys, geometry):
    """Kernel [kh, kw, C, O] from chunks of images [m, n, H, W, C] and of outputs."""
    # A product reads columns of its left side slowly: turn the smaller side once.
    columns = jnp.stack([_unjoin(y, geometry) for y in ys]).swapaxes(2, 3)
    columns = lax.optimization_barrier(columns.astype(geometry.dtype))

    def add(total, chunk):
        x, column = chunk
        cut = _cut(x, geometry)
        return total + _dot(column, cut, ((2,), (1,)), geometry.dtype), None

    depth = math.prod(geometry.strides) * xs.shape[-1]
    zero = jnp.zeros((*columns.shape[1:3], depth))
    total = lax.optimization_barrier(lax.scan(add, zero, (xs, columns))[0])
    return _unfactors(total, geometry)
