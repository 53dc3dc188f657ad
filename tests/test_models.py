"""Sizes of the paper's autoencoders, shapes, ranges, and sizes that are refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gen_tickets import models, tasks, trees
from gen_tickets.config import defaults
from gen_tickets.errors import UserError
from gen_tickets.kernels.lowering import LIBRARY
from gen_tickets.models import convstack
from gen_tickets.pruning import masks as masks_lib

DIGITS, COLOUR = (28, 28, 1), (32, 32, 3)


def configure(name="linear", widths=(128, 64, 12), latent_size=3, task="ae", **more):
    config = defaults.get_config()
    config.model.name, config.model.widths = name, widths
    config.model.latent_size, config.task.name = latent_size, task
    config.update_from_flattened_dict(more)
    return config


CONV = configure("conv", (32, 64, 128, 256, 512), 512)
VAE = configure("convstack", (64, 128, 256, 512), 32, "vae")


def shapes_of(config, image_shape):
    task = tasks.build(config, image_shape, 10)
    return jax.eval_shape(task.init, jax.random.key(0))


def num_kernel_weights(params):
    leaves = trees.named_leaves(params)
    return sum(leaves[name].size for name in masks_lib.prunable_names(params))


def test_linear_autoencoder_weight_count_equals_published():
    params = shapes_of(configure(), DIGITS).params
    sizes = (784, 128, 64, 12, 3, 12, 64, 128, 784)
    assert num_kernel_weights(params) == 218_696
    assert num_kernel_weights(params) == sum(a * b for a, b in zip(sizes, sizes[1:]))
    assert trees.num_weights(params) == 218_696 + sum(sizes[1:])


@pytest.mark.parametrize("config, paper", [(CONV, 3.0e6), (VAE, 5.6e6)])
def test_convolutional_weight_counts_within_five_percent_of_paper(config, paper):
    params = shapes_of(config, COLOUR).params
    count = trees.num_weights(params)
    print(f"{config.model.name}: {count:,} weights, the paper says {paper:,.0f}")
    assert abs(count - paper) < 0.05 * paper
    assert num_kernel_weights(params) > 0.99 * count


def test_convstack_kernel_shapes_equal_hand_written_shapes():
    config = configure("convstack", (2, 3), 5, "vae")
    leaves = trees.named_leaves(shapes_of(config, (8, 8, 1)).params)
    shapes = {
        name: leaf.shape for name, leaf in leaves.items() if masks_lib.is_kernel(name)
    }
    assert shapes == {
        "encoder/conv_0/kernel": (4, 4, 1, 2),
        "encoder/conv_1/kernel": (4, 4, 2, 3),
        "encoder/outputs/kernel": (2, 2, 3, 10),  # mean and log-variance
        "decoder/base/kernel": (2, 2, 5, 3),
        "decoder/conv_0/kernel": (4, 4, 3, 2),
        "decoder/pixels/kernel": (4, 4, 2, 1),
    }


TINY = [
    (configure(widths=(5, 4), latent_size=3), (4, 4, 1), 3),
    (configure("conv", (2, 3, 4, 5, 6), 6), COLOUR, 6),
    (configure("conv", (2, 2, 2, 2, 3), 12), (64, 64, 1), 12),
    (configure("convstack", (2, 3), 5), (12, 12, 3), 5),
    (configure("convstack", (2, 3), 5, precision="bfloat16"), (8, 8, 1), 5),
]


@pytest.mark.parametrize("config, image_shape, num_codes", TINY)
def test_build_outputs_have_expected_shapes_and_range(config, image_shape, num_codes):
    contract, expand = models.build(config, image_shape, num_codes)
    images = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (3, *image_shape)))
    key = jax.random.key(0)

    @jax.jit
    def both(images):
        variables = contract.init(key, images, False)
        codes = contract.apply(variables, images, False)
        variables = expand.init(key, codes, False)
        return codes, expand.apply(variables, 100 * codes, False)

    codes, outputs = both(images)
    assert codes.shape == (3, num_codes) and codes.dtype == jnp.float32
    assert outputs.shape == (3, *image_shape) and outputs.dtype == jnp.float32
    assert np.all(np.abs(outputs) <= 1) and np.std(outputs) > 0


@pytest.mark.parametrize(
    "config, image_shape, message",
    [
        (configure(), (28, 30, 1), "data.image_size"),
        (configure("convstack", (2, 3, 4), 5), (28, 28, 1), "image_size=28.*of 8"),
        (CONV, (28, 28, 1), "image_size=28.*of 32"),
        (configure("conv", (2, 3, 4, 5, 6), 7), COLOUR, "latent_size=7.*code of 6"),
        (configure("conv", (2, 3, 4, 5, 6), 6), (64, 64, 3), "code of 24"),
    ],
)
def test_build_sizes_unfit_for_images_raises_user_error(config, image_shape, message):
    with pytest.raises(UserError, match=message):
        models.build(config, image_shape, config.model.latent_size)


@pytest.mark.parametrize(
    "config, field",
    [
        (configure("conv", (2, 3), 5), "model.widths=(2, 3)"),
        (configure("conv", (2, 3, 4, 5, 6), 6, "vae"), "task.name='vae'"),
    ],
)
def test_validate_options_unfit_for_model_raises_user_error(config, field):
    config.train.steps = 20
    with pytest.raises(UserError, match="model.name='conv'") as caught:
        defaults.validate(config)
    assert caught.value.field == field


def test_decoder_of_vae_has_shapes_of_expand():
    """Transfer from a VAE to a GAN needs this (paper, Fig. 8)."""
    decoder = shapes_of(VAE, COLOUR).params["decoder"]
    expand = convstack.Expand((64, 128, 256, 512), image_shape=COLOUR, lowering=LIBRARY)
    x = jnp.zeros((1, 32))
    shapes = jax.eval_shape(lambda: expand.init(jax.random.key(0), x, False))
    assert jax.tree.structure(decoder) == jax.tree.structure(shapes["params"])
    for a, b in zip(jax.tree.leaves(decoder), jax.tree.leaves(shapes["params"])):
        assert a.shape == b.shape
