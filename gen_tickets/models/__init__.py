"""Networks: pairs (images to vectors, vectors to images) and denoisers.

The task names the components: encoder and decoder, discriminator and generator, or
denoiser. Each file here adds its networks to `config.registries.model`.
"""

from typing import Any

import flax.linen as nn
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
) -> tuple[nn.Module, nn.Module]:
    """Builds the two modules of `config.model`.

    Args:
      config: all options.
      image_shape: (height, width, channels) of the images.
      num_outputs: length of the vector that the contracting network returns.
      channels: of each group (`channel_groups`) of the contracting and the expanding
        network; () = those of `model.widths`.
      lowering: of the convolutions; None: that of JAX's default backend.

    Returns:
      (contract, expand) Flax modules, called as module(x, train).

    Raises:
      UserError: the sizes do not fit.
    """
    contract, expand = (
        _arguments(config, image_shape, sizes, lowering) for sizes in channels
    )
    del contract["image_shape"]
    # Each is for one network of a GAN.
    contract.pop("generator", None)
    expand.pop("discriminator", None)
    contract["num_outputs"] = num_outputs
    return registries.model.get(config.model.name).build(contract, expand)


def build_denoiser(
    config: ml_collections.ConfigDict,
    image_shape: tuple[int, int, int],
    channels: tuple[int, ...] = (),
    lowering: lowering_lib.Lowering | None = None,
) -> Any:
    """Builds the module of `config.model`, a denoiser.

    Args:
      config, image_shape, lowering: as in `build`.
      channels: of each group (`channel_groups`); () = those of `model.widths`.

    Returns:
      A Flax module, called as module(x, train, times): images [N, H, W, C] -> the same
      shape; times [N] in [0, 1), None = 0.

    Raises:
      UserError: the sizes do not fit.
    """
    arguments = _arguments(config, image_shape, channels, lowering)
    return registries.model.get(config.model.name).build(arguments)


def _arguments(
    config: ml_collections.ConfigDict,
    image_shape: tuple[int, int, int],
    channels: tuple[int, ...],
    lowering: lowering_lib.Lowering | None,
) -> dict[str, Any]:
    """The arguments of every module.

    Raises:
      UserError: the images are not square, or their side does not fit.
    """
    model = registries.model.get(config.model.name)
    widths, (side, width, _) = tuple(config.model.widths), image_shape
    if side != width:
        raise UserError(
            f"data.name={config.data.name!r}",
            f"images are {side}x{width}, but models need square ones",
            "give data.image_size",
        )
    multiple = model.multiple(widths)
    if side % multiple:
        raise UserError(
            f"data.image_size={side}",
            f"model.name={config.model.name!r} with {len(widths)} model.widths needs "
            f"a multiple of {multiple}",
        )
    return {
        "widths": widths,
        "dtype": jnp.dtype(config.precision),
        "channels": tuple(channels),
        "lowering": lowering or lowering_lib.choose(),
        "image_shape": tuple(image_shape),
        **{name.removeprefix("model."): config[name] for name in model.options},
    }
