"""FLOPs of the paper's models on every version of JAX, whatever was traced before."""

import functools
import pathlib
import runpy

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gen_tickets import tasks
from gen_tickets.evaluation import flops, programs
from gen_tickets.kernels.lowering import LIBRARY, PRODUCT
from gen_tickets.models import groups as groups_lib
from gen_tickets.pruning import channels, compact
from gen_tickets.pruning import pruner as pruner_lib
from tests import networks

EXPERIMENTS = pathlib.Path(__file__).parents[1] / "experiments"

SHAPES = {"mnist": (28, 28, 1), "cifar10": (32, 32, 3)}

# FLOPs of the models of the paper's Table 1, counted with JAX 0.10.2: a dense step,
# its part that no mask reduces, a step with the first half of all channels.
STEPS = {
    "ae_mnist": (148091746, 5823330, 71385782),
    "ae_cifar10": (45916907908, 124053892, 13040863524),
    "vae_cifar10": (29776426630, 243349126, 7757502406),
    "beta_vae_cifar10": (29776426630, 243349126, 7757502406),
    "resnet_vae_cifar10": (35203909222, 292275814, 9059626934),
    "dcgan_cifar10": (136572690619, 543097019, 35157700027),
    "sngan_cifar10": (217486606066, 665914226, 55512872914),
    "wgan_cifar10": (453545058817, 24383791617, 116341540865),
    "resnet_dcgan_cifar10": (35965619303, 382222503, 9288454761),
}
# Pruning of vae_cifar10, with 2 batches where images are looked at.
PRUNINGS = {
    "magnitude": 11415552,
    "random": 28554509,  # one draw, which includes biases and batch norm
    "snip": 59379034116,
    "grasp": 216841549222,
    "synflow": 247792517,
}
# Primitives of floating-point results that compute nothing.
FREE = frozenset(
    "bitcast_convert_type broadcast_in_dim carry concatenate convert_element_type "
    "gather "
    "reshape rev select_n slice split squeeze stop_gradient transpose".split()
)


def half_of(task):
    """{component: channels} of the first half of every group."""
    groups = {name: groups_lib.of(x.module) for name, x in task.networks.items()}
    masks = channels.complete(groups, {})
    for of_component in masks.values():
        for group, mask in of_component.items():
            of_component[group] = np.arange(mask.size) < (mask.size + 1) // 2
    return compact.sizes(groups, masks)


def of_paper(name):
    """(config, image shape) of an experiment."""
    config = runpy.run_path(EXPERIMENTS / f"{name}.py")["get_config"]()
    return config, SHAPES[config.data.name]


@pytest.mark.parametrize("name", STEPS)
def test_of_step_paper_models_equal_recorded_flops(name):
    config, shape = of_paper(name)
    build = functools.partial(tasks.build, config, shape, 10, lowering=LIBRARY)
    step_size = config.data.batch_size * config.task.discriminator_steps
    images = jax.ShapeDtypeStruct((step_size, *shape), jnp.uint8)
    whole = flops.of_step(build(), images)
    half = flops.of_step(build(channels=half_of(build())), images)
    found = whole.total(), whole.fixed, half.total()
    np.testing.assert_allclose(found, STEPS[name], rtol=1e-6)


def make_pruner(config, shape, method, batch, lowering=LIBRARY):
    """A pruner, and the keys, images and rows for one run of it."""
    config = config.copy_and_resolve_references()
    config.prune.method = method
    task = tasks.build(config, shape, 10, lowering=lowering)
    shapes = jax.eval_shape(task.init, jax.random.key(0))
    pruner = pruner_lib.Pruner(config, task, shapes)
    keys = jax.random.split(jax.random.key(0), 1)
    if not pruner.looks_at_images:
        return pruner, (keys, None, None)
    rows = jnp.zeros((1, 2, batch), jnp.int32)
    return pruner, (keys, jnp.zeros((2, *shape), jnp.uint8), rows)


@pytest.mark.parametrize("method", PRUNINGS)
def test_pruner_flops_paper_model_equal_recorded_flops(method):
    config, shape = of_paper("vae_cifar10")
    batch = config.data.batch_size
    pruner, arguments = make_pruner(config, shape, method, batch)
    # JAX 0.12 has fewer operations in the second derivative of the last layer's tanh.
    assert pruner.flops(*arguments) == pytest.approx(PRUNINGS[method], rel=1e-4)


@pytest.mark.parametrize("name", networks.MODELS)
def test_step_primitives_without_flops_only_move_data(name):
    """A primitive new in a version of JAX would silently count as 0."""
    model = networks.make(name)
    state, key = model.shapes, jax.random.key(0)
    masks = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, bool), state.params)
    images = jax.ShapeDtypeStruct((4, *model.image_shape), jnp.uint8)
    jaxpr = jax.make_jaxpr(model.task.step)(state, masks, images, key)
    uncounted = {
        x.name
        for x in programs.Program(jaxpr).operations
        if jnp.issubdtype(x.outputs[0].dtype, jnp.floating) and not x.flops()
    }
    assert uncounted <= FREE


@pytest.mark.parametrize("method", ["snip", "grasp"])
def test_pruner_flops_one_run_unchanged_by_earlier_traces(method):
    """One run has the shapes that are counted; a cached trace must not be reused."""
    model = networks.make("vae")
    of_model = model.config, model.image_shape, method, 4
    pruner, arguments = make_pruner(*of_model)
    before = pruner.flops(*arguments)
    one = jax.tree.map(lambda x: x[None], model.draw(0))
    masks = jax.tree.map(lambda x: jnp.ones(x.shape, bool), one.params)
    for lowering in (PRODUCT, LIBRARY):
        pruner, (keys, images, rows) = make_pruner(*of_model, lowering)
        weights = one.params, one.stats, masks
        pruner.prune.trace(*weights, pruner.num_keep(1), keys, images, rows)
    assert pruner.flops(keys, images, rows) == before
    assert make_pruner(*of_model)[0].flops(*arguments) == before
