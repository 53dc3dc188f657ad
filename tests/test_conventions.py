"""The authors' networks and those of Radford et al., against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gen_tickets import models, trees
from gen_tickets.config import defaults
from gen_tickets.errors import UserError
from gen_tickets.kernels.lowering import LIBRARY
from gen_tickets.models import groups, layers
from gen_tickets.pruning import channels

SHAPE = (8, 8, 2)
PAIRS = {"convstack": (6, 8), "resnet": (6, 8), "sngan": (6, 8), "linear": (16, 16)}


def configure(model, task="gan", **convention):
    config = defaults.get_config()
    config.model.name, config.model.widths = model, PAIRS[model]
    config.model.latent_size, config.task.name, config.train.steps = 8, task, 20
    config.model.update(convention)
    defaults.validate(config)
    return config


def build(model, **convention):
    """The two modules, each with its variables."""
    pair = models.build(configure(model, **convention), SHAPE, 1, lowering=LIBRARY)
    inputs = jnp.zeros((1, *SHAPE)), jnp.zeros((1, 8))
    key = jax.random.key(3)
    return [
        (module, jax.jit(module.init, static_argnums=2)(key, x, False))
        for module, x in zip(pair, inputs)
    ]


def test_conv_transpose_kernel_initialization_has_bounds_of_torch():
    # PyTorch's weight is [in, out, kh, kw], and its fan-in out * kh * kw.
    module = layers.ConvTranspose(64, 4, lowering=LIBRARY)
    variables = module.init(jax.random.key(0), jnp.zeros((1, 4, 4, 16)))
    kernel = np.asarray(variables["params"]["kernel"])
    bound = 1 / np.sqrt(64 * 4 * 4)
    assert 0.99 * bound < np.abs(kernel).max() <= bound
    assert kernel.std() == pytest.approx(bound / np.sqrt(3), rel=0.02)


def test_he_kernels_have_variance_of_two_over_torch_fan_in():
    contract, expand = build("convstack", initializer="he")
    # Axes that PyTorch multiplies: all but out, and all but in of a transposed one.
    for (_, variables), axes in ((contract, (0, 1, 2)), (expand, (0, 1, 3))):
        leaves = trees.named_leaves(variables["params"])
        kernels = [x for x in leaves.values() if x.ndim == 4 and x.size > 200]
        assert kernels
        for kernel in kernels:
            fan_in = np.prod([kernel.shape[axis] for axis in axes])
            error = 4 / np.sqrt(kernel.size)
            assert kernel.std() == pytest.approx(np.sqrt(2 / fan_in), rel=error)


@pytest.mark.parametrize("model", PAIRS)
def test_radford_kernels_are_normal_with_deviation_0_02(model):
    for _, variables in build(model, initializer="radford"):
        leaves = trees.named_leaves(variables["params"])
        kernels = [np.ravel(x) for name, x in leaves.items() if "kernel" in name]
        values = np.concatenate(kernels) / 0.02
        error = 4 / np.sqrt(len(values))
        assert abs(values.mean()) < error and abs(values.std() - 1) < error
        assert abs((values**4).mean() - 3) < 10 * error  # a uniform one has 1.8
        for kernel in kernels:
            assert kernel.std() == pytest.approx(0.02, rel=6 / np.sqrt(len(kernel)))


def numpy_conv(x, kernel, strides, padding):
    """Convolution of x [N, H, W, C] by loops over its outputs."""
    side = kernel.shape[0]
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    size = (x.shape[1] - side) // strides + 1
    found = np.zeros((len(x), size, size, kernel.shape[-1]))
    for i in range(size):
        for j in range(size):
            rows, columns = strides * i, strides * j
            window = x[:, rows : rows + side, columns : columns + side]
            found[:, i, j] = np.tensordot(window, kernel, 3)
    return found


def test_radford_discriminator_is_leaky_and_normalizes_later_layers():
    (module, variables), _ = build("convstack", discriminator="radford")
    rng = np.random.default_rng(1)
    params = jax.tree.map(lambda x: 0.3 * rng.normal(size=x.shape), variables["params"])
    images = rng.normal(size=(3, *SHAPE))
    assert set(params) == {"conv_0", "conv_1", "norm_1", "outputs"}

    def leaky(x):
        return np.where(x > 0, x, 0.2 * x)

    x = numpy_conv(images, params["conv_0"]["kernel"], 2, 1) + params["conv_0"]["bias"]
    x = numpy_conv(leaky(x), params["conv_1"]["kernel"], 2, 1)
    x = (x - x.mean((0, 1, 2))) / np.sqrt(x.var((0, 1, 2)) + 1e-5)
    x = leaky(x * params["norm_1"]["scale"] + params["norm_1"]["bias"])
    expected = numpy_conv(x, params["outputs"]["kernel"], 1, 0).reshape(3, 1)
    expected += params["outputs"]["bias"]
    variables = jax.tree.map(jnp.float32, {**variables, "params": params})
    found, _ = module.apply(variables, jnp.float32(images), True, mutable=True)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("model", ["convstack", "resnet"])
def test_channel_groups_radford_discriminator_claim_every_axis_once(model):
    (module, variables), _ = build(model, discriminator="radford")
    of_network = groups.of(module)
    assert "norm_stem" not in variables["params"]
    for tree in (variables["params"], {"batch_stats": variables["batch_stats"]}):
        assert set(channels.claims(of_network, tree)) == set(trees.named_leaves(tree))
    scored = channels.scores({"d": of_network}, {"d": variables["params"]})["d"]
    blocks = {"stem", "block_0/conv_0", "block_1/conv_0", "block_1"}
    assert set(scored) == ({"conv_1"} if model == "convstack" else blocks)


def test_channel_groups_radford_generator_claim_every_axis_once():
    _, (module, variables) = build("resnet", generator="radford")
    params = variables["params"]
    # Two widths on 8x8 images: the first map has 2x2 pixels of 8 channels.
    assert params["base"]["kernel"].shape == (8, 2 * 2 * 8)
    of_network = groups.of(module)
    for tree in (params, {"batch_stats": variables["batch_stats"]}):
        assert set(channels.claims(of_network, tree)) == set(trees.named_leaves(tree))


def test_validate_convention_without_effect_raises_user_error():
    with pytest.raises(UserError, match="model.discriminator.*only for task.name=gan"):
        configure("convstack", task="vae", discriminator="radford")
    with pytest.raises(UserError, match="model.generator.*only for task.name=gan"):
        configure("resnet", task="vae", generator="radford")
    with pytest.raises(UserError, match="only for model.name=resnet"):
        configure("convstack", generator="radford")
    with pytest.raises(UserError, match="only for model.name=convstack or resnet"):
        configure("sngan", discriminator="radford")
    with pytest.raises(UserError, match="authors, radford|'authors', 'radford'"):
        configure("convstack", initializer="radfort")
