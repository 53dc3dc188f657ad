"""SNGAN: spectral normalization against NumPy's SVD, and the sizes of Table 1."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gen_tickets import models, trees
from gen_tickets.models import sngan
from tests import gans

pytestmark = pytest.mark.usefixtures("library_convolutions")

RNG = np.random.default_rng(0)
NORM = sngan.SpectralNorm()


def largest_singular_value(kernel):
    matrix = np.asarray(kernel, np.float64).reshape(-1, kernel.shape[-1])
    return np.linalg.svd(matrix, compute_uv=False)[0]


@jax.jit
def advance(kernel, variables):
    """One pass in training: (normalized kernel, variables after)."""
    return NORM.apply(variables, kernel, mutable=["spectral"])


def follow(kernel, variables, num_passes=300):
    for _ in range(num_passes):
        normalized, variables = advance(kernel, variables)
    return normalized, variables


@pytest.mark.parametrize("shape", [(3, 3, 4, 6), (4, 4, 5, 3), (20, 1), (7, 9)])
@pytest.mark.parametrize("density", [1.0, 0.3])
def test_spectral_norm_of_normalized_kernel_is_one(shape, density):
    kernel = RNG.normal(size=shape) * (RNG.random(shape) < density)
    kernel = jnp.asarray(kernel, jnp.float32)
    normalized, variables = follow(kernel, NORM.init(jax.random.key(0), kernel))
    np.testing.assert_allclose(
        normalized, kernel / largest_singular_value(kernel), rtol=1e-5, atol=1e-7
    )
    for vector in variables["spectral"].values():
        np.testing.assert_allclose(np.linalg.norm(vector), 1.0, rtol=1e-5)


def test_spectral_norm_pass_equals_one_power_iteration():
    kernel = jnp.asarray(RNG.normal(size=(2, 3, 5)), jnp.float32)
    before = NORM.init(jax.random.key(0), kernel)["spectral"]
    _, after = advance(kernel, {"spectral": before})
    matrix = np.asarray(kernel).reshape(6, 5)
    v = matrix @ np.asarray(before["u"])
    v /= np.linalg.norm(v)
    u = matrix.T @ v
    np.testing.assert_allclose(after["spectral"]["v"], v, atol=3e-4)
    np.testing.assert_allclose(after["spectral"]["u"], u / np.linalg.norm(u), atol=3e-4)


def test_spectral_norm_in_evaluation_keeps_vectors():
    kernel = jnp.asarray(RNG.normal(size=(8, 5)), jnp.float32)
    variables = NORM.init(jax.random.key(0), kernel)
    u, v = (np.asarray(variables["spectral"][name]) for name in "uv")
    found = NORM.apply(variables, 2 * kernel)
    np.testing.assert_allclose(found, 2 * kernel / (v @ (2 * kernel) @ u), rtol=1e-5)


def test_spectral_norm_gradient_equals_that_of_exact_norm():
    kernel = jnp.asarray(RNG.normal(size=(6, 4)), jnp.float32)
    weights = jnp.asarray(RNG.normal(size=(6, 4)), jnp.float32)
    _, variables = follow(kernel, NORM.init(jax.random.key(0), kernel))
    found = jax.grad(lambda k: (NORM.apply(variables, k) * weights).sum())(kernel)
    expected = jax.grad(lambda k: (k / jnp.linalg.norm(k, 2) * weights).sum())(kernel)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_spectral_norm_sparse_kernel_tracks_new_largest_block():
    # Two weights that share no row or column: the power iteration alone could never
    # leave the first once the second has died out of its vectors.
    kernel = jnp.zeros((4, 4)).at[0, 0].set(2.0).at[1, 1].set(1.0)
    _, variables = follow(kernel, NORM.init(jax.random.key(0), kernel))
    normalized, _ = follow(kernel.at[1, 1].set(3.0), variables, 60)
    np.testing.assert_allclose(normalized.max(), 1.0, rtol=1e-5)


def test_spectral_norm_of_zero_kernel_is_finite():
    kernel = jnp.zeros((3, 2))
    normalized, variables = advance(kernel, NORM.init(jax.random.key(0), kernel))
    np.testing.assert_array_equal(normalized, kernel)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(variables))


def test_init_sngan_normalizes_discriminator_layers_only():
    state = jax.eval_shape(gans.make_task("sngan").init, jax.random.key(0))
    kernels = [
        name.removesuffix("/kernel")
        for name in trees.named_leaves(state.params["discriminator"])
        if name.endswith("/kernel")
    ]
    assert sorted(state.stats["discriminator"]["spectral"]) == sorted(kernels)
    assert set(state.stats["discriminator"]) == {"spectral"}  # no batch norm
    assert set(state.stats["generator"]) == {"batch_stats"}


def test_sngan_discriminator_slope_is_bounded():
    # A pixel is in (k / s)^2 windows of a convolution, so its slope is at most k / s
    # times that of its kernel's matrix: 3, 2, 3 and 1 for these four layers.
    state = jax.jit(gans.make_task("sngan").init)(jax.random.key(1))
    module, _ = models.build(gans.make_config("sngan"), gans.IMAGE_SHAPE, 1)
    variables = {
        "params": jax.tree.map(lambda x: 50 * x, state.params["discriminator"]),
        **state.stats["discriminator"],
    }
    judge = jax.jit(lambda x: module.apply(variables, x, True)[:, 0])
    x, y = RNG.uniform(-1, 1, (2, 8, *gans.IMAGE_SHAPE)).astype(np.float32)
    gap = np.abs(judge(x) - judge(y))
    distance = np.linalg.norm((x - y).reshape(8, -1), axis=1)
    assert (gap <= 1.1 * 3 * 2 * 3 * distance).all()


@pytest.mark.parametrize(
    "side, widths", [(32, (64, 128, 256, 512)), (64, (32, 64, 128, 256, 512))]
)
def test_sngan_weight_count_is_near_published(side, widths, capsys):
    config = gans.make_config(
        "sngan", **{"model.widths": widths, "model.latent_size": 128}
    )
    count = gans.num_weights(config, (side, side, 3), 1)
    with capsys.disabled():
        print(f"\nSNGAN {side}x{side}: {count:,} weights; the paper has 6.7 M")
    assert abs(count / 6.7e6 - 1) < 0.05


def test_sngan_layer_shapes_equal_miyato():
    config = gans.make_config("sngan", **{"model.widths": (64, 128, 256, 512)})
    discriminator, generator = models.build(config, (32, 32, 3), 1)
    key = jax.random.key(0)
    shapes = jax.eval_shape(
        lambda: discriminator.init(key, jnp.zeros((1, 32, 32, 3)), False)["params"]
    )
    found = [shapes[f"conv_{i}"]["kernel"].shape for i in range(7)]
    assert [shape[0] for shape in found] == [3, 4, 3, 4, 3, 4, 3]
    assert [shape[3] for shape in found] == [64, 64, 128, 128, 256, 256, 512]
    assert shapes["outputs"]["kernel"].shape == (4 * 4 * 512, 1)
    shapes = jax.eval_shape(
        lambda: generator.init(key, jnp.zeros((1, 128)), False)["params"]
    )
    assert shapes["base"]["kernel"].shape == (128, 4 * 4 * 512)
    found = [shapes[f"conv_{i}"]["kernel"].shape for i in range(3)]
    assert found == [(4, 4, 512, 256), (4, 4, 256, 128), (4, 4, 128, 64)]
    assert shapes["pixels"]["kernel"].shape == (3, 3, 64, 3)
