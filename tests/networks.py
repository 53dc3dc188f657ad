"""One tiny task of every model, with states in which no number is 0 or 1."""

import functools
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from gen_tickets import tasks, trees
from gen_tickets.config import defaults
from gen_tickets.kernels.lowering import LIBRARY
from gen_tickets.models import groups as groups_lib

NUM_STEPS = 10
_AE = {"task.name": "ae"}
_VAE = {"task.name": "vae", "model.latent_size": 3}
_GAN = {"task.name": "gan", "model.latent_size": 3}
_CONVSTACK = {"model.name": "convstack", "model.widths": (4, 6)}
_RESNET = {"model.name": "resnet", "model.widths": (4, 6)}

# A U-Net of one width, for tests of diffusion on 4x4 images.
TINY_DDPM = {
    "task.name": "diffusion",
    "model.name": "unet",
    "model.widths": (4,),
    "model.blocks": 1,
    "model.attention": (),
    "model.norm_groups": 2,
    "train.steps": 40,
}

# name -> (image shape, options)
MODELS = {
    "linear_ae": ((4, 4, 1), {**_AE, "model.widths": (7, 5), "model.latent_size": 2}),
    "conv_ae": (
        (32, 32, 1),
        {
            **_AE,
            "model.name": "conv",
            "model.widths": (3, 4, 5, 3, 2),
            "model.latent_size": 2,
        },
    ),
    "vae": ((8, 8, 2), {**_VAE, **_CONVSTACK}),
    "dcgan": ((8, 8, 2), {**_GAN, **_CONVSTACK, "eval.average_decay": 0.9}),
    "dcgan_radford": (
        (8, 8, 2),
        {
            **_GAN,
            **_CONVSTACK,
            "model.discriminator": "radford",
            "model.initializer": "radford",
        },
    ),
    "sngan": ((8, 8, 2), {**_GAN, "model.name": "sngan", "model.widths": (4, 6)}),
    "resnet_vae": ((8, 8, 2), {**_VAE, **_RESNET}),
    "resnet_dcgan": ((8, 8, 2), {**_GAN, **_RESNET}),
    "resnet_dcgan_radford": (
        (8, 8, 2),
        {**_GAN, **_RESNET, "model.generator": "radford"},
    ),
    "ddpm": (
        (4, 4, 2),
        {
            "task.name": "diffusion",
            "model.name": "unet",
            "model.widths": (6,),
            "model.blocks": 1,
            "model.attention": (4,),
            "model.norm_groups": 3,
            "diffusion.prediction": "v",
            "eval.average_decay": 0.9,
        },
    ),
}


def configure(options, **changes):
    """Validated options; changes are given as prune__scope="layer"."""
    config = defaults.get_config()
    changes = {name.replace("__", "."): value for name, value in changes.items()}
    config.update_from_flattened_dict(options | changes)
    defaults.validate(config)
    return config


class AffineDenoiser(nn.Module):
    """w0 x + w1 t: it compiles at once, and NumPy can do without it."""

    @nn.compact
    def __call__(self, x, train, times=None):
        kernel = self.param("kernel", nn.initializers.normal(0.5), (2,))
        times = jnp.zeros(len(x)) if times is None else times
        return kernel[0] * x + kernel[1] * times[:, None, None, None]


class Model(NamedTuple):
    """A task, its channel groups, and the shapes of its state."""

    config: Any
    image_shape: tuple[int, int, int]
    task: tasks.Task
    groups: dict[str, Any]
    shapes: Any

    def rebuild(self, sizes, lowering=LIBRARY) -> tasks.Task:
        """The task with the channels of `compact`."""
        return tasks.build(self.config, self.image_shape, NUM_STEPS, sizes, lowering)

    def images(self, count: int, seed: int = 0):
        shape = (count, *self.image_shape)
        return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)

    def draw(self, seed: int):
        """A state in the middle of a training: every number drawn, variances > 0."""
        rng = np.random.default_rng(seed)

        def draw(path, x):
            name = str(path[-1])
            if jnp.issubdtype(x.dtype, jnp.integer):
                return np.full(x.shape, 5, x.dtype)
            value = rng.normal(size=x.shape)
            if "scale" in name or "bias" in name:
                value = 0.5 * value + (0.5 if "bias" in name else 0)
            elif "var" in name:
                value = 0.5 + value**2
            elif "kernel" in name:
                fan_in = np.prod(x.shape[:-1])
                value = value / np.sqrt(fan_in)
            return np.asarray(value, np.float32)

        state = jax.tree_util.tree_map_with_path(draw, self.shapes)

        def second_moment(path, x):
            return 1 + np.square(x) if ".nu" in str(path) else x

        for component, stats in state.stats.items():
            kernels = trees.named_leaves(state.params[component])
            for layer, vectors in stats.get("spectral", {}).items():
                kernel = np.asarray(kernels[f"{layer}/kernel"])
                left, _, right = np.linalg.svd(kernel.reshape(-1, kernel.shape[-1]))
                # Near the singular vectors, as a training leaves them.
                u = right[0] + 0.05 * vectors["norm"]["u"] / np.sqrt(right[0].size)
                v = left[:, 0] + 0.05 * vectors["norm"]["v"] / np.sqrt(len(left))
                u, v = np.asarray(u, np.float32), np.asarray(v, np.float32)
                vectors["norm"] = {"u": u, "v": v}
        moments = jax.tree_util.tree_map_with_path(second_moment, state.opt_state)
        return state._replace(opt_state=moments)


@functools.cache
def make(name: str) -> Model:
    image_shape, options = MODELS[name]
    config = defaults.get_config()
    config.update_from_flattened_dict(
        {"train.steps": 20, "optimizer.learning_rate": 1e-2, **options}
    )
    defaults.validate(config)
    task = tasks.build(config, image_shape, NUM_STEPS, lowering=LIBRARY)
    groups = {c: groups_lib.of(n.module) for c, n in task.networks.items()}
    shapes = jax.eval_shape(task.init, jax.random.key(0))
    return Model(config, image_shape, task, groups, shapes)
