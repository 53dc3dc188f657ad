"""The Inception-v3 that FID, KID and Inception Score are defined with.

It is the network of the TensorFlow graph inception-2015-12-05 (Heusel et al. 2017). It
differs from the common ImageNet one: average pools do not count padded cells, the last
block has a max pool in place of an average pool, 1008 classes, no auxiliary head. Layer
names are those of the public PyTorch port of its weights.

Images come as uint8 [N, H, W, 3] or [N, H, W, 1] (tiled to three channels), any size.
They are resized to 299 by TensorFlow 1's bilinear rule, scaled as (x - 128) / 128. All
is float32; `weights` loads the weights, with batch norm folded into them.
"""

import functools
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gen_tickets.evaluation.features.batches import check_images, map_batches
from gen_tickets.kernels.inference import average_pool, convolve, max_pool

INPUT_SIZE = 299
NUM_FEATURES = 2048
NUM_CLASSES = 1008
# CPU: larger batches leave the cache. Accelerators: smaller ones leave them idle.
_BATCH_SIZES = {"product": 16, "library": 128}


class Features(NamedTuple):
    """What the metrics are computed from, float32."""

    features: np.ndarray  #: [N, 2048], mean of the last block over space
    logits: np.ndarray  #: [N, 1008], without the bias, as Inception Score has it


class Folded(nn.Module):
    """Kernel and bias of a convolution whose batch norm is folded in."""

    shape: tuple[int, ...]

    @nn.compact
    def __call__(self):
        zeros = nn.initializers.zeros_init()
        kernel = self.param("kernel", zeros, self.shape)
        return kernel, self.param("bias", zeros, self.shape[-1:])


