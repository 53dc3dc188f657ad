"""Named conventions: initializers and discriminator details of an architecture.

"authors" follows the PyTorch code of the paper's authors; "radford" follows the
guidelines of DCGAN (Radford, Metz, Chintala 2016, sections 3 and 4), for both networks
of a GAN or of any other pair; "he" keeps the variance of activations through ReLUs (He,
Zhang, Ren, Sun 2015, section 2.2), for deep networks without batch norm.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax


class Initializers(NamedTuple):
    """Initializers of kernels [..., in, out]; biases start at 0."""

    kernel: Callable[..., jax.Array]  #: of dense layers and convolutions
    transposed: Callable[..., jax.Array]  #: of transposed convolutions


# PyTorch: uniform within 1 / sqrt(fan_in). For a transposed convolution, whose weight
# is stored as [in, out, kh, kw], PyTorch's fan-in is kh * kw * out.
TORCH = Initializers(
    nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform"),
    nn.initializers.variance_scaling(1 / 3, "fan_out", "uniform"),
)
# "A zero-centered Normal distribution with standard deviation 0.02."
_NORMAL = nn.initializers.normal(0.02)
# N(0, 2 / fan_in), with PyTorch's fan-in.
_HE = Initializers(
    nn.initializers.variance_scaling(2, "fan_in", "normal"),
    nn.initializers.variance_scaling(2, "fan_out", "normal"),
)
_INITIALIZERS = {
    "authors": TORCH,
    "radford": Initializers(_NORMAL, _NORMAL),
    "he": _HE,
}


def initializers(name: str) -> Initializers:
    """The initializers of a convention."""
    return _INITIALIZERS[name]


class Discriminator(NamedTuple):
    """The options of a discriminator that a convention sets."""

    activation: Callable[[jax.Array], jax.Array]
    normalizes_first: bool  #: whether batch norm follows the first layer


_leaky_relu = functools.partial(nn.leaky_relu, negative_slope=0.2)
_DISCRIMINATORS = {
    "authors": Discriminator(nn.relu, True),
    "radford": Discriminator(_leaky_relu, False),
}


def discriminator(name: str) -> Discriminator:
    """The discriminator of a convention."""
    return _DISCRIMINATORS[name]
