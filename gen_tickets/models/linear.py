"""The fully connected pair of the paper's linear autoencoder (Table 1)."""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from gen_tickets.config import registries
from gen_tickets.kernels.lowering import Lowering
from gen_tickets.models import conventions, groups, layers


def _groups(last: str, sizes: Sequence[int]) -> groups.ChannelGroups:
    names = (*(f"dense_{i}" for i in range(len(sizes))), last)
    return groups.chain(names, sizes, norms={})


def _dense(dtype: DTypeLike, initializer: str) -> Callable[..., layers.Dense]:
    kernel_init = conventions.initializers(initializer).kernel
    return functools.partial(layers.Dense, dtype=dtype, kernel_init=kernel_init)


class Contract(nn.Module):
    """Images [N, H, W, C] -> vectors [N, num_outputs] through widths, ReLU between."""

    widths: tuple[int, ...]
    num_outputs: int
    dtype: DTypeLike = jnp.float32
    channels: tuple[int, ...] = ()  # one per group of `channel_groups`; () = widths
    lowering: Lowering = dataclasses.field(kw_only=True)  # unused
    initializer: str = "authors"

    def channel_groups(self) -> groups.ChannelGroups:
        return _groups("outputs", self.channels or self.widths)

    @nn.compact
    def __call__(
        self, images: Float[Array, "n h w c"], train: bool
    ) -> Float[Array, "n {self.num_outputs}"]:
        dense = _dense(self.dtype, self.initializer)
        x = images.reshape(len(images), -1)
        for i, width in enumerate(self.channels or self.widths):
            x = dense(width, name=f"dense_{i}")(x)
            x = nn.relu(x)
        return dense(self.num_outputs, name="outputs")(x)


class Expand(nn.Module):
    """Vectors [N, latent] -> images [N, H, W, C] in [-1, 1], the mirror of Contract."""

    widths: tuple[int, ...]
    image_shape: tuple[int, int, int]
    dtype: DTypeLike = jnp.float32
    channels: tuple[int, ...] = ()  # one per group of `channel_groups`; () = widths
    lowering: Lowering = dataclasses.field(kw_only=True)  # unused
    initializer: str = "authors"

    def channel_groups(self) -> groups.ChannelGroups:
        return _groups("pixels", self.channels or self.widths[::-1])

    @nn.compact
    def __call__(
        self, x: Float[Array, "n latent"], train: bool
    ) -> Float[Array, "n h w c"]:
        dense = _dense(self.dtype, self.initializer)
        for i, width in enumerate(self.channels or self.widths[::-1]):
            x = dense(width, name=f"dense_{i}")(x)
            x = nn.relu(x)
        num_pixels = math.prod(self.image_shape)
        x = dense(num_pixels, name="pixels")(x)
        return jnp.tanh(x).reshape(-1, *self.image_shape)


@registries.model("linear", options=("model.initializer",), normalizes_batches=False)
def linear(
    contract: dict[str, Any], expand: dict[str, Any]
) -> tuple[nn.Module, nn.Module]:
    """Fully connected layers with ReLU between."""
    return Contract(**contract), Expand(**expand)
