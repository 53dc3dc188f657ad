"""Base classes of the networks of a pair: common fields and layer constructors."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike

from gen_tickets.kernels.lowering import Lowering
from gen_tickets.models import conventions, layers


class _PairNetwork(nn.Module):
    """Common base; makes layers with its dtype, lowering and initializer."""

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
        """dense(features, name=...) -> a dense layer."""
        return functools.partial(layers.Dense, **self.of_dense)

    @property
    def conv(self) -> Callable[..., layers.Conv]:
        """conv(features, kernel_size, strides, padding, name=...) -> a convolution."""
        return functools.partial(layers.Conv, **self.of_conv)

    @property
    def conv_transpose(self) -> Callable[..., layers.ConvTranspose]:
        """Like `conv`, for a transposed convolution."""
        kernel_init = conventions.initializers(self.initializer).transposed
        options = {**self.of_conv, "kernel_init": kernel_init}
        return functools.partial(layers.ConvTranspose, **options)


class Contracting(_PairNetwork):
    """Images [N, H, W, C] -> vectors [N, num_outputs]."""

    num_outputs: int = dataclasses.field(kw_only=True)


class Expanding(_PairNetwork):
    """Vectors [N, latent] -> images [N, H, W, C] in [-1, 1]."""

    image_shape: tuple[int, int, int] = dataclasses.field(kw_only=True)
