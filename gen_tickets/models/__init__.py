"""Pairs of networks: one contracts images to vectors, one expands vectors to images.

The task gives them their component names: encoder and decoder, or discriminator and
generator.
"""

from typing import Any, Callable, NamedTuple

import jax.numpy as jnp

from gen_tickets.errors import UserError
from gen_tickets.kernels import lowering as lowering_lib
from gen_tickets.models import conv, convstack, linear, resnet, sngan


class Pair(NamedTuple):
    """The classes of two Flax modules that belong together."""

    #: (widths, num_outputs, dtype, channels, lowering=) -> module
    contract: Callable[..., Any]
    #: (widths, image_shape, dtype, channels, lowering=) -> module
    expand: Callable[..., Any]
    #: widths -> what the side of the images must be a multiple of
    multiple: Callable[[tuple[int, ...]], int] = lambda widths: 1


PAIRS = {
    "linear": Pair(linear.Contract, linear.Expand),
    "conv": Pair(conv.Contract, conv.Expand, lambda widths: 32),
    "convstack": Pair(
        convstack.Contract, convstack.Expand, lambda widths: 1 << len(widths)
    ),
    "sngan": Pair(sngan.Contract, sngan.Expand, lambda widths: 1 << (len(widths) - 1)),
    "resnet": Pair(resnet.Contract, resnet.Expand, lambda widths: 1 << len(widths)),
}


def _check(config, image_shape) -> None:
    """Raises UserError where the sizes of the model do not fit the images."""
    side, width, _ = image_shape
    if side != width:
        raise UserError(
            f"data.name={config.data.name!r}: images are {side}x{width}; models take "
            "square ones, give data.image_size"
        )
    name, widths = config.model.name, tuple(config.model.widths)
    multiple = PAIRS[name].multiple(widths)
    if side % multiple:
        raise UserError(
            f"data.image_size={side}: model.name={name!r} with {len(widths)} "
            f"model.widths needs a multiple of {multiple}"
        )
    if name == "conv":
        if len(widths) != 5 or config.task.name != "ae":
            raise UserError(
                f"model.name='conv': takes 5 model.widths (got {len(widths)}) and "
                f"task.name='ae' (got {config.task.name!r})"
            )
        code = (side // 32) ** 2 * widths[-1]
        if config.model.latent_size != code:
            raise UserError(
                f"model.latent_size={config.model.latent_size}: model.name='conv' on "
                f"{side}x{side} images has a code of {code}"
            )


def build(
    config,
    image_shape,
    num_outputs: int,
    channels=((), ()),
    lowering: lowering_lib.Lowering | None = None,
):
    """Builds the two modules of `config.model`.

    Args:
      config: all options.
      image_shape: (height, width, channels) of the images.
      num_outputs: length of the vector that the contracting network gives.
      channels: of each group (`channel_groups`) of the contracting and the expanding
        network; () = as `model.widths` says.
      lowering: of the convolutions; None: that of JAX's default backend.

    Returns:
      (contract, expand) Flax modules, called as module(x, train).

    Raises:
      UserError: the sizes do not fit.
    """
    _check(config, image_shape)
    pair = PAIRS[config.model.name]
    widths, dtype = tuple(config.model.widths), jnp.dtype(config.precision)
    image_shape, lowering = tuple(image_shape), lowering or lowering_lib.choose()
    inwards, outwards = map(tuple, channels)
    return (
        pair.contract(widths, num_outputs, dtype, inwards, lowering=lowering),
        pair.expand(widths, image_shape, dtype, outwards, lowering=lowering),
    )
