"""A model of your own: fully connected, with batch norm and SiLU.

python -m gen_tickets.main --config=examples/own_model.py
"""

import math

import flax.linen as nn
import jax.numpy as jnp

from gen_tickets.config import registries
from gen_tickets.experiments import quickstart
from gen_tickets.models import layers


class Contract(nn.Module):
    """Images [N, H, W, C] -> vectors [N, num_outputs]."""

    widths: tuple[int, ...]
    num_outputs: int

    @nn.compact
    def __call__(self, x, train):
        x = x.reshape(len(x), -1)
        for width in self.widths:
            x = nn.silu(layers.BatchNorm()(layers.Dense(width)(x), train))
        return layers.Dense(self.num_outputs)(x)


class Expand(nn.Module):
    """Vectors [N, latent] -> images [N, H, W, C] in [-1, 1]."""

    widths: tuple[int, ...]
    image_shape: tuple[int, int, int]

    @nn.compact
    def __call__(self, x, train):
        for width in self.widths[::-1]:
            x = nn.silu(layers.BatchNorm()(layers.Dense(width)(x), train))
        x = layers.Dense(math.prod(self.image_shape))(x)
        return jnp.tanh(x).reshape(-1, *self.image_shape)


@registries.model("swish")
def swish(contract, expand):
    """Fully connected with batch norm and SiLU."""
    return (
        Contract(contract["widths"], contract["num_outputs"]),
        Expand(expand["widths"], expand["image_shape"]),
    )


def get_config(size="full"):
    config = quickstart.get_config(size)
    config.model.name = "swish"
    config.model.widths = (256, 256, 64)
    return config
