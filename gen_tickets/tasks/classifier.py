"""Classification of labelled images: {classifier}.

Examples are {"images": uint8 [N, H, W, C], "labels": int32 [N]}. The loss is the mean
over images of the cross-entropy in nats. Trains by SGD with Nesterov momentum, coupled
weight decay, and a learning rate that warms up for a fifth of the steps and then decays
as a cosine.
"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key, UInt8

from gen_tickets.data import pixels
from gen_tickets.tasks import networks, single_loss
from gen_tickets.tasks.task import Examples, Metrics, Task
from gen_tickets.training.state import TrainState
from gen_tickets.trees import Masks, Tree

COMPONENT = "classifier"
_RISE = 0.2


class Outputs(NamedTuple):
    """The outputs of a classifier."""

    features: Float[Array, "n d"]  #: input of the last layer
    logits: Float[Array, "n classes"]


class Recipe(NamedTuple):
    """Hyperparameters of the training of a classifier."""

    num_steps: int
    learning_rate: float = 0.1  #: peak value
    momentum: float = 0.9
    weight_decay: float = 5e-4
    shift: int = 0  #: maximum pixels in each direction; filled with black
    flip: bool = False  #: whether half of the images are mirrored


def augment(
    images: UInt8[Array, "n h w c"], key: Key[Array, ""], shift: int, flip: bool
) -> UInt8[Array, "n h w c"]:
    """Shifts each image by random -shift..shift rows and columns, and may mirror it.

    uint8 [N, H, W, C] -> the same shape and type.
    """
    count, height, width, channels = images.shape
    shift_key, flip_key = jax.random.split(key)
    if shift:
        sides = ((0, 0), (shift, shift), (shift, shift), (0, 0))
        starts = jax.random.randint(shift_key, (count, 2), 0, 2 * shift + 1)

        def cut(
            image: UInt8[Array, "H W c"], start: Int[Array, "2"]
        ) -> UInt8[Array, "h w c"]:
            corner = (start[0], start[1], 0)
            return jax.lax.dynamic_slice(image, corner, (height, width, channels))

        images = jax.vmap(cut)(jnp.pad(images, sides), starts)
    if flip:
        mirrored = jax.random.bernoulli(flip_key, shape=(count, 1, 1, 1))
        images = jnp.where(mirrored, images[:, :, ::-1], images)
    return images


def build(
    network: nn.Module, image_shape: tuple[int, int, int], recipe: Recipe
) -> Task:
    """Builds the task of a network called as network(x, train) -> `Outputs`."""
    rate = optax.cosine_onecycle_schedule(
        max(recipe.num_steps, 2), recipe.learning_rate, pct_start=_RISE
    )
    optimizer = optax.chain(
        optax.add_decayed_weights(recipe.weight_decay),
        optax.trace(recipe.momentum, nesterov=True),
        optax.scale_by_learning_rate(rate),
    )

    def terms(
        params: Tree,
        stats: Tree,
        examples: Examples,
        key: Key[Array, ""],
        train: bool,
    ) -> tuple[Metrics, Tree]:
        """Cross-entropy and accuracy [N] of a batch, and the updated statistics."""
        images, labels = pixels.to_float(examples["images"]), examples["labels"]
        of_network = params[COMPONENT], stats[COMPONENT]
        advance = networks.ALL if train else ()
        outputs, after = networks.apply(network, *of_network, images, train, advance)
        error = optax.softmax_cross_entropy_with_integer_labels(outputs.logits, labels)
        right = (outputs.logits.argmax(-1) == labels).astype(jnp.float32)
        return {"loss": error, "accuracy": right}, {COMPONENT: after}

    task = single_loss.build(
        {COMPONENT: networks.Network(network, image_shape)},
        terms,
        optimizer,
        reconstruct=None,
        sample=None,
        latent_size=0,
    )

    def step(
        state: TrainState, masks: Masks, examples: Examples, key: Key[Array, ""]
    ) -> tuple[TrainState, Metrics]:
        images = augment(examples["images"], key, recipe.shift, recipe.flip)
        return task.step(state, masks, {**examples, "images": images}, key)

    return task._replace(step=step)
