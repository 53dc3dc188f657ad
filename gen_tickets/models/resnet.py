"""The residual pair of ResNet-VAE and ResNet-DCGAN: one basic block a width.

ResNet-18's blocks (He et al. 2016) with one block a stage. The expanding network
mirrors the contracting one; where that takes every other pixel, it resizes to the
nearest neighbour and convolves (k3), as resize-convolution leaves no checkerboard.
"""

import functools
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from gen_tickets.models import layers


class Block(nn.Module):
    """[N, S, S, C] -> [N, S', S', features]: two convolutions k3 around a shortcut.

    S' is S / strides, or S * resize. The shortcut is the input, or one convolution
    where sides or channels change.
    """

    features: int
    strides: int = 1
    resize: int = 1
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x, train: bool):
        def conv(x, features, size, strides, name):
            x = layers.Conv(
                features,
                size,
                strides,
                size // 2,
                use_bias=False,
                dtype=self.dtype,
                name=f"conv_{name}",
            )(x)
            return layers.BatchNorm(name=f"norm_{name}")(x, train)

        resize = functools.partial(layers.upsample_nearest, factor=self.resize)
        if self.resize > 1:
            y = nn.relu(conv(x, x.shape[-1], 3, 1, "0"))
            y = conv(resize(y), self.features, 3, 1, "1")
        else:
            y = nn.relu(conv(x, self.features, 3, self.strides, "0"))
            y = conv(y, self.features, 3, 1, "1")
        if y.shape != x.shape:
            size = 3 if self.resize > 1 else 1
            x = conv(resize(x), self.features, size, self.strides, "shortcut")
        return nn.relu(y + x)


class Contract(nn.Module):
    """Images [N, S, S, C] -> vectors [N, num_outputs]; S a multiple of 2^len(widths).

    A stem (convolution k3 s2), a block for each width that halves the side in all but
    the first, the mean over the map, a dense layer.
    """

    widths: tuple[int, ...]
    num_outputs: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x, train: bool):
        x = layers.Conv(
            self.widths[0], 3, 2, 1, use_bias=False, dtype=self.dtype, name="stem"
        )(x)
        x = nn.relu(layers.BatchNorm(name="norm_stem")(x, train))  # [N, S/2, S/2, .]
        for i, width in enumerate(self.widths):
            strides = 1 if i == 0 else 2
            x = Block(width, strides, dtype=self.dtype, name=f"block_{i}")(x, train)
        x = x.mean((1, 2))  # [N, widths[-1]]
        return layers.Dense(self.num_outputs, dtype=self.dtype, name="outputs")(x)


class Expand(nn.Module):
    """Vectors [N, latent] -> images [N, S, S, C] in [-1, 1], the mirror of Contract."""

    widths: tuple[int, ...]
    image_shape: tuple[int, int, int]
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x, train: bool):
        side, _, channels = self.image_shape
        widths, dtype = self.widths, self.dtype
        base = side >> len(widths)
        x = layers.Dense(widths[-1], dtype=dtype, name="base")(x)
        x = layers.upsample_nearest(x[:, None, None, :], base)
        for i in reversed(range(len(widths))):
            width, resize = widths[max(i - 1, 0)], 1 if i == 0 else 2
            block = Block(width, resize=resize, dtype=dtype, name=f"block_{i}")
            x = block(x, train)
        x = layers.upsample_nearest(x, 2)  # [N, S, S, widths[0]]
        return jnp.tanh(layers.Conv(channels, 3, 1, 1, dtype=dtype, name="pixels")(x))
