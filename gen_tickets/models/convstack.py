"""Stacks of stride-2 convolutions, for VAE, DCGAN and WGAN.

All of them use the same pair of modules, so that a decoder's ticket fits a generator
and an encoder's trunk fits a discriminator (paper, Fig. 8).
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from gen_tickets.config import registries
from gen_tickets.models import conventions, groups, layers, pair


class Contract(pair.Contracting):
    """Images [N, S, S, C] -> vectors [N, num_outputs].

    One convolution k4 s2 + batch norm + ReLU per width, which halves the side, then one
    convolution over the whole base map; see also `conventions.discriminator`.
    """

    discriminator: str = "authors"

    def _is_normalized(self, layer: int) -> bool:
        return (
            layer > 0 or conventions.discriminator(self.discriminator).normalizes_first
        )

    def channel_groups(self) -> groups.ChannelGroups:
        count = len(self.widths)
        names = (*(f"conv_{i}" for i in range(count)), "outputs")
        normalized = filter(self._is_normalized, range(count))
        norms = {f"conv_{i}": (f"norm_{i}",) for i in normalized}
        return groups.chain(names, self.channels or self.widths, norms)

    @nn.compact
    def __call__(
        self, x: Float[Array, "n s s c"], train: bool
    ) -> Float[Array, "n {self.num_outputs}"]:
        conv = self.conv
        activate = conventions.discriminator(self.discriminator).activation
        for i, width in enumerate(self.channels or self.widths):
            is_normalized = self._is_normalized(i)
            x = conv(width, use_bias=not is_normalized, name=f"conv_{i}")(x)
            if is_normalized:
                x = layers.BatchNorm(name=f"norm_{i}")(x, train)
            x = activate(x)
        base = x.shape[1]  # [N, base, base, widths[-1]]
        x = conv(self.num_outputs, base, 1, 0, name="outputs")(x)
        return x.reshape(len(x), self.num_outputs)


class Expand(pair.Expanding):
    """Vectors [N, latent] -> images [N, S, S, C] in [-1, 1], the mirror of Contract."""

    def channel_groups(self) -> groups.ChannelGroups:
        names = ("base", *(f"conv_{i}" for i in range(len(self.widths) - 1)), "pixels")
        norms = {name: (f"norm_{name.removeprefix('conv_')}",) for name in names[:-1]}
        return groups.chain(names, self.channels or self.widths[::-1], norms)

    @nn.compact
    def __call__(
        self, x: Float[Array, "n latent"], train: bool
    ) -> Float[Array, "n s s c"]:
        side, _, channels = self.image_shape
        base = side >> len(self.widths)
        inwards = self.channels or self.widths[::-1]
        conv = self.conv_transpose
        x = x[:, None, None, :]  # [N, 1, 1, latent]
        x = conv(inwards[0], base, 1, 0, use_bias=False, name="base")(x)
        x = nn.relu(layers.BatchNorm(name="norm_base")(x, train))
        for i, width in enumerate(inwards[1:]):
            x = conv(width, use_bias=False, name=f"conv_{i}")(x)
            x = nn.relu(layers.BatchNorm(name=f"norm_{i}")(x, train))
        return jnp.tanh(conv(channels, name="pixels")(x))


@registries.model(
    "convstack",
    options=("model.initializer", "model.discriminator"),
    multiple=lambda widths: 1 << len(widths),
    any_depth=True,
)
def convstack(
    contract: dict[str, Any], expand: dict[str, Any]
) -> tuple[nn.Module, nn.Module]:
    """Stride-2 convolutions with batch norm: VAE, DCGAN and WGAN."""
    return Contract(**contract), Expand(**expand)
