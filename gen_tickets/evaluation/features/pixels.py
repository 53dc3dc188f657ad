"""Small versions of images as features, for metrics without a network."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, UInt8
from numpy.typing import ArrayLike

from gen_tickets.evaluation.features.batches import check_images, map_batches

SIDE = 16  # pixels: the coarsest level of the distance of Karras et al. 2018
_BATCH = 256


class Pixels(NamedTuple):
    """Outputs of `extract`; there are no classes."""

    features: Float[np.ndarray, "n d"]
    logits: Float[np.ndarray, "n 0"]


def extract(images: ArrayLike) -> Pixels:
    """Pixels of the images, in 0..1; images of more than 16x16 are averaged to that.

    Args:
      images: uint8 [N, H, W, C].

    Raises:
      UserError: other images.
    """
    images = check_images(images)
    features = map_batches(_shrink, images, min(_BATCH, len(images)))
    return Pixels(features, np.zeros((len(images), 0), np.float32))


@jax.jit
def _shrink(images: UInt8[jax.Array, "n h w c"]) -> Float[jax.Array, "n d"]:
    count, height, width, channels = images.shape
    shape = (count, min(height, SIDE), min(width, SIDE), channels)
    # With anti-aliasing: a weighted mean over all pixels.
    small = jax.image.resize(images.astype(jnp.float32) / 255, shape, "linear")
    return small.reshape(count, -1)
