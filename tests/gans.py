"""Tiny GANs for the tests: one configuration a family, seconds to compile."""

import jax
import numpy as np

from gen_tickets import models, tasks, trees
from gen_tickets.config import defaults
from gen_tickets.pruning import masks as masks_lib

IMAGE_SHAPE = (8, 8, 2)

FAMILIES = {
    "dcgan": {"model.name": "convstack"},
    "wgan": {
        "model.name": "convstack",
        "task.loss": "wasserstein",
        "task.weight_clip": 0.05,
        "task.discriminator_steps": 2,
    },
    "wgan_penalty": {
        "model.name": "linear",
        "task.loss": "wasserstein",
        "task.gradient_penalty": 10.0,
    },
    "sngan": {"model.name": "sngan", "task.loss": "hinge"},
    "resnet_dcgan": {"model.name": "resnet"},
}


def make_config(family="dcgan", **changes):
    """The tiny configuration of a family; changes as {"task.loss": ...}."""
    config = defaults.get_config()
    config.update_from_flattened_dict(
        {
            "task.name": "gan",
            "model.widths": (4, 6),
            "model.latent_size": 3,
            "optimizer.learning_rate": 1e-2,
            "optimizer.b1": 0.5,
            "train.steps": 20,
            "rewind.step": 2,
            **FAMILIES[family],
            **changes,
        }
    )
    defaults.validate(config)
    return config


def make_task(family="dcgan", **changes):
    """The task of a family on images of IMAGE_SHAPE."""
    return tasks.build(make_config(family, **changes), IMAGE_SHAPE, 10)


def make_images(count, seed=0):
    """Random uint8 images [count, *IMAGE_SHAPE]."""
    return np.random.default_rng(seed).integers(0, 256, (count, *IMAGE_SHAPE), np.uint8)


def draw_masks(params, density=0.5, seed=0):
    """Masks that keep about `density` of every kernel, at least one weight."""
    rng = np.random.default_rng(seed)

    def draw(path, x):
        if path[-1].key != "kernel":
            return np.ones(x.shape, bool)
        mask = rng.random(x.shape) < density
        mask.flat[rng.integers(mask.size)] = True
        return mask

    return jax.tree_util.tree_map_with_path(draw, params)


def pruned(state, masks):
    """The state with its weights masked, as a round begins."""
    return state._replace(params=masks_lib.apply(masks, state.params))


def num_weights(config, image_shape, num_outputs):
    """Weights of a pair of networks; nothing is drawn."""
    contract, expand = models.build(config, image_shape, num_outputs)
    inputs = (contract, (1, *image_shape)), (expand, (1, config.model.latent_size))
    return sum(
        trees.num_weights(
            jax.eval_shape(
                lambda: module.init(jax.random.key(0), np.zeros(shape), False)["params"]
            )
        )
        for module, shape in inputs
    )
