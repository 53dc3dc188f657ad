"""Networks written as PyTorch give what Flax gives, by NumPy and by torch."""

import importlib.util
import sys
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import numpy_torch
import pytest
from jax import lax

from gen_tickets import tasks, trained
from gen_tickets.config import defaults
from gen_tickets.errors import UserError
from gen_tickets.kernels.lowering import LIBRARY
from gen_tickets.pruning import masks as masks_lib
from gen_tickets.pytorch import source

SIZES = {  # model: (task, widths, latent, side)
    "linear": ("vae", (6, 4), 3, 8),
    "conv": ("ae", (3, 4, 3, 2, 2), 2, 32),
    "convstack": ("gan", (4, 3), 3, 8),
    "resnet": ("gan", (4, 3), 3, 8),
    "sngan": ("gan", (4, 3), 3, 8),
}


def draw(model):
    """A member with random weights and statistics, some of its weights pruned."""
    task, widths, latent, side = SIZES[model]
    config = defaults.get_config()
    config.task.name, config.model.name = task, model
    config.model.widths, config.model.latent_size = widths, latent
    config.train.steps = 20
    built = tasks.build(config, (side, side, 2), 10, None, LIBRARY)
    shapes = jax.eval_shape(built.init, jax.random.key(0))
    rng = np.random.default_rng(0)

    def weights(tree):
        return jax.tree.map(
            lambda x: jnp.asarray(0.5 + 0.2 * rng.normal(size=x.shape), x.dtype), tree
        )

    params = weights(shapes.params)
    masks = jax.tree.map(lambda x: jnp.asarray(rng.random(x.shape) > 0.3), params)
    return trained.Trained(
        modules={name: x.module for name, x in built.networks.items()},
        params=masks_lib.rewind(masks, params),
        masks=masks,
        stats=weights(shapes.stats),
        config=config,
        verdict=None,
        provenance={
            "config": defaults.flatten(config),
            "round": 3,
            "arm": "winning",
            "run": 0,
            "step": 10,
        },
        channels={},
        task=built,
    )


def load(folder):
    """The networks of an exported folder, by its own model.py."""
    spec = importlib.util.spec_from_file_location("model", folder / "model.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.load()


def images_last(x):
    return np.moveaxis(np.asarray(x), 1, -1) if np.ndim(x) == 4 else np.asarray(x)


@pytest.fixture(scope="module", params=SIZES)
def exported(request, tmp_path_factory):
    """(folder, {component: (input, output)}), arrays as PyTorch orders them."""
    member = draw(request.param)
    folder = tmp_path_factory.mktemp("torch") / request.param
    source.write(folder, member)
    rng, pairs = np.random.default_rng(1), {}
    for component, network in member.task.networks.items():
        x = rng.uniform(-1, 1, (5, *network.input_shape)).astype(np.float32)
        y = jax.jit(lambda x: member.apply(component, x))(x)
        channels_first = (0, 3, 1, 2) if x.ndim == 4 else (0, 1)
        pairs[component] = np.transpose(x, channels_first), np.asarray(y)
    return folder, pairs


def test_exported_model_in_numpy_equals_flax(exported, monkeypatch):
    folder, pairs = exported
    for name, module in numpy_torch.modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    networks = load(folder)
    assert networks.keys() == pairs.keys()
    for component, (x, y) in pairs.items():
        found = images_last(networks[component](numpy_torch.tensor(x)))
        np.testing.assert_allclose(found, y, rtol=1e-5, atol=1e-5)


def test_exported_model_in_torch_equals_flax(exported):
    torch = pytest.importorskip("torch")
    folder, pairs = exported
    networks = load(folder)
    for component, (x, y) in pairs.items():
        with torch.no_grad():
            found = images_last(networks[component](torch.tensor(x)))
        np.testing.assert_allclose(found, y, rtol=1e-5, atol=1e-5)
        assert any(x.requires_grad for x in networks[component].parameters())


def test_export_operation_without_counterpart_is_named(monkeypatch):
    monkeypatch.delitem(source.operations.OPERATIONS, "tanh")
    with pytest.raises(UserError, match="tanh: has no PyTorch counterpart"):
        source.convert(draw("linear"))


def transposed(size, stride):
    """(function of a kernel [size, size, 2, 3] and images, its shapes)."""

    def function(kernel, x):
        layout = ("NHWC", "HWIO", "NHWC")
        strides = (stride, stride)
        return lax.conv_transpose(x, kernel, strides, "SAME", dimension_numbers=layout)

    return function, (size, size, 2, 3), (5, 4, 2)


# (function of weights and a batch, shape of the weights, shape of an input)
CUSTOM = {
    "maximum of a number": (lambda w, x: jnp.maximum(0.5, x) * w, (4,), (4,)),
    "softmax": (lambda w, x: jax.nn.softmax(x * w), (4,), (4,)),
    "variance": (lambda w, x: (x * w).var(1, keepdims=True), (4,), (4,)),
    "root of a number": (lambda w, x: x * w / jnp.sqrt(4.0), (4,), (4,)),
    "the same for all": (lambda w, x: jnp.broadcast_to(w, (len(x), 4)), (4,), (4,)),
    "concatenated": (
        lambda w, x: jnp.concatenate(
            [x, jnp.broadcast_to(w, (len(x), 3)), jnp.ones((len(x), 2))], 1
        ),
        *((3,), (4,)),
    ),
    "weights of two rows": (lambda w, x: x @ w.reshape(2, 3), (6,), (2,)),
    "weights of three rows": (lambda w, x: x @ w.reshape(3, 2), (6,), (3,)),
    **{
        f"transposed {size} by {stride}": transposed(size, stride)
        for size, stride in ((2, 2), (2, 3), (3, 2), (4, 2), (4, 3), (5, 2))
    },
}


class Custom(nn.Module):
    """A function of one array of weights as a network."""

    function: Callable
    shape: tuple

    @nn.compact
    def __call__(self, x, train):
        return self.function(self.param("w", nn.initializers.normal(), self.shape), x)


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("name", CUSTOM)
def test_exported_custom_network_equals_flax(name, library, tmp_path, monkeypatch):
    if library == "torch":
        tensor = pytest.importorskip("torch").tensor
    else:
        tensor = numpy_torch.tensor
        for module, imitated in numpy_torch.modules().items():
            monkeypatch.setitem(sys.modules, module, imitated)
    function, shape, input_shape = CUSTOM[name]
    rng, module = np.random.default_rng(0), Custom(function, shape)
    weights, x = (
        rng.normal(size=sizes).astype(np.float32)
        for sizes in (shape, (5, *input_shape))
    )
    member = draw("linear")
    network = member.task.networks["decoder"]._replace(
        module=module, input_shape=input_shape
    )
    member = member._replace(
        modules={"decoder": module},
        params={"decoder": {"w": weights}},
        stats={"decoder": {}},
        task=member.task._replace(networks={"decoder": network}),
    )
    source.write(tmp_path, member)
    channels_first = np.moveaxis(x, -1, 1)
    found = load(tmp_path)["decoder"](tensor(channels_first))
    found = found.detach() if library == "torch" else found
    np.testing.assert_allclose(
        images_last(found), function(weights, x), rtol=1e-5, atol=1e-6
    )
