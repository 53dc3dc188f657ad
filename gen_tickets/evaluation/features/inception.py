"""The Inception-v3 that defines FID, KID and Inception Score.

It is the network of the TensorFlow graph inception-2015-12-05 (Heusel et al. 2017). It
differs from the common ImageNet network: average pools do not count padded cells, the
last block has a max pool instead of an average pool, and there are 1008 classes and no
auxiliary head. Layer names are those of the public PyTorch port of its weights.

Images are uint8 [N, H, W, 3] or [N, H, W, 1] (tiled to three channels) of any size.
They are resized to 299 by TensorFlow 1's bilinear rule and scaled by (x - 128) / 128.
Everything is float32; `weights` loads the weights and folds batch norm into them.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Shaped, UInt8
from numpy.typing import ArrayLike

from gen_tickets.evaluation.features import inception_blocks as blocks
from gen_tickets.evaluation.features.batches import check_images, map_batches
from gen_tickets.evaluation.scores import Outputs
from gen_tickets.kernels import lowering as lowering_lib
from gen_tickets.kernels.lowering import Lowering
from gen_tickets.kernels.pools import max_pool
from gen_tickets.trees import Tree

INPUT_SIZE = 299
NUM_FEATURES = 2048
NUM_CLASSES = 1008
# Larger batches exceed the cache of CPUs; smaller ones leave accelerators idle.
_BATCH_SIZES: dict[str, int] = {"product": 16, "library": 128}


class Features(NamedTuple):
    """The inputs of the metrics, float32."""

    features: Float[Array, "n 2048"]  #: spatial mean of the last block
    logits: Float[Array, "n 1008"]  #: without the bias, as in the Inception Score


class Stem(blocks.Block):
    """[N, H, W, C] in 0..255 to [N, 35, 35, 192], and means by layer."""

    @nn.compact
    def __call__(
        self, images: Shaped[Array, "n h w c"]
    ) -> tuple[Float[Array, "n 35 35 192"], dict[str, Array]]:
        means = {}

        def keep(name: str, x: Float[Array, "n h w c"]) -> Float[Array, "n h w c"]:
            means[name] = x.mean((1, 2))
            return x

        def unit(
            x: Float[Array, "n h w c"], name: str, features: int, **options: Any
        ) -> Float[Array, "n _ _ _"]:
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


class Trunk(nn.Module):
    """[N, 35, 35, 192] to features and logits, and means by block."""

    lowering: Lowering

    @nn.compact
    def __call__(
        self, x: Float[Array, "n 35 35 192"]
    ) -> tuple[Features, dict[str, Array]]:
        means = {}
        mixed: dict[str, Callable[..., blocks.Block]] = {
            "Mixed_5b": functools.partial(blocks.BlockA, pool_features=32),
            "Mixed_5c": blocks.BlockA,
            "Mixed_5d": blocks.BlockA,  # [N, 35, 35, 288]
            "Mixed_6a": blocks.BlockB,
            "Mixed_6b": functools.partial(blocks.BlockC, width=128),
            "Mixed_6c": functools.partial(blocks.BlockC, width=160),
            "Mixed_6d": functools.partial(blocks.BlockC, width=160),
            "Mixed_6e": functools.partial(blocks.BlockC, width=192),  # [N, 17, 17, 768]
            "Mixed_7a": blocks.BlockD,
            "Mixed_7b": blocks.BlockE,
            "Mixed_7c": functools.partial(blocks.BlockE, largest=True),
        }
        for name, block in mixed.items():
            x = block(lowering=self.lowering, name=name)(x)
            means[name] = x.mean((1, 2))
        # x: [N, 8, 8, 2048]
        features = means["Mixed_7c"]
        logits = nn.Dense(NUM_CLASSES, use_bias=False, name="fc")(features)
        return Features(features, logits), means


def resize_matrix(size: int) -> Float[np.ndarray, "299 {size}"]:
    """[299, size]: TensorFlow 1's bilinear rule along one axis.

    Position i of 299 reads i * size / 299, without the half-pixel shift of later rules,
    and positions beyond the end repeat the last cell.
    """
    positions = np.arange(INPUT_SIZE, dtype=np.float32) * np.float32(size / INPUT_SIZE)
    low = np.floor(positions).astype(np.int64)
    fraction = positions - low.astype(np.float32)
    matrix = np.zeros((INPUT_SIZE, size), np.float32)
    rows = np.arange(INPUT_SIZE)
    np.add.at(matrix, (rows, low), 1 - fraction)
    np.add.at(matrix, (rows, np.minimum(low + 1, size - 1)), fraction)
    return matrix


def resize(images: Shaped[Array, "n h w c"]) -> Float[Array, "n 299 299 c"]:
    """[N, H, W, C] of any type to float32 [N, 299, 299, C], same range."""
    _, height, width, _ = images.shape
    x = jnp.einsum("pw,nhwc->nhpc", resize_matrix(width), images.astype(jnp.float32))
    return jnp.einsum("ph,nhwc->npwc", resize_matrix(height), x)


def network(
    variables: Tree, images: UInt8[Array, "n h w c"], lowering: Lowering
) -> tuple[Features, dict[str, Array]]:
    """uint8 [N, H, W, C] -> (`Features`, {layer or block: spatial mean [N, C']})."""
    with jax.default_matmul_precision("highest"):
        stem = functools.partial(Stem(lowering).apply, variables)
        if lowering.alone == "product":
            # The stem has large arrays: one image at a time stays in the cache.
            alone = lax.map(lambda image: stem(image[None]), images)
            x, means = jax.tree.map(lambda leaf: leaf[:, 0], alone)
        else:
            x, means = stem(images)
        features, later_means = Trunk(lowering).apply(variables, x)
        return features, means | later_means


@functools.partial(jax.jit, static_argnames="lowering")
def _features(
    variables: Tree, images: UInt8[Array, "n h w c"], lowering: Lowering
) -> Features:
    return network(variables, images, lowering)[0]


def extract(
    variables: Tree,
    images: ArrayLike,
    batch_size: int | None = None,
    lowering: Lowering | None = None,
) -> Outputs:
    """Features and logits of images, in one pass over batches of one shape.

    Args:
      variables: the folded weights, from `weights.load_weights` or `weights.fold`.
      images: uint8 [N, H, W, 3] or [N, H, W, 1], N >= 1.
      batch_size: images per step; None: suited to the device.
      lowering: of the convolutions; None: that of JAX's default backend.

    Raises:
      UserError: the images are not as above.
    """
    images = check_images(images)
    lowering = lowering or lowering_lib.choose()
    outputs: Outputs = map_batches(
        lambda batch: _features(variables, batch, lowering),
        images,
        batch_size or _BATCH_SIZES[lowering.alone],
        "inception",
    )
    return outputs
