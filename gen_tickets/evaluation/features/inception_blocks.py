"""The blocks of Inception-v3; `inception` states the version and its sources.

Arrays are float32 [N, H, W, C]. Names are those of the public PyTorch port.
"""

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gen_tickets.kernels.geometry import Pair
from gen_tickets.kernels.inference import convolve
from gen_tickets.kernels.lowering import Lowering
from gen_tickets.kernels.pools import average_pool, max_pool


class Folded(nn.Module):
    """Kernel and bias of a convolution with its batch norm folded in."""

    shape: tuple[int, ...]

    @nn.compact
    def __call__(self) -> tuple[Float[Array, "kh kw c o"], Float[Array, " o"]]:
        zeros = nn.initializers.zeros_init()
        kernel = self.param("kernel", zeros, self.shape)
        return kernel, self.param("bias", zeros, self.shape[-1:])


class Block(nn.Module):
    """A part of the network; its layers are convolution, batch norm, ReLU."""

    lowering: Lowering

    def unit(
        self,
        x: Float[Array, "n h w c"],
        name: str,
        features: int,
        window: Pair = (1, 1),
        stride: int = 1,
        valid: bool = False,
    ) -> Float[Array, "n _ _ {features}"]:
        """One layer; stride 1 preserves the size unless it is `valid`."""
        kernel, bias = Folded((*window, x.shape[-1], features), name=name)()
        height, width = window
        padding = (0, 0) if valid or stride > 1 else (height // 2, width // 2)
        y = convolve(x, kernel, self.lowering, stride, padding)
        return nn.relu(y + bias)

    def siblings(
        self, x: Float[Array, "n h w c"], **features: int
    ) -> list[Float[Array, "n h w _"]]:
        """1x1 layers with the same input, as one wide layer: name -> channels."""
        kernels, biases = zip(
            *(
                Folded((1, 1, x.shape[-1], width), name=name)()
                for name, width in features.items()
            )
        )
        y = convolve(x, jnp.concatenate(kernels, -1), self.lowering)
        y = nn.relu(y + jnp.concatenate(biases))
        return jnp.split(y, np.cumsum(list(features.values()))[:-1], -1)


class BlockA(Block):
    """Mixed_5b to 5d: 1x1, 5x5, double 3x3 and pool branches."""

    pool_features: int = 64

    @nn.compact
    def __call__(self, x: Float[Array, "n h w _"]) -> Float[Array, "n h w _"]:
        one, five, three = self.siblings(
            x, branch1x1=64, branch5x5_1=48, branch3x3dbl_1=64
        )
        five = self.unit(five, "branch5x5_2", 64, (5, 5))
        three = self.unit(three, "branch3x3dbl_2", 96, (3, 3))
        three = self.unit(three, "branch3x3dbl_3", 96, (3, 3))
        pool = self.unit(average_pool(x), "branch_pool", self.pool_features)
        return jnp.concatenate([one, five, three, pool], -1)


class BlockB(Block):
    """Mixed_6a: 35x35 to 17x17."""

    @nn.compact
    def __call__(self, x: Float[Array, "n _ _ _"]) -> Float[Array, "n _ _ _"]:
        three = self.unit(x, "branch3x3", 384, (3, 3), stride=2)
        double = self.unit(x, "branch3x3dbl_1", 64)
        double = self.unit(double, "branch3x3dbl_2", 96, (3, 3))
        double = self.unit(double, "branch3x3dbl_3", 96, (3, 3), stride=2)
        return jnp.concatenate([three, double, max_pool(x, 2)], -1)


class BlockC(Block):
    """Mixed_6b to 6e: 1x1, factored 7x7, double factored 7x7 and pool branches."""

    width: int = 128

    @nn.compact
    def __call__(self, x: Float[Array, "n h w _"]) -> Float[Array, "n h w _"]:
        one, seven, double = self.siblings(
            x, branch1x1=192, branch7x7_1=self.width, branch7x7dbl_1=self.width
        )
        seven = self.unit(seven, "branch7x7_2", self.width, (1, 7))
        seven = self.unit(seven, "branch7x7_3", 192, (7, 1))
        double = self.unit(double, "branch7x7dbl_2", self.width, (7, 1))
        double = self.unit(double, "branch7x7dbl_3", self.width, (1, 7))
        double = self.unit(double, "branch7x7dbl_4", self.width, (7, 1))
        double = self.unit(double, "branch7x7dbl_5", 192, (1, 7))
        pool = self.unit(average_pool(x), "branch_pool", 192)
        return jnp.concatenate([one, seven, double, pool], -1)


class BlockD(Block):
    """Mixed_7a: 17x17 to 8x8."""

    @nn.compact
    def __call__(self, x: Float[Array, "n _ _ _"]) -> Float[Array, "n _ _ _"]:
        three, seven = self.siblings(x, branch3x3_1=192, branch7x7x3_1=192)
        three = self.unit(three, "branch3x3_2", 320, (3, 3), stride=2)
        seven = self.unit(seven, "branch7x7x3_2", 192, (1, 7))
        seven = self.unit(seven, "branch7x7x3_3", 192, (7, 1))
        seven = self.unit(seven, "branch7x7x3_4", 192, (3, 3), stride=2)
        return jnp.concatenate([three, seven, max_pool(x, 2)], -1)


class BlockE(Block):
    """Mixed_7b and 7c, which differ in the pool: average, then maximum."""

    largest: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "n h w _"]) -> Float[Array, "n h w _"]:
        one, three, double = self.siblings(
            x, branch1x1=320, branch3x3_1=384, branch3x3dbl_1=448
        )
        double = self.unit(double, "branch3x3dbl_2", 384, (3, 3))
        pool = max_pool(x, 1, padding=1) if self.largest else average_pool(x)
        return jnp.concatenate(
            [
                one,
                self.unit(three, "branch3x3_2a", 384, (1, 3)),
                self.unit(three, "branch3x3_2b", 384, (3, 1)),
                self.unit(double, "branch3x3dbl_3a", 384, (1, 3)),
                self.unit(double, "branch3x3dbl_3b", 384, (3, 1)),
                self.unit(pool, "branch_pool", 192),
            ],
            -1,
        )
