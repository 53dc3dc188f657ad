"""The fully connected pair of the paper's linear autoencoder (Table 1)."""

import math
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from gen_tickets.config import registries
from gen_tickets.models import groups, pair


def _groups(last: str, sizes: Sequence[int]) -> groups.ChannelGroups:
    names = (*(f"dense_{i}" for i in range(len(sizes))), last)
    return groups.chain(names, sizes, norms={})


class Contract(pair.Contracting):
    """Images [N, H, W, C] -> vectors [N, num_outputs] through widths, ReLU between."""

    def channel_groups(self) -> groups.ChannelGroups:
        return _groups("outputs", self.channels or self.widths)

    @nn.compact
    def __call__(
        self, images: Float[Array, "n h w c"], train: bool
    ) -> Float[Array, "n {self.num_outputs}"]:
        x = images.reshape(len(images), -1)
        for i, width in enumerate(self.channels or self.widths):
            x = self.dense(width, name=f"dense_{i}")(x)
            x = nn.relu(x)
        return self.dense(self.num_outputs, name="outputs")(x)


class Expand(pair.Expanding):
    """Vectors [N, latent] -> images [N, H, W, C] in [-1, 1], the mirror of Contract."""

    def channel_groups(self) -> groups.ChannelGroups:
        return _groups("pixels", self.channels or self.widths[::-1])

    @nn.compact
    def __call__(
        self, x: Float[Array, "n latent"], train: bool
    ) -> Float[Array, "n h w c"]:
        for i, width in enumerate(self.channels or self.widths[::-1]):
            x = self.dense(width, name=f"dense_{i}")(x)
            x = nn.relu(x)
        num_pixels = math.prod(self.image_shape)
        x = self.dense(num_pixels, name="pixels")(x)
        return jnp.tanh(x).reshape(-1, *self.image_shape)


@registries.model("linear", options=("model.initializer",), normalizes_batches=False)
def linear(
    contract: dict[str, Any], expand: dict[str, Any]
) -> tuple[nn.Module, nn.Module]:
    """Fully connected layers with ReLU between."""
    return Contract(**contract), Expand(**expand)
