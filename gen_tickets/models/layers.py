"""Layers of all models, optimized for use inside `lax.fori_loop` under `vmap`.

Images are float32 [N, H, W, C]; kernels are HWIO [kh, kw, in, out], also for transposed
convolutions. Parameters are named kernel and bias, or scale and bias in batch norm,
whose running mean and var are in the collection "batch_stats". For lowerings, see
`kernels.lowering`.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import TypeAlias, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Float32

from gen_tickets.kernels.convolutions import conv, conv_transpose, dense
from gen_tickets.kernels.lowering import Lowering
from gen_tickets.models.conventions import TORCH


def _add_bias(
    module: nn.Module, y: Float[Array, "*n features"]
) -> Float[Array, "*n features"]:
    bias = module.param("bias", nn.initializers.zeros, (y.shape[-1],))
    return y + bias


class Conv(nn.Module):
    """Convolution [N, H, W, C] -> [N, h, w, features], like PyTorch's Conv2d.

    `padding` zeros on each side; `dtype` of the operands, sums are float32;
    `kernel_norm` makes a module "norm", which is applied to the kernel first.
    """

    features: int
    kernel_size: int = 4
    strides: int = 2
    padding: int = 1
    use_bias: bool = True
    dtype: DTypeLike = jnp.float32
    kernel_init: Callable[..., jax.Array] = TORCH.kernel
    kernel_norm: Callable[..., nn.Module] | None = None
    lowering: Lowering = dataclasses.field(kw_only=True)

    @nn.compact
    def __call__(
        self, x: Float[Array, "n H W c"]
    ) -> Float32[Array, "n h w {self.features}"]:
        side, pad = self.kernel_size, (self.padding, self.padding)
        shape = (side, side, x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape)
        if self.kernel_norm is not None:
            kernel = self.kernel_norm(name="norm")(kernel)
        y = conv(
            x,
            kernel,
            lowering=self.lowering,
            strides=(self.strides, self.strides),
            padding=(pad, pad),
            dtype=self.dtype,
        )
        return _add_bias(self, y) if self.use_bias else y


class ConvTranspose(nn.Module):
    """Transposed convolution, like PyTorch's ConvTranspose2d.

    [N, H, W, C] -> [N, h, w, features], h = (H - 1) * strides - 2 * padding +
    kernel_size + output_padding. The kernel is PyTorch's rotated by 180 degrees.
    """

    features: int
    kernel_size: int = 4
    strides: int = 2
    padding: int = 1
    output_padding: int = 0
    use_bias: bool = True
    dtype: DTypeLike = jnp.float32
    kernel_init: Callable[..., jax.Array] = TORCH.transposed
    lowering: Lowering = dataclasses.field(kw_only=True)

    @nn.compact
    def __call__(
        self, x: Float[Array, "n H W c"]
    ) -> Float32[Array, "n h w {self.features}"]:
        side = self.kernel_size
        shape = (side, side, x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape)
        low = side - 1 - self.padding
        pad = (low, low + self.output_padding)
        y = conv_transpose(
            x,
            kernel,
            lowering=self.lowering,
            strides=(self.strides, self.strides),
            padding=(pad, pad),
            dtype=self.dtype,
        )
        return _add_bias(self, y) if self.use_bias else y


class Dense(nn.Module):
    """Affine map [..., C] -> [..., features]; `dtype`, `kernel_norm` as in `Conv`."""

    features: int
    use_bias: bool = True
    dtype: DTypeLike = jnp.float32
    kernel_init: Callable[..., jax.Array] = TORCH.kernel
    kernel_norm: Callable[..., nn.Module] | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "*n c"]) -> Float32[Array, "*n {self.features}"]:
        kernel = self.param("kernel", self.kernel_init, (x.shape[-1], self.features))
        if self.kernel_norm is not None:
            kernel = self.kernel_norm(name="norm")(kernel)
        y = dense(x, kernel, self.dtype)
        return _add_bias(self, y) if self.use_bias else y


class BatchNorm(nn.Module):
    """Batch normalization over all axes except the last, like PyTorch's BatchNorm2d.

    Training normalizes with the biased variance of the batch; the running variance uses
    the unbiased one: running = momentum * running + (1 - momentum) * batch.
    Everything is float32; a second pass sums the variance around the mean.
    """

    momentum: float = 0.9
    epsilon: float = 1e-5
    scale_init: Callable[..., jax.Array] = nn.initializers.ones

    @nn.compact
    def __call__(self, x: Float[Array, "*n c"], train: bool) -> Float32[Array, "*n c"]:
        shape = (x.shape[-1],)
        scale = self.param("scale", self.scale_init, shape)
        bias = self.param("bias", nn.initializers.zeros, shape)
        mean = self.variable("batch_stats", "mean", jnp.zeros, shape)
        var = self.variable("batch_stats", "var", jnp.ones, shape)
        x = x.astype(jnp.float32)
        if not train:
            inverse = lax.rsqrt(var.value + self.epsilon)
            return (x - mean.value) * (inverse * scale) + bias
        y, batch_mean, batch_var = _normalize(x, scale, bias, self.epsilon)
        if not self.is_initializing():
            count = x.size // x.shape[-1]
            unbiased = batch_var * (count / max(count - 1, 1))
            mean.value += (1 - self.momentum) * (batch_mean - mean.value)
            var.value += (1 - self.momentum) * (unbiased - var.value)
        return y


# (normalized x [..., C], batch mean [C], biased variance [C])
_Normalized: TypeAlias = tuple[Array, Array, Array]
_Saved: TypeAlias = tuple[Array, Array, Array, Array]  # for the gradient


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def _normalize(
    x: Float32[Array, "*n c"],
    scale: Float32[Array, " c"],
    bias: Float32[Array, " c"],
    epsilon: float,
) -> _Normalized:
    """(normalized x [..., C], batch mean [C], biased variance [C]).

    A custom gradient makes fewer passes over x. Mean and variance, returned for the
    running statistics, have no gradient.
    """
    return _normalize_forward(x, scale, bias, epsilon)[0]


def _normalize_forward(
    x: Float32[Array, "*n c"],
    scale: Float32[Array, " c"],
    bias: Float32[Array, " c"],
    epsilon: float,
) -> tuple[_Normalized, _Saved]:
    axes = tuple(range(x.ndim - 1))
    mean = x.mean(axes)
    var = jnp.square(x - mean).mean(axes)
    inverse = lax.rsqrt(var + epsilon)
    y = (x - mean) * (inverse * scale) + bias
    return (y, mean, var), (x, mean, inverse, scale)


def _normalize_backward(
    epsilon: float, saved: _Saved, cotangents: _Normalized
) -> tuple[Array, Array, Array]:
    x, mean, inverse, scale = saved
    g, axes, count = cotangents[0], tuple(range(x.ndim - 1)), x.size // x.shape[-1]
    g_bias = g.sum(axes)
    g_scale = (g * (x - mean)).sum(axes) * inverse
    centred = g - g_bias / count - (x - mean) * (inverse * g_scale / count)
    return centred * (inverse * scale), g_scale, g_bias


_normalize.defvjp(_normalize_forward, _normalize_backward)


def _windows(
    x: Float[Array, "n H W c"], factor: int
) -> Float[Array, "n h {factor} w {factor} c"]:
    """x [N, H, W, C] as [N, H / f, f, W / f, f, C], without the remainder."""
    n, h, w, c = x.shape
    x = x[:, : h // factor * factor, : w // factor * factor]
    return x.reshape(n, h // factor, factor, w // factor, factor, c)


def max_pool(x: Float[Array, "n H W c"], factor: int = 2) -> Float[Array, "n h w c"]:
    """Maximum of each factor x factor window: [N, H, W, C] -> [N, H / f, W / f, C].

    Remaining rows and columns are dropped. Tied pixels share the gradient equally.
    """
    return _max_of_windows(_windows(x, factor))


@jax.custom_vjp
def _max_of_windows(windows: Float[Array, "n h f w f c"]) -> Float[Array, "n h w c"]:
    pixels = [windows[:, :, i, :, j] for i, j in _offsets(windows)]
    return functools.reduce(jnp.maximum, pixels)


def _offsets(windows: Float[Array, "n h f w f c"]) -> list[tuple[int, int]]:
    return [(i, j) for i in range(windows.shape[2]) for j in range(windows.shape[4])]


def _max_forward(
    windows: Float[Array, "n h f w f c"],
) -> tuple[Array, tuple[Array, Array]]:
    y = _max_of_windows(windows)
    return y, (windows, y)


def _max_backward(
    saved: tuple[Array, Array], g: Float[Array, "n h w c"]
) -> tuple[Float[Array, "n h f w f c"]]:
    windows, y = saved
    ties = sum((windows[:, :, i, :, j] == y) * 1.0 for i, j in _offsets(windows))
    share, y = (z[:, :, None, :, None] for z in (g / ties, y))
    return (jnp.where(windows == y, share, 0.0),)


_max_of_windows.defvjp(_max_forward, _max_backward)


def _sum_of_windows(windows: Float[Array, "n h f w f c"]) -> Float[Array, "n h w c"]:
    pixels = (windows[:, :, i, :, j] for i, j in _offsets(windows))
    return cast(Array, sum(pixels))


def upsample_nearest(
    x: Float[Array, "n h w c"], factor: int = 2
) -> Float[Array, "n {factor}*h {factor}*w c"]:
    """Repeats every pixel factor x factor times: [N, H, W, C] -> [N, f H, f W, C]."""
    return _repeat(x, factor)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _repeat(
    x: Float[Array, "n h w c"], factor: int
) -> Float[Array, "n {factor}*h {factor}*w c"]:
    n, h, w, c = x.shape
    shape = (n, h, factor, w, factor, c)
    y = jnp.broadcast_to(x[:, :, None, :, None], shape)
    return y.reshape(n, h * factor, w * factor, c)


# XLA:CPU sums small windows slowly if they are axes of one array.
_repeat.defvjp(
    lambda x, factor: (_repeat(x, factor), None),
    lambda factor, _, g: (_sum_of_windows(_windows(g, factor)),),
)
