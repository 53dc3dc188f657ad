"""Pairs of networks: one contracts images to vectors, one expands vectors to images.

The task gives them their component names: encoder and decoder, or discriminator and
generator. Each file here adds its pair to `config.registries.model`.
"""

from typing import Any

import jax.numpy as jnp
import ml_collections

from gen_tickets.config import registries
from gen_tickets.errors import UserError
from gen_tickets.kernels import lowering as lowering_lib


def build(
    config: ml_collections.ConfigDict,
    image_shape: tuple[int, int, int],
    num_outputs: int,
    channels: tuple[tuple[int, ...], tuple[int, ...]] = ((), ()),
    lowering: lowering_lib.Lowering | None = None,
) -> tuple[Any, Any]:
    """Builds the two modules of `config.model`.

    Args:
      config: all options.
      image_shape: (height, width, channels) of the images.
      num_outputs: length of the vector that the contracting network returns.
      channels: of each group (`channel_groups`) of the contracting and the expanding
        network; () = as `model.widths` says.
      lowering: of the convolutions; None: that of JAX's default backend.

    Returns:
      (contract, expand) Flax modules, called as module(x, train).

    Raises:
      UserError: the sizes do not fit.
    """
    model = registries.model.get(config.model.name)
    widths, (side, width, _) = tuple(config.model.widths), image_shape
    if side != width:
        raise UserError(
            f"data.name={config.data.name!r}",
            f"images are {side}x{width}, and models take square ones",
            "give data.image_size",
        )
    multiple = model.multiple(widths)
    if side % multiple:
        raise UserError(
            f"data.image_size={side}",
            f"model.name={config.model.name!r} with {len(widths)} model.widths needs "
            f"a multiple of {multiple}",
        )
    own = (name.removeprefix("model.") for name in model.options)
    shared = {
        "widths": widths,
        "dtype": jnp.dtype(config.precision),
        "lowering": lowering or lowering_lib.choose(),
        **{name: config.model[name] for name in own},
    }
    contract, expand = (shared | {"channels": tuple(sizes)} for sizes in channels)
    contract["num_outputs"], expand["image_shape"] = num_outputs, tuple(image_shape)
    return model.build(contract, expand)
