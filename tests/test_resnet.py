"""The residual pair: shapes, sizes of Table 1, and its blocks against PyTorch."""

import jax
import numpy as np
import pytest

from gen_tickets import models
from tests import gans

pytestmark = pytest.mark.usefixtures("library_convolutions")

RNG = np.random.default_rng(0)
KEY = jax.random.key(0)


def build(widths, image_shape, num_outputs, generator="authors"):
    options = {"model.widths": widths, "model.generator": generator}
    config = gans.make_config("resnet_dcgan", **options)
    return models.build(config, image_shape, num_outputs)


def variables_of(module, x):
    """Variables with everything random, batch-norm statistics too."""
    shapes = jax.eval_shape(lambda: module.init(KEY, x, False))

    def draw(path, leaf):
        if path[-1].key in ("var", "scale"):
            return RNG.uniform(0.5, 2.0, leaf.shape).astype(np.float32)
        return 0.2 * RNG.normal(size=leaf.shape).astype(np.float32)

    return jax.tree_util.tree_map_with_path(draw, shapes)


@pytest.mark.parametrize("widths", [(4, 6), (3, 3, 5)])
@pytest.mark.parametrize("side", [8, 16])
def test_build_resnet_pair_has_image_and_vector_shapes(widths, side):
    contract, expand = build(widths, (side, side, 3), 7)
    images = np.zeros((2, side, side, 3), np.float32)
    latents = np.zeros((2, 5), np.float32)
    for module, x, shape in [
        (contract, images, (2, 7)),
        (expand, latents, images.shape),
    ]:
        out = jax.eval_shape(lambda: module.init_with_output(KEY, x, False)[0])
        assert out.shape == shape


@pytest.mark.parametrize(
    "name, widths, latent_size, num_outputs, paper, tolerance",
    [
        ("ResNet-VAE", (32, 64, 128, 256), 32, 64, 2.8e6, 0.05),
        ("ResNet-DCGAN", (28, 56, 112, 224), 128, 1, 2.2e6, 0.10),
    ],
)
@pytest.mark.parametrize("side", [32, 64])
def test_resnet_weight_count_is_near_published(
    name, widths, latent_size, num_outputs, paper, tolerance, side, capsys
):
    config = gans.make_config(
        "resnet_dcgan", **{"model.widths": widths, "model.latent_size": latent_size}
    )
    count = gans.num_weights(config, (side, side, 3), num_outputs)
    with capsys.disabled():
        print(f"\n{name} {side}x{side}: {count:,} weights; the paper has {paper:,.0f}")
    assert abs(count / paper - 1) < tolerance


@pytest.mark.parametrize(
    "side, widths", [(32, (128, 256, 512)), (64, (64, 128, 256, 512))]
)
def test_convstack_weight_count_is_near_published_dcgan(side, widths, capsys):
    config = gans.make_config(
        "dcgan", **{"model.widths": widths, "model.latent_size": 128}
    )
    count = gans.num_weights(config, (side, side, 3), 1)
    with capsys.disabled():
        print(f"\nDCGAN, WGAN {side}x{side}: {count:,} weights; the paper has 6.5 M")
    assert abs(count / 6.5e6 - 1) < 0.05


class Torch:
    """The same network out of torch.nn.functional, with running statistics."""

    def __init__(self, variables):
        self.torch = pytest.importorskip("torch")
        self.functional = self.torch.nn.functional
        self.variables = variables

    def tensor(self, x):
        return self.torch.tensor(np.array(x, np.float64))

    def conv(self, layer, x, strides=1, norm=None):
        kernel = self.tensor(layer["kernel"]).permute(3, 2, 0, 1)
        bias = self.tensor(layer["bias"]) if "bias" in layer else None
        padding = kernel.shape[-1] // 2
        x = self.functional.conv2d(x, kernel, bias, strides, padding)
        if norm is None:
            return x
        parameters, running = ({k: self.tensor(v) for k, v in n.items()} for n in norm)
        return self.functional.batch_norm(
            x, running["mean"], running["var"], parameters["scale"], parameters["bias"]
        )

    def part(self, *names):
        """(weights, statistics) of a part of the network."""
        weights, stats = self.variables["params"], self.variables["batch_stats"]
        for name in names:
            weights, stats = weights[name], stats.get(name, {})
        return weights, stats

    def normed(self, block, name, x, strides=1):
        weights, stats = self.part(*block)
        norm = weights[f"norm_{name}"], stats[f"norm_{name}"]
        layer = f"conv_{name}" if block else name
        return self.conv(weights[layer], x, strides, norm)

    def resize(self, x, factor):
        return self.functional.interpolate(x, scale_factor=factor, mode="nearest")


def test_contract_outputs_equal_torch():
    contract, _ = build((4, 6), (8, 8, 3), 5)
    images = RNG.normal(size=(3, 8, 8, 3)).astype(np.float32)
    variables = variables_of(contract, images)
    net = Torch(variables)
    relu = net.functional.relu
    x = relu(net.normed((), "stem", net.tensor(images).permute(0, 3, 1, 2), 2))
    y = relu(net.normed(("block_0",), "0", x))
    x = relu(x + net.normed(("block_0",), "1", y))
    y = relu(net.normed(("block_1",), "0", x, 2))
    shortcut = net.normed(("block_1",), "shortcut", x, 2)
    x = relu(shortcut + net.normed(("block_1",), "1", y))
    assert tuple(x.shape) == (3, 6, 2, 2)
    outputs = {k: net.tensor(v) for k, v in variables["params"]["outputs"].items()}
    expected = x.mean((2, 3)) @ outputs["kernel"] + outputs["bias"]
    found = jax.jit(contract.apply, static_argnums=2)(variables, images, False)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("generator", ["authors", "radford"])
def test_expand_outputs_equal_torch(generator):
    _, expand = build((4, 6), (8, 8, 3), 5, generator)
    latents = RNG.normal(size=(3, 5)).astype(np.float32)
    variables = variables_of(expand, latents)
    net = Torch(variables)
    relu = net.functional.relu
    base = {k: net.tensor(v) for k, v in variables["params"]["base"].items()}
    x = net.tensor(latents) @ base["kernel"] + base["bias"]
    if generator == "radford":
        x = x.reshape(3, 2, 2, 6).permute(0, 3, 1, 2)
    else:
        x = net.resize(x[:, :, None, None], 2)  # [N, 6, 2, 2]
    y = net.resize(relu(net.normed(("block_1",), "0", x)), 2)
    shortcut = net.normed(("block_1",), "shortcut", net.resize(x, 2))
    x = relu(shortcut + net.normed(("block_1",), "1", y))  # [N, 4, 4, 4]
    y = relu(net.normed(("block_0",), "0", x))
    x = relu(x + net.normed(("block_0",), "1", y))
    x = net.conv(variables["params"]["pixels"], net.resize(x, 2))
    expected = net.torch.tanh(x).permute(0, 2, 3, 1)
    found = jax.jit(expand.apply, static_argnums=2)(variables, latents, False)
    assert np.abs(found).max() <= 1
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-4, atol=1e-5)
