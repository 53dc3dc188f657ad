"""The blocks of DDPM's U-Net (Ho et al. 2020, appendix B).

Instead of concatenating a map with a stored one, each is normalized in its own groups
and convolved by its own layer, that of the stored map named "..._skip", and the results
are added. This equals a convolution of the concatenated map, but every kernel has the
channels of only one map.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, TypeAlias

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gen_tickets.kernels.lowering import Lowering
from gen_tickets.models import layers

_FINEST, _LONGEST = 1000.0, 10_000.0


def kernel_init(share: float = 1.0, scale: float = 1.0) -> Any:
    """DDPM's initializer: uniform, with variance scale / mean of fan-in and fan-out.

    Args:
      share: fraction of the whole convolution's inputs that this kernel has.
      scale: 1, or 1e-10 for a layer that starts at almost 0.
    """

    def init(key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Any:
        window = shape[0] * shape[1] if len(shape) == 4 else 1
        fans = window * (shape[-2] / share + shape[-1])
        limit = (3 * scale * 2 / fans) ** 0.5
        return jax.random.uniform(key, shape, dtype, -limit, limit)

    return init


NEARLY_ZERO = kernel_init(scale=1e-10)


def time_features(times: jax.Array, size: int) -> jax.Array:
    """Sines and cosines of times [N] in [0, 1): [N, size], size even.

    Vaswani et al. 2017, section 3.5, for times multiplied by 1000.
    """
    exponents = jnp.arange(size // 2) / max(size // 2 - 1, 1)
    angles = _FINEST * times[:, None] * _LONGEST**-exponents
    return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], -1)


def to_depth(x: jax.Array, patch: int) -> jax.Array:
    """Patches of pixels as positions: [N, p H, p W, C] -> [N, H, W, p p C]."""
    n, h, w, c = x.shape
    x = x.reshape(n, h // patch, patch, w // patch, patch, c)
    x = x.transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(n, h // patch, w // patch, patch * patch * c)


def to_pixels(x: jax.Array, patch: int) -> jax.Array:
    """The inverse of `to_depth`."""
    n, h, w, depth = x.shape
    x = x.reshape(n, h, w, patch, patch, depth // patch**2)
    x = x.transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(n, h * patch, w * patch, depth // patch**2)


class GroupNorm(nn.Module):
    """Group normalization of maps [N, H, W, C] (Wu & He 2018), in float32.

    Channel c is in group c % num_groups, so that groups can be removed like the
    channels of a flattened map (`models.groups`), while all other groups keep their
    size, mean and variance.
    """

    num_groups: int
    epsilon: float = 1e-6

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (x.shape[-1],)
        scale = self.param("scale", nn.initializers.ones, shape)
        bias = self.param("bias", nn.initializers.zeros, shape)
        x = x.astype(jnp.float32)
        return _normalize(x, scale, bias, self.num_groups, self.epsilon)


def _over_groups(x: jax.Array, num_groups: int) -> jax.Array:
    """Means per channel [N, C] -> mean of each channel's group [N, 1, 1, C]."""
    n, c = x.shape
    group = np.arange(c) % num_groups
    # A product with [C, C]: XLA:CPU would repeat a reshaped mean for every position.
    shares = (group[:, None] == group) * np.float32(num_groups / c)
    return jnp.matmul(x, shares, precision=lax.Precision.HIGHEST).reshape(n, 1, 1, c)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def _normalize(
    x: jax.Array, scale: jax.Array, bias: jax.Array, num_groups: int, epsilon: float
) -> jax.Array:
    """Group normalization; a custom gradient makes fewer passes over x."""
    return _normalize_forward(x, scale, bias, num_groups, epsilon)[0]


_Saved: TypeAlias = tuple[jax.Array, jax.Array, jax.Array, jax.Array]


def _normalize_forward(
    x: jax.Array, scale: jax.Array, bias: jax.Array, num_groups: int, epsilon: float
) -> tuple[jax.Array, _Saved]:
    mean = _over_groups(x.mean((1, 2)), num_groups)
    var = _over_groups(jnp.square(x - mean).mean((1, 2)), num_groups)
    inverse = lax.rsqrt(var + epsilon)
    return (x - mean) * (inverse * scale) + bias, (x, mean, inverse, scale)


