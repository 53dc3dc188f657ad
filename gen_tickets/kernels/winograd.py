"""Convolutions with fewer multiplications (Winograd 1980; Lavin & Gray, CVPR 2016).

For kernels whose side k is 2 or 3 times the stride s (k4 s2, k3 s1). The image is
viewed as s x s phases, each convolved with its own r x r taps (r = k / s), so the
phases act as channels. Two neighbouring outputs along an axis then need r + 1 products
instead of 2 r:

    y = A^T [(G k) * (B^T d)],   d: the r + 1 inputs of the two outputs.

In two dimensions that is 9 products instead of 16 (r = 2) or 16 instead of 36 (r = 3),
each a matrix product over channels. All coefficients are 0, +-1 or 1/2, so the result
is as accurate as the direct sum, up to a few roundings. The transpose of a transform
uses the same code with the transposed matrix, which gives the three operators of a
convolution.
"""

import functools
import math
import operator
from collections.abc import Callable, Sequence
from typing import TypeAlias

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from gen_tickets.kernels.geometry import Geometry, Pair

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
_Grid: TypeAlias = Sequence[Sequence[Array]]
_TURN_WIDTH = 64
MIN_CHANNELS, _MIN_TILES = 16, 64  # with fewer, transforms cost more than they save


def applies(geometry: Geometry, num_images: int, channels: Pair) -> bool:
    """Whether the kernel is 2 or 3 strides wide, the output even, and this faster."""
    taps = {k / s for k, s in zip(geometry.kernel, geometry.strides)}
    tiles = num_images * math.prod(geometry.out) // 4
    return (
        taps in ({2}, {3})
        and not any(n % 2 for n in geometry.out)
        and min(channels) >= MIN_CHANNELS
        and tiles >= _MIN_TILES
    )


def _taps(geometry: Geometry) -> int:
    return geometry.kernel[0] // geometry.strides[0]


def _combine(matrix: np.ndarray, parts: Sequence[Array]) -> list[Array]:
    """Linear combinations of arrays: one per row of the matrix."""
    return [
        functools.reduce(
            operator.add, (float(c) * part for c, part in zip(row, parts) if c)
        )
        for row in matrix
    ]


def _combine_2d(matrix: np.ndarray, grid: _Grid) -> _Grid:
    """Applies the matrix to both axes of a list of lists of arrays."""
    rows = [_combine(matrix, row) for row in grid]
    return [*zip(*(_combine(matrix, column) for column in zip(*rows)))]


def _grid(cells: Sequence[Array]) -> _Grid:
    """f * f arrays as f lists of f."""
    f = math.isqrt(len(cells))
    return [cells[i * f : (i + 1) * f] for i in range(f)]


def _cut(
    x: Float[Array, "n H W c"], geometry: Geometry
) -> list[Float[Array, "tiles depth"]]:
    """x [N, H, W, C] -> f * f factors of the input, each [tiles, s * s * C]."""
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
    return [cell.swapaxes(2, 3).reshape(-1, depth) for cell in cells]


def _overlap(parts: Sequence[Array], axis: int) -> Array:
    """Transpose of taking tiles: adds up parts t of every tile along an axis."""

    def at(part: Array, shift: int) -> Array:
        edges = [(0, 0)] * part.ndim
        edges[axis] = (shift, 1 - shift)
        return jnp.pad(part, edges)

    pairs = [
        sum(at(part, shift) for shift, part in enumerate(parts[parity::2]))
        for parity in range(2)
    ]
    return jnp.stack(pairs, axis + 1)


def _uncut(
    factors: Sequence[Float[Array, "tiles depth"]], geometry: Geometry, num_images: int
) -> Float[Array, "n H W c"]:
    """Transpose of `_cut`: f * f times [tiles, s * s * C] -> [N, H, W, C]."""
    (sh, sw), (h, w), r = geometry.strides, geometry.out, _taps(geometry)
    nh, nw = h // 2, w // 2
    cells = [
        factor.reshape(num_images, nh, nw, sh, sw, -1).swapaxes(2, 3)
        for factor in factors
    ]
    grid = _combine_2d(_INPUT[r].T, _grid(cells))
    rows = [_overlap(row, 3) for row in grid]  # [N, nh, sh, nw + 1, 2, sw, C]
    x = _overlap(rows, 1)  # [N, nh + 1, 2, sh, nw + 1, 2, sw, C]
    x = x.reshape(num_images, (nh + 1) * 2 * sh, (nw + 1) * 2 * sw, -1)
    sides = zip(geometry.size, x.shape[1:3], geometry.padding)
    crop = [(-low, n + low - full, 0) for n, full, (low, _) in sides]
    return lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), *crop, (0, 0, 0)))


