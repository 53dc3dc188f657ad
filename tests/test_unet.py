"""DDPM's U-Net: its size, its group norm and joined convolutions, its attention."""

import functools
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from gen_tickets import models, trees
from gen_tickets.config import defaults
from gen_tickets.errors import UserError
from gen_tickets.kernels.lowering import LIBRARY
from gen_tickets.models import groups as groups_lib
from gen_tickets.models import unet_blocks
from gen_tickets.pruning import channels, compact
from gen_tickets.pruning import masks as masks_lib

RNG = np.random.default_rng(0)


def configure(**options):
    config = defaults.get_config()
    options = {f"model.{name}": value for name, value in options.items()}
    config.update_from_flattened_dict(
        {"task.name": "diffusion", "model.name": "unet", **options}
    )
    return config


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def test_build_denoiser_at_ddpm_setting_has_its_weights_and_groups():
    """Ho et al. 2020, appendix B: 35.7 million for CIFAR-10."""
    config = configure(widths=(128, 256, 256, 256))
    module = models.build_denoiser(config, (32, 32, 3), lowering=LIBRARY)
    x = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    shapes = jax.eval_shape(lambda x: module.init(jax.random.key(0), x, False), x)
    assert sum(math.prod(x.shape) for x in jax.tree.leaves(shapes)) == 35_746_307
    found = channels.claims(groups_lib.of(module), shapes["params"])
    assert set(found) == set(trees.named_leaves(shapes["params"]))
    y = jax.eval_shape(lambda v, x: module.apply(v, x, False), shapes, x)
    assert y.shape == x.shape


def test_build_denoiser_unfit_side_raises_user_error():
    config = configure(widths=(32, 64), patch=4)
    with pytest.raises(UserError, match="data.image_size=28.*multiple of 8"):
        models.build_denoiser(config, (28, 28, 1))


def test_group_norm_and_gradients_equal_flax_on_channels_in_order_of_their_groups():
    x, scale, bias = 3 + normal(2, 3, 3, 8), normal(8), normal(8)
    order = np.argsort(np.arange(8) % 4, kind="stable")  # 0 4 1 5 2 6 3 7

    def ours(x, scale, bias):
        variables = {"params": {"scale": scale, "bias": bias}}
        return unet_blocks.GroupNorm(4).apply(variables, x)

    def flax(x, scale, bias):
        variables = {"params": {"scale": scale[order], "bias": bias[order]}}
        return nn.GroupNorm(4).apply(variables, x[..., order])[..., np.argsort(order)]

    found, found_gradients = jax.vjp(ours, x, scale, bias)
    expected, expected_gradients = jax.vjp(flax, x, scale, bias)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    g = normal(*x.shape)
    for a, b in zip(found_gradients(g), expected_gradients(g), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5)


def test_block_of_two_maps_equals_block_of_their_concatenation():
    x, kept, time = normal(2, 4, 4, 4), normal(2, 4, 4, 2), normal(2, 3)
    block = unet_blocks.Block(4, 6, (2, 1, 2), projects=True, lowering=LIBRARY)
    shapes = jax.eval_shape(
        lambda: block.init(jax.random.key(0), (x, kept), time, False)
    )
    params = jax.tree.map(lambda leaf: normal(*leaf.shape), shapes)["params"]

    def concatenated(name, y):
        kernels = params[name]["kernel"], params[f"{name}_skip"]["kernel"]
        kernel = np.concatenate(kernels, -2)
        return convolve(y, kernel) + params[name]["bias"]

    def convolve(y, kernel):
        numbers = ("NHWC", "HWIO", "NHWC")
        return lax.conv_general_dilated(
            y, kernel, (1, 1), "SAME", dimension_numbers=numbers
        )

    def norm(name, groups, y):
        layer = unet_blocks.GroupNorm(groups)
        return nn.silu(layer.apply({"params": params[name]}, y))

    normed = norm("norm_0", 2, x), norm("norm_0_skip", 1, kept)
    y = concatenated("conv_0", jnp.concatenate(normed, -1))
    y += (time @ params["time"]["kernel"] + params["time"]["bias"])[:, None, None]
    y = convolve(norm("norm_1", 2, y), params["conv_1"]["kernel"])
    y += params["conv_1"]["bias"]
    kernels = params["shortcut"]["kernel"], params["shortcut_skip"]["kernel"]
    y += jnp.concatenate([x, kept], -1) @ np.concatenate(kernels)
    y += params["shortcut"]["bias"]
    found = block.apply({"params": params}, (x, kept), time, False)
    np.testing.assert_allclose(found, y, rtol=1e-4, atol=1e-4)


