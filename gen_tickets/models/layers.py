"""Layers of every model: convolutions, batch norm, pooling, written for speed in loops.

Images are float32 [N, H, W, C]; kernels are HWIO [kh, kw, in, out] in both directions.

XLA:CPU runs a library convolution slowly inside a loop body, a transposed one slowly
everywhere, and `vmap` over members makes it a grouped convolution. So on the CPU a
convolution is a matrix product with the patches of its input ("product" lowering), a
few images at a time so that the patches stay in the cache, and members are taken one
after the other. Elsewhere the library convolution is used. `lowering` chooses.
"""
import contextlib
import functools
import math
from typing import Any, Callable, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

_DIMENSIONS = ("NHWC", "HWIO", "NHWC")
_CHUNK_BYTES = 2 ** 22  # patches of this size stay in the cache
_forced_lowering = None

torch_uniform = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")


def lowering():
    """How convolutions are compiled: "product" on the CPU, "library" elsewhere."""
    if _forced_lowering:
        return _forced_lowering
    return "product" if jax.default_backend() == "cpu" else "library"


@contextlib.contextmanager
def use_lowering(name):
    """Choose "product" or "library" for what is traced inside the context."""
    global _forced_lowering
    before, _forced_lowering = _forced_lowering, name
    try:
        yield
    finally:
        _forced_lowering = before


class _Geometry(NamedTuple):
    """Static side of a convolution from `size` pixels to `out` pixels."""

    kernel: tuple
    strides: tuple
    padding: tuple
    size: tuple
    dtype: Any
    lowering: str

    @property
    def out(self):
        return tuple(
            (n + low + high - k) // s + 1 for n, k, s, (low, high)
            in zip(self.size, self.kernel, self.strides, self.padding))


# The three operators of a convolution y = x * k. Each is linear in both arguments and
# the gradients of each are the other two, so one rule serves every order.

@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _forward(x, k, geometry):
    """y [N, h, w, O] of x [N, H, W, C] and k [kh, kw, C, O]."""
    return _run(_forward_product, _forward_library, x, k, geometry)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _backward(y, k, geometry):
    """x [N, H, W, C]: the transpose of `_forward` in x, spreading y over its windows."""
    return _run(_backward_product, _backward_library, y, k, geometry)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _correlate(x, y, geometry):
    """k [kh, kw, C, O]: the transpose of `_forward` in k."""
    return _run(_correlate_product, _correlate_library, x, y, geometry)


def _define_gradients(operator, first, second):
    operator.defvjp(
        lambda a, b, geometry: (operator(a, b, geometry), (a, b)),
        lambda geometry, saved, g: (first(*saved, g, geometry),
                                    second(*saved, g, geometry)))


_define_gradients(_forward, lambda x, k, g, geometry: _backward(g, k, geometry),
                  lambda x, k, g, geometry: _correlate(x, g, geometry))
_define_gradients(_backward, lambda y, k, g, geometry: _forward(g, k, geometry),
                  lambda y, k, g, geometry: _correlate(g, y, geometry))
_define_gradients(_correlate, lambda x, y, g, geometry: _backward(y, g, geometry),
                  lambda x, y, g, geometry: _forward(x, g, geometry))


def _run(product, library, a, b, geometry):
    a, b = a.astype(geometry.dtype), b.astype(geometry.dtype)
    if geometry.lowering == "library":
        return library(a, b, geometry)
    one_by_one = jax.custom_batching.sequential_vmap(
        lambda a, b: product(a, b, geometry))
    return one_by_one(a, b)


# Lowering "product".

def _dot(a, b, contract):
    return lax.dot_general(a, b, (contract, ((), ())),
                           preferred_element_type=jnp.float32)


def _patches(x, geometry):
    """Windows of x [N, H, W, C] as [N * h * w, kh * kw * C]."""
    (kh, kw), (sh, sw), (h, w) = geometry.kernel, geometry.strides, geometry.out
    x = lax.pad(x, jnp.zeros((), x.dtype),
                ((0, 0, 0), *((*p, 0) for p in geometry.padding), (0, 0, 0)))
    taps = [x[:, i:i + (h - 1) * sh + 1:sh, j:j + (w - 1) * sw + 1:sw]
            for i in range(kh) for j in range(kw)]
    return jnp.concatenate(taps, -1).reshape(-1, kh * kw * x.shape[-1])


