"""What all networks of a pair share: their fields, and the options of their layers."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike

from gen_tickets.kernels.lowering import Lowering
from gen_tickets.models import conventions, layers


class Network(nn.Module):
    """A network of a pair, and its layers but for their sizes and names."""

    widths: tuple[int, ...]
    dtype: DTypeLike = jnp.float32
    channels: tuple[int, ...] = ()  # one per group of `channel_groups`; () = widths
    lowering: Lowering = dataclasses.field(kw_only=True)
    initializer: str = "authors"

    @property
    def of_dense(self) -> dict[str, Any]:
        """Options of a dense layer."""
        kernel_init = conventions.initializers(self.initializer).kernel
        return {"dtype": self.dtype, "kernel_init": kernel_init}

    @property
    def of_conv(self) -> dict[str, Any]:
        """Options of a convolution, or of a block of them."""
        return {**self.of_dense, "lowering": self.lowering}

    @property
    def dense(self) -> Callable[..., layers.Dense]:
        return functools.partial(layers.Dense, **self.of_dense)

    @property
    def conv(self) -> Callable[..., layers.Conv]:
        return functools.partial(layers.Conv, **self.of_conv)

    @property
    def conv_transpose(self) -> Callable[..., layers.ConvTranspose]:
        kernel_init = conventions.initializers(self.initializer).transposed
        options = {**self.of_conv, "kernel_init": kernel_init}
        return functools.partial(layers.ConvTranspose, **options)


class Contracting(Network):
    """Images [N, H, W, C] -> vectors [N, num_outputs]."""

    num_outputs: int = dataclasses.field(kw_only=True)


class Expanding(Network):
    """Vectors [N, latent] -> images [N, H, W, C] in [-1, 1]."""

    image_shape: tuple[int, int, int] = dataclasses.field(kw_only=True)