class Block(nn.Module):
    """A part of the network; its layers are convolution, batch norm, ReLU."""

    lowering: str = "library"

    def unit(self, x, name, features, window=(1, 1), stride=1, valid=False):
        """One layer; at stride 1 it keeps the size, unless it is `valid`."""
        kernel, bias = Folded((*window, x.shape[-1], features), name=name)()
        padding = (0, 0) if valid or stride > 1 else [size // 2 for size in window]
        return nn.relu(convolve(x, kernel, stride, padding, self.lowering) + bias)

    def siblings(self, x, **features):
        """1x1 layers that read the same input, as one wide layer: name -> channels."""
        kernels, biases = zip(
            *(
                Folded((1, 1, x.shape[-1], width), name=name)()
                for name, width in features.items()
            )
        )
        y = convolve(x, jnp.concatenate(kernels, -1), lowering=self.lowering)
        y = nn.relu(y + jnp.concatenate(biases))
        return jnp.split(y, np.cumsum(list(features.values()))[:-1], -1)


class Stem(Block):
    """[N, H, W, C] in 0..255 to [N, 35, 35, 192], and means by layer."""

    @nn.compact
    def __call__(self, images):
        means = {}

        def keep(name, x):
            means[name] = x.mean((1, 2))
            return x

        def unit(x, name, features, **options):
            return keep(name, self.unit(x, name, features, **options))

        x = (resize(images) - 128) / 128  # [N, 299, 299, C]
        x = jnp.broadcast_to(x, (*x.shape[:3], 3))
        x = unit(x, "Conv2d_1a_3x3", 32, window=(3, 3), stride=2)  # [N, 149, 149, 32]
        x = unit(x, "Conv2d_2a_3x3", 32, window=(3, 3), valid=True)
        x = unit(x, "Conv2d_2b_3x3", 64, window=(3, 3))  # [N, 147, 147, 64]
        x = keep("MaxPool_1", max_pool(x, 2))  # [N, 73, 73, 64]
        x = unit(x, "Conv2d_3b_1x1", 80)
        x = unit(x, "Conv2d_4a_3x3", 192, window=(3, 3), valid=True)
        return keep("MaxPool_2", max_pool(x, 2)), means  # [N, 35, 35, 192]


class BlockA(Block):
    """Mixed_5b to 5d: 1x1, 5x5, double 3x3 and pool branches."""

    pool_features: int = 64

    @nn.compact
    def __call__(self, x):
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
    def __call__(self, x):
        three = self.unit(x, "branch3x3", 384, (3, 3), stride=2)
        double = self.unit(x, "branch3x3dbl_1", 64)
        double = self.unit(double, "branch3x3dbl_2", 96, (3, 3))
        double = self.unit(double, "branch3x3dbl_3", 96, (3, 3), stride=2)
        return jnp.concatenate([three, double, max_pool(x, 2)], -1)


class BlockC(Block):
    """Mixed_6b to 6e: 1x1, factored 7x7, double factored 7x7 and pool branches."""

    width: int = 128

    @nn.compact
    def __call__(self, x):
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
    def __call__(self, x):
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
    def __call__(self, x):
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


class Trunk(nn.Module):
    """[N, 35, 35, 192] to features and logits, and means by block."""

    lowering: str = "library"

    @nn.compact
    def __call__(self, x):
        means = {}
        for name, block in {
            "Mixed_5b": functools.partial(BlockA, pool_features=32),
            "Mixed_5c": BlockA,
            "Mixed_5d": BlockA,  # [N, 35, 35, 288]
            "Mixed_6a": BlockB,
            "Mixed_6b": functools.partial(BlockC, width=128),
            "Mixed_6c": functools.partial(BlockC, width=160),
            "Mixed_6d": functools.partial(BlockC, width=160),
            "Mixed_6e": functools.partial(BlockC, width=192),  # [N, 17, 17, 768]
            "Mixed_7a": BlockD,
            "Mixed_7b": BlockE,
            "Mixed_7c": functools.partial(BlockE, largest=True),  # [N, 8, 8, 2048]
        }.items():
            x = block(lowering=self.lowering, name=name)(x)
            means[name] = x.mean((1, 2))
        features = means["Mixed_7c"]
        logits = nn.Dense(NUM_CLASSES, use_bias=False, name="fc")(features)
        return Features(features, logits), means


def resize_matrix(size):
    """[299, size]: TensorFlow 1's bilinear rule along one axis.

    Position i of 299 reads i * size / 299, without the half-pixel shift of later rules,
    and neighbours beyond the end repeat the last cell.
    """
    positions = np.arange(INPUT_SIZE, dtype=np.float32) * np.float32(size / INPUT_SIZE)
    low = np.floor(positions).astype(np.int64)
    fraction = positions - low.astype(np.float32)
    matrix = np.zeros((INPUT_SIZE, size), np.float32)
    rows = np.arange(INPUT_SIZE)
    np.add.at(matrix, (rows, low), 1 - fraction)
    np.add.at(matrix, (rows, np.minimum(low + 1, size - 1)), fraction)
    return matrix


def resize(images):
    """[N, H, W, C] of any type to float32 [N, 299, 299, C], same range."""
    _, height, width, _ = images.shape
    x = jnp.einsum("pw,nhwc->nhpc", resize_matrix(width), images.astype(jnp.float32))
    return jnp.einsum("ph,nhwc->npwc", resize_matrix(height), x)


def network(variables, images, lowering):
    """uint8 [N, H, W, C] -> (`Features`, {layer or block: [N, C'] mean over space})."""
    with jax.default_matmul_precision("highest"):
        stem = functools.partial(Stem(lowering).apply, variables)
        if lowering == "product":
            # The stem's arrays are large: one image at a time stays in the cache.
            alone = lax.map(lambda image: stem(image[None]), images)
            x, means = jax.tree.map(lambda leaf: leaf[:, 0], alone)
        else:
            x, means = stem(images)
        features, later_means = Trunk(lowering).apply(variables, x)
        return features, means | later_means


@functools.partial(jax.jit, static_argnames="lowering")
def _features(variables, images, lowering):
    return network(variables, images, lowering)[0]


def extract(variables, images, batch_size=None, lowering=None) -> Features:
    """Features and logits of images, in one pass over batches of one shape.

    Args:
      variables: the folded weights, from `weights.load_weights` or `weights.fold`.
      images: uint8 [N, H, W, 3] or [N, H, W, 1], N >= 1.
      batch_size: images a step; by default what suits the device.
      lowering: "product" or "library", see `convolution`; by default what suits the
        device.

    Raises:
      UserError: the images are not as above.
    """
    images = check_images(images)
    lowering = lowering or ("product" if jax.default_backend() == "cpu" else "library")
    return map_batches(
        lambda batch: _features(variables, batch, lowering),
        images,
        batch_size or _BATCH_SIZES[lowering],
        "inception",
    )