def _normalize_backward(
    num_groups: int, epsilon: float, saved: _Saved, g: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    x, mean, inverse, scale = saved
    normalized = (x - mean) * inverse
    positions = x.shape[1] * x.shape[2]
    of_bias, of_scale = g.mean((1, 2)), (g * normalized).mean((1, 2))  # [N, C]
    shift = _over_groups(of_bias * scale, num_groups)
    slope = _over_groups(of_scale * scale, num_groups)
    g_x = (g * scale - shift - normalized * slope) * inverse
    return g_x, positions * of_scale.sum(0), positions * of_bias.sum(0)


_normalize.defvjp(_normalize_forward, _normalize_backward)


class Block(nn.Module):
    """[N, S, S, C] -> [N, S, S, features]: two convolutions k3 with a shortcut.

    Group norm and SiLU precede each convolution; the time features are added between
    them, where there are `inner` channels. `norm_groups` are those of the inputs (one,
    or one and a stored map), then of the inner channels. The shortcut is the input, or
    if `projects` a convolution k1: counts of channels do not decide this, since those
    of a compacted network may be equal by chance.
    """

    inner: int
    features: int
    norm_groups: tuple[int, ...]
    dropout: float = 0.0
    dtype: Any = jnp.float32
    projects: bool = dataclasses.field(kw_only=True)
    lowering: Lowering = dataclasses.field(kw_only=True)

    @nn.compact
    def __call__(
        self, inputs: tuple[jax.Array, ...], time: jax.Array, train: bool
    ) -> jax.Array:
        *of_inputs, of_inner = self.norm_groups
        normed = [
            nn.silu(GroupNorm(count, name=f"norm_0{suffix}")(x))
            for count, x, suffix in zip(of_inputs, inputs, ("", "_skip"))
        ]
        y = self._convolve("conv_0", normed, self.inner)
        time = layers.Dense(
            self.inner, dtype=self.dtype, kernel_init=kernel_init(), name="time"
        )(time)
        y = GroupNorm(of_inner, name="norm_1")(y + time[:, None, None, :])
        y = nn.Dropout(self.dropout, deterministic=not train)(nn.silu(y))
        y = self._convolve("conv_1", [y], self.features, 1e-10)
        if self.projects:
            return y + self._project("shortcut", inputs)
        return y + inputs[0]

    def _convolve(
        self, name: str, inputs: Sequence[jax.Array], features: int, scale: float = 1.0
    ) -> Any:
        """A convolution k3 of the concatenated inputs, as a sum over the inputs."""
        total = sum(x.shape[-1] for x in inputs)
        return sum(
            layers.Conv(
                features,
                3,
                1,
                1,
                use_bias=not suffix,
                dtype=self.dtype,
                kernel_init=kernel_init(x.shape[-1] / total, scale),
                lowering=self.lowering,
                name=f"{name}{suffix}",
            )(x)
            for x, suffix in zip(inputs, ("", "_skip"))
        )

    def _project(self, name: str, inputs: Sequence[jax.Array]) -> Any:
        """A convolution k1 of the concatenated inputs, as products per position."""
        total = sum(x.shape[-1] for x in inputs)
        return sum(
            layers.Dense(
                self.features,
                use_bias=not suffix,
                dtype=self.dtype,
                kernel_init=kernel_init(x.shape[-1] / total),
                name=f"{name}{suffix}",
            )(x)
            for x, suffix in zip(inputs, ("", "_skip"))
        )


class Attention(nn.Module):
    """Single-head self-attention over all positions of a map [N, S, S, C], added to it.

    `key_size` channels of queries and keys, `value_size` of values.
    """

    norm_groups: int
    key_size: int
    value_size: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        n, h, w, c = x.shape
        y = GroupNorm(self.norm_groups, name="norm")(x).reshape(n, h * w, c)

        def dense(y: jax.Array, size: int, name: str, init: Any) -> jax.Array:
            return layers.Dense(size, dtype=self.dtype, kernel_init=init, name=name)(y)

        query = dense(y, self.key_size, "query", kernel_init())
        key = dense(y, self.key_size, "key", kernel_init())
        value = dense(y, self.value_size, "value", kernel_init())
        weights = jnp.einsum("npc,nqc->npq", query, key) * self.key_size**-0.5
        y = jnp.einsum("npq,nqc->npc", nn.softmax(weights), value)
        return x + dense(y, c, "output", NEARLY_ZERO).reshape(x.shape)