def _add_windows(r, geometry):
    """Transpose of `_patches`: windows [N, h, w, kh * kw * C] summed to [N, H, W, C]."""
    (kh, kw), (sh, sw), (h, w) = geometry.kernel, geometry.strides, geometry.out
    n, channels = len(r), r.shape[-1] // (kh * kw)
    th, tw = -(-kh // sh), -(-kw // sw)
    rows = []
    for a in range(sh):  # rows a, a + sh, a + 2 sh ... of the image, sw pixels a column
        row = jnp.zeros((), r.dtype)
        for t in range(-(-(kh - a) // sh)):
            for u in range(tw):
                start = (t * sh + a) * kw + u * sw
                taps = min(sw, kw - u * sw)
                part = r[..., start * channels:(start + taps) * channels]
                row += jnp.pad(part, ((0, 0), (t, th - 1 - t), (u, tw - 1 - u),
                                      (0, (sw - taps) * channels)))
        rows.append(jnp.broadcast_to(
            row, (n, h + th - 1, w + tw - 1, sw * channels)))
    full = jnp.stack(rows, 2).reshape(
        n, (h + th - 1) * sh, (w + tw - 1) * sw, channels)
    crop = ((-low, size + low - full_size, 0) for size, (low, _), full_size
            in zip(geometry.size, geometry.padding, full.shape[1:3]))
    return lax.pad(full, jnp.zeros((), r.dtype), ((0, 0, 0), *crop, (0, 0, 0)))


def _num_chunks(num_images, image_bytes):
    """The divisor of the batch that brings patches closest to the cache's size."""
    wanted = num_images * image_bytes / _CHUNK_BYTES
    divisors = (d for d in range(1, num_images + 1) if num_images % d == 0)
    return min(divisors, key=lambda d: abs(math.log(d / wanted)))


def _split(x, geometry, channels):
    kh, kw = geometry.kernel
    image_bytes = math.prod(geometry.out) * kh * kw * channels * x.dtype.itemsize
    chunks = _num_chunks(len(x), image_bytes)
    return x.reshape(chunks, -1, *x.shape[1:])


def _map(function, chunks):
    y = function(chunks[0])[None] if len(chunks) == 1 else lax.map(function, chunks)
    return y.reshape(-1, *y.shape[2:])


def _forward_product(x, k, geometry):
    matrix = k.reshape(-1, k.shape[-1])

    def multiply(x):
        y = _dot(_patches(x, geometry), matrix, ((1,), (0,)))
        return y.reshape(len(x), *geometry.out, -1)

    return _map(multiply, _split(x, geometry, x.shape[-1]))


def _backward_product(y, k, geometry):
    matrix = k.reshape(-1, k.shape[-1])

    def multiply(y):
        return _add_windows(_dot(y, matrix, ((3,), (1,))), geometry)

    return _map(multiply, _split(y, geometry, k.shape[2]))


def _correlate_product(x, y, geometry):
    xs = _split(x, geometry, x.shape[-1])
    rows = y.reshape(len(xs), -1, y.shape[-1])
    columns = lax.optimization_barrier(rows.transpose(0, 2, 1))

    def add(total, chunk):
        x, y = chunk
        return total + _dot(y, _patches(x, geometry), ((1,), (0,))), None

    zero = jnp.zeros((y.shape[-1], math.prod(geometry.kernel) * x.shape[-1]))
    total = lax.optimization_barrier(lax.scan(add, zero, (xs, columns))[0])
    return total.T.reshape(*geometry.kernel, x.shape[-1], -1)


# Lowering "library".

def _forward_library(x, k, geometry):
    return lax.conv_general_dilated(
        x, k, geometry.strides, geometry.padding, dimension_numbers=_DIMENSIONS,
        preferred_element_type=jnp.float32)


def _backward_library(y, k, geometry):
    padding = [(n - 1 - low, size + low - 1 - (out - 1) * s) for n, (low, _), size, out, s
               in zip(geometry.kernel, geometry.padding, geometry.size, geometry.out,
                      geometry.strides)]
    return lax.conv_general_dilated(
        y, k[::-1, ::-1], (1, 1), padding, lhs_dilation=geometry.strides,
        dimension_numbers=("NHWC", "HWOI", "NHWC"), preferred_element_type=jnp.float32)


def _correlate_library(x, y, geometry):
    padding = [(low, n + (out - 1) * s - size - low) for n, (low, _), size, out, s
               in zip(geometry.kernel, geometry.padding, geometry.size, geometry.out,
                      geometry.strides)]
    return lax.conv_general_dilated(
        x, y, (1, 1), padding, rhs_dilation=geometry.strides,
        dimension_numbers=("CHWN", "IHWO", "HWNC"), preferred_element_type=jnp.float32)


def conv(x, kernel, *, strides=(1, 1), padding=((0, 0), (0, 0)), dtype=jnp.float32):
    """Convolution of x [N, H, W, C] with kernel [kh, kw, C, O]; float32 [N, h, w, O].

    `padding` holds (low, high) pixels for rows and columns. Operands are cast to
    `dtype`, sums and results are float32, in the gradients too.
    """
    return _forward(x, kernel, _Geometry(
        kernel.shape[:2], tuple(strides), tuple(map(tuple, padding)), x.shape[1:3],
        jnp.dtype(dtype), lowering()))


def conv_transpose(x, kernel, *, strides=(1, 1), padding=((0, 0), (0, 0)),
                   dtype=jnp.float32):
    """Transposed convolution, `lax.conv_transpose` with explicit `padding`.

    x [N, H, W, C], kernel [kh, kw, C, O] → float32 [N, h, w, O]: x with strides - 1
    zeros between its pixels and `padding` around it, convolved with the kernel.
    """
    sides = list(zip(x.shape[1:3], kernel.shape[:2], strides, padding))
    size = tuple((n - 1) * s + sum(p) + 2 - k for n, k, s, p in sides)
    crops = tuple((k - 1 - low, k - 1 - high) for _, k, _, (low, high) in sides)
    # The transpose of the convolution with the flipped kernel [kh, kw, O, C].
    return _backward(x, kernel[::-1, ::-1].swapaxes(2, 3), _Geometry(
        kernel.shape[:2], tuple(strides), crops, size, jnp.dtype(dtype), lowering()))


def dense(x, kernel, dtype=jnp.float32):
    """x [..., C] times kernel [C, O]: operands cast to `dtype`, float32 result."""
    return _product(x, kernel, jnp.dtype(dtype))


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _product(x, kernel, dtype):
    return jnp.matmul(x.astype(dtype), kernel.astype(dtype),
                      preferred_element_type=jnp.float32)


_product.defvjp(
    lambda x, kernel, dtype: (_product(x, kernel, dtype), (x, kernel)),
    lambda dtype, saved, g: (
        _product(g, saved[1].T, dtype),
        _product(saved[0].reshape(-1, saved[0].shape[-1]).T,
                 g.reshape(-1, g.shape[-1]), dtype)))


class Conv(nn.Module):
    features: int
    kernel_size: int = 4
    strides: int = 2
    padding: int = 1
    use_bias: bool = True
    dtype: Any = jnp.float32
    kernel_init: Callable = torch_uniform

    @nn.compact
    def __call__(self, x):
        k, s, p = self.kernel_size, self.strides, self.padding
        kernel = self.param("kernel", self.kernel_init,
                            (k, k, x.shape[-1], self.features))
        y = conv(x, kernel, strides=(s, s), padding=((p, p), (p, p)), dtype=self.dtype)
        if self.use_bias:
            y = y + self.param("bias", nn.initializers.zeros, (self.features,))
        return y


class ConvTranspose(nn.Module):
    features: int
    kernel_size: int = 4
    strides: int = 2
    padding: int = 1
    output_padding: int = 0
    use_bias: bool = True
    dtype: Any = jnp.float32
    kernel_init: Callable = torch_uniform

    @nn.compact
    def __call__(self, x):
        k, s = self.kernel_size, self.strides
        kernel = self.param("kernel", self.kernel_init,
                            (k, k, x.shape[-1], self.features))
        low = k - 1 - self.padding
        side = (low, low + self.output_padding)
        y = conv_transpose(x, kernel, strides=(s, s), padding=(side, side),
                           dtype=self.dtype)
        if self.use_bias:
            y = y + self.param("bias", nn.initializers.zeros, (self.features,))
        return y


class Dense(nn.Module):
    features: int
    use_bias: bool = True
    dtype: Any = jnp.float32
    kernel_init: Callable = torch_uniform

    @nn.compact
    def __call__(self, x):
        kernel = self.param("kernel", self.kernel_init, (x.shape[-1], self.features))
        y = dense(x, kernel, self.dtype)
        if self.use_bias:
            y = y + self.param("bias", nn.initializers.zeros, (self.features,))
        return y


class BatchNorm(nn.Module):
    momentum: float = 0.9
    epsilon: float = 1e-5
    scale_init: Callable = nn.initializers.ones

    @nn.compact
    def __call__(self, x, train):
        shape = (x.shape[-1],)
        scale = self.param("scale", self.scale_init, shape)
        bias = self.param("bias", nn.initializers.zeros, shape)
        mean = self.variable("batch_stats", "mean", jnp.zeros, shape)
        var = self.variable("batch_stats", "var", jnp.ones, shape)
        if train:
            axes = tuple(range(x.ndim - 1))
            m, v = jnp.mean(x, axes), jnp.var(x, axes)
            n = x.size // x.shape[-1]
            if not self.is_initializing():
                mean.value += (1 - self.momentum) * (m - mean.value)
                var.value += (1 - self.momentum) * (v * n / max(n - 1, 1) - var.value)
        else:
            m, v = mean.value, var.value
        return (x - m) * (lax.rsqrt(v + self.epsilon) * scale) + bias


def _windows(x, factor):
    n, h, w, c = x.shape
    return x.reshape(n, h // factor, factor, w // factor, factor, c)


def max_pool(x, factor=2):
    return _windows(x, factor).max((2, 4))


def avg_pool(x, factor=2):
    return _windows(x, factor).mean((2, 4))


def upsample_nearest(x, factor=2):
    n, h, w, c = x.shape
    y = jnp.broadcast_to(x[:, :, None, :, None], (n, h, factor, w, factor, c))
    return y.reshape(n, h * factor, w * factor, c)
