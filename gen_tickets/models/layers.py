"""Layers of every model, written for speed inside `lax.fori_loop` under `vmap`.

Images are float32 [N, H, W, C]; kernels are HWIO [kh, kw, in, out] in both directions,
named "kernel" and "bias". Batch norm has "scale" and "bias" and keeps "mean" and "var"
in the collection "batch_stats". How a convolution is computed: `convolutions`.
"""

from typing import Any, Callable

import flax.linen as nn
import jax.numpy as jnp
from jax import lax

from gen_tickets.models.convolutions import (
    conv,
    conv_transpose,
    dense,
    lowering,
    use_lowering,
)

torch_uniform = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")


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