def _join(
    products: Sequence[Float[Array, "tiles o"]], geometry: Geometry, num_images: int
) -> Float[Array, "n h w o"]:
    """f * f products [tiles, O] -> y [N, h, w, O]."""
    h, w = geometry.out
    cells = [p.reshape(num_images, h // 2, w // 2, -1) for p in products]
    grid = _combine_2d(_OUTPUT[_taps(geometry)], _grid(cells))
    rows = [jnp.concatenate(row, -1) for row in grid]  # [N, h/2, w/2, 2 O]
    return jnp.stack(rows, 2).reshape(num_images, h, w, -1)


def _unjoin(
    y: Float[Array, "n h w o"], geometry: Geometry
) -> list[Float[Array, "tiles o"]]:
    """Transpose of `_join`: y [N, h, w, O] -> f * f times [tiles, O]."""
    (h, w), r = geometry.out, _taps(geometry)
    y = y.reshape(len(y), h // 2, 2, w // 2, 2, -1)
    outputs = [[y[:, :, a, :, b] for b in range(2)] for a in range(2)]
    grid = _combine_2d(_OUTPUT[r].T, outputs)
    return [cell.reshape(-1, y.shape[-1]) for row in grid for cell in row]


def _factors(
    k: Float[Array, "kh kw _ _"], geometry: Geometry
) -> list[Float[Array, "_ _"]]:
    """Kernel -> f * f factors [s * s * C, O], or [O, s * s * C] if flipped."""
    (sh, sw), r = geometry.strides, _taps(geometry)
    if geometry.flipped:
        k = k[::-1, ::-1]
    k = k.reshape(r, sh, r, sw, *k.shape[2:])
    grid = _combine_2d(_KERNEL[r], [[k[t, :, u] for u in range(r)] for t in range(r)])
    cells = [cell for row in grid for cell in row]
    if geometry.flipped:
        rows = k.shape[4]
        cells = [cell.transpose(2, 0, 1, 3).reshape(rows, -1) for cell in cells]
    else:
        cells = [cell.reshape(-1, k.shape[5]) for cell in cells]
    return lax.optimization_barrier([cell.astype(geometry.dtype) for cell in cells])


def _unfactors(
    factors: Sequence[Float[Array, "o depth"]], geometry: Geometry
) -> Float[Array, "kh kw _ _"]:
    """Transpose of `_factors`, from f * f times [O, s * s * C]."""
    (kh, kw), (sh, sw), r = geometry.kernel, geometry.strides, _taps(geometry)
    features = len(factors[0])
    cells = [factor.reshape(features, sh, sw, -1) for factor in factors]
    grid = _combine_2d(_KERNEL[r].T, _grid(cells))
    if geometry.flipped:
        rows = [jnp.stack([c.transpose(1, 2, 0, 3) for c in row], 1) for row in grid]
        return jnp.stack(rows).reshape(kh, kw, features, -1)[::-1, ::-1]
    k = jnp.stack([jnp.stack(row, 2) for row in grid])  # [r, O, sh, r, sw, C]
    return turn(k.reshape(r, features, -1)).reshape(kh, kw, -1, features)


def turn(x: Float[Array, "m a b"]) -> Float[Array, "m b a"]:
    """x [m, a, b] -> [m, b, a], in a loop over blocks of columns.

    XLA:CPU would fuse a plain transpose into its consumers, which then read it with a
    large stride at every use. Barriers and branches do not prevent this; a loop does.
    """
    m, a, b = x.shape
    width = math.gcd(b, _TURN_WIDTH)
    if width == b > 1:
        width //= 2  # XLA would unroll a loop of one step
    starts = jnp.stack(jnp.mgrid[:m, :b:width], -1).reshape(-1, 2)

    def block(start: Int[Array, "2"]) -> Float[Array, "_ a"]:
        corner = (start[0], 0, start[1])
        return lax.dynamic_slice(x, corner, (1, a, width))[0].T

    return lax.map(block, starts).reshape(m, b, a)


def image_bytes(geometry: Geometry, channels: int) -> int:
    """Bytes of `_cut` for one image."""
    f, pixels = _taps(geometry) + 1, math.prod(geometry.out) // 4
    phases = math.prod(geometry.strides)
    return f * f * pixels * phases * channels * jnp.dtype(geometry.dtype).itemsize


def forward(
    k: Float[Array, "kh kw _ _"], geometry: Geometry
) -> Callable[[Array], Array]:
    """A function from images [n, H, W, C] to outputs [n, h, w, O]."""
    factors, depth = _factors(k, geometry), int(geometry.flipped)

    def function(x: Float[Array, "n H W c"]) -> Float[Array, "n h w o"]:
        cut = _cut(x, geometry)
        products = [geometry.dot(a, b, ((1,), (depth,))) for a, b in zip(cut, factors)]
        return _join(products, geometry, len(x))

    return function


def backward(
    k: Float[Array, "kh kw _ _"], geometry: Geometry
) -> Callable[[Array], Array]:
    """A function from outputs [n, h, w, O] to images [n, H, W, C]."""
    factors, features = _factors(k, geometry), int(not geometry.flipped)

    def function(y: Float[Array, "n h w o"]) -> Float[Array, "n H W c"]:
        products = _unjoin(y, geometry)
        cut = [
            geometry.dot(a, b, ((1,), (features,))) for a, b in zip(products, factors)
        ]
        return _uncut(cut, geometry, len(y))

    return function


def correlate(
    xs: Float[Array, "m n H W c"], ys: Float[Array, "m n h w o"], geometry: Geometry
) -> Float[Array, "kh kw _ _"]:
    """Kernel [kh, kw, C, O] from chunks of images [m, n, H, W, C] and of outputs."""

    def add(
        totals: list[Array], chunk: tuple[Array, Array]
    ) -> tuple[list[Array], None]:
        x, y = chunk
        pairs = zip(_unjoin(y, geometry), _cut(x, geometry))
        products = [geometry.dot(a, b, ((0,), (0,))) for a, b in pairs]
        return [a + b for a, b in zip(totals, products)], None

    zero = jnp.zeros((ys.shape[-1], math.prod(geometry.strides) * xs.shape[-1]))
    totals, _ = lax.scan(add, [zero] * (_taps(geometry) + 1) ** 2, (xs, ys))
    return _unfactors(lax.optimization_barrier(totals), geometry)