def test_attention_equals_loop_over_positions():
    x = normal(1, 2, 2, 4)
    attention = unet_blocks.Attention(2, 4, 3)
    shapes = jax.eval_shape(lambda: attention.init(jax.random.key(0), x))
    params = jax.tree.map(lambda leaf: normal(*leaf.shape), shapes)["params"]
    y = unet_blocks.GroupNorm(2).apply({"params": params["norm"]}, x).reshape(4, 4)
    query, key, value = (
        y @ params[name]["kernel"] + params[name]["bias"]
        for name in ("query", "key", "value")
    )
    rows = []
    for place in range(4):
        weights = np.exp(key @ query[place] / 2)
        rows.append((weights / weights.sum()) @ value)
    out = np.stack(rows) @ params["output"]["kernel"] + params["output"]["bias"]
    found = attention.apply({"params": params}, x)
    np.testing.assert_allclose(found, x + out.reshape(x.shape), rtol=1e-4, atol=1e-4)


def test_kernel_init_of_both_parts_has_the_variance_of_the_whole():
    whole = unet_blocks.kernel_init()(jax.random.key(0), (3, 3, 60, 20))
    part = unet_blocks.kernel_init(share=1 / 3)(jax.random.key(0), (3, 3, 20, 20))
    assert whole.std() == pytest.approx((2 / (9 * 80)) ** 0.5, rel=0.02)
    assert part.std() == pytest.approx(float(whole.std()), rel=0.03)


def test_time_features_differ_for_all_timesteps():
    found = np.asarray(unet_blocks.time_features(jnp.arange(1000) / 1000, 8))
    assert found.shape == (1000, 8)
    np.testing.assert_allclose(found[1, [0, 4]], [np.sin(1), np.cos(1)], atol=1e-5)
    distances = np.linalg.norm(found[:, None] - found[None], axis=-1)
    assert distances[~np.eye(1000, dtype=bool)].min() > 1e-3


def test_to_depth_equals_loop_and_to_pixels_inverts_it():
    x = normal(2, 4, 6, 3)
    found = unet_blocks.to_depth(x, 2)
    np.testing.assert_array_equal(found[1, 1, 2], x[1, 2:4, 4:6].reshape(-1))
    np.testing.assert_array_equal(unet_blocks.to_pixels(found, 2), x)


@pytest.mark.parametrize("blocks, num_wide", [(0, 2), (1, 2), (1, 1)])
def test_compacted_network_of_two_sides_is_the_masked_one(blocks, num_wide):
    """Forward; `test_compact` has gradients and a step, of one side and attention.

    Where one group of 4 channels is left on the wider side, its first block has as many
    channels as its input, 2 groups of 2, but still projects it.
    """
    options = {"attention": (), "blocks": blocks, "norm_groups": 3, "patch": 2}
    config = configure(widths=(6, 12), **options)
    build = functools.partial(
        models.build_denoiser, config, (8, 8, 1), lowering=LIBRARY
    )
    module, x, times = build(), normal(2, 8, 8, 1), jnp.array([0.1, 0.9])
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), x, False))["params"]
    params = {"denoiser": jax.tree.map(lambda leaf: 0.3 * normal(*leaf.shape), shapes)}
    groups = {"denoiser": groups_lib.of(module)}
    masks = {
        "denoiser": {
            group.name: RNG.permutation(
                np.arange(group.size)
                < (num_wide if "_1_" in group.name else (group.size + 1) // 2)
            )
            for group in groups["denoiser"].groups
        }
    }
    masked = masks_lib.apply(channels.expand(groups, masks, params), params)
    cut = compact.cut(groups, masks, masked)
    small = build(channels=compact.sizes(groups, masks)["denoiser"])
    assert jax.tree.leaves(cut)[0].size < jax.tree.leaves(masked)[0].size
    expected, found = (
        jax.jit(network.apply, static_argnums=2)(
            {"params": of["denoiser"]}, x, False, times
        )
        for network, of in ((module, masked), (small, cut))
    )
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())
