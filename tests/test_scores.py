"""Saliencies: finite differences, explicit Hessians, product forms."""

import functools
from typing import Any, Callable, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gen_tickets import trees
from gen_tickets.pruning import masks as masks_lib
from gen_tickets.pruning import saliency
from tests import networks

pytestmark = pytest.mark.usefixtures("library_convolutions")

KEY = jax.random.key(3)
PARAMS = {
    "encoder": {"d": {"kernel": np.float32([[-3.0, 0.5], [0.0, 2.0]])}},
    "decoder": {"d": {"kernel": np.float32([[1.0, -1.0], [4.0, -0.0]])}},
}


class Toy(NamedTuple):
    """The part of a task that a saliency uses."""

    loss: Callable[..., Any]
    networks: dict[str, Any] = {}


def toy_loss(params, stats, batch, key):
    """A net of 4-3-4-1 with tanh and biases, in float64: 28 kernel weights."""
    del stats
    x = batch + 0.1 * jax.random.normal(key, batch.shape, jnp.float64)
    x = jnp.tanh(x @ params["a"]["x"]["kernel"] + params["a"]["x"]["bias"])
    x = jnp.tanh(x @ params["a"]["y"]["kernel"])
    return jnp.square(x @ params["b"]["z"]["kernel"] - 1).mean()


def toy(seed=0):
    rng = np.random.default_rng(seed)
    shapes = {"a": {"x": (4, 3), "y": (3, 4)}, "b": {"z": (4, 1)}}
    params = jax.tree.map(
        lambda shape: {"kernel": jnp.asarray(rng.normal(size=shape))},
        shapes,
        is_leaf=lambda x: isinstance(x, tuple),
    )
    params["a"]["x"]["bias"] = jnp.asarray(rng.normal(size=3))
    return Toy(toy_loss), params, jnp.asarray(rng.normal(size=(3, 5, 4)))


def mean_loss(task, params, stats, batches):
    values = [
        task.loss(params, stats, batch, jax.random.fold_in(KEY, i))
        for i, batch in enumerate(batches)
    ]
    return sum(values) / len(values)


def assert_same(found, expected, tolerance):
    for name, x in trees.named_leaves(expected).items():
        if masks_lib.is_kernel(name):
            scale = np.abs(x).max()
            np.testing.assert_allclose(
                trees.named_leaves(found)[name], x, rtol=0, atol=tolerance * scale
            )


def test_magnitude_equals_absolute_weight():
    found = saliency.magnitude(PARAMS)
    for x, y in zip(jax.tree.leaves(PARAMS), jax.tree.leaves(found)):
        np.testing.assert_array_equal(np.abs(x), y)
    assert jax.tree.structure(found) == jax.tree.structure(PARAMS)


def test_random_saliency_depends_on_key_only():
    def draw(params, seed):
        return saliency.random(params, key=jax.random.key(seed))

    big = {"a": np.zeros((50, 40), np.float32), "b": np.zeros((50, 40), np.float32)}
    first, other = draw(big, 1), draw(big, 2)
    again = draw(jax.tree.map(lambda x: x + 7, big), 1)
    for name in big:
        x = np.asarray(first[name])
        assert x.shape == (50, 40) and x.min() >= 0 and x.max() < 1
        assert abs(x.mean() - 0.5) < 0.03 and abs(x.std() - 12**-0.5) < 0.02
        np.testing.assert_array_equal(x, again[name])
        assert not np.array_equal(x, other[name])
    assert not np.array_equal(first["a"], first["b"])


def test_snip_toy_network_equals_finite_difference_in_mask():
    with jax.enable_x64(True):
        task, params, batches = toy()
        found = saliency.snip(params, task, {}, batches, KEY)

        def slope(name, index, step=1e-5):
            def loss(mask):
                leaves = trees.named_leaves(params)
                scaled = leaves[name].at[index].multiply(mask)
                masked = trees.like(params, {**leaves, name: scaled})
                return mean_loss(task, masked, {}, batches)

            return (loss(1 + step) - loss(1 - step)) / (2 * step)

        for name, score in trees.named_leaves(found).items():
            expected = [abs(slope(name, i)) for i in np.ndindex(score.shape)]
            np.testing.assert_allclose(score.ravel(), expected, rtol=1e-5, atol=1e-8)


def test_grasp_toy_network_equals_explicit_hessian():
    with jax.enable_x64(True):
        task, params, batches = toy(1)
        pruned = params["a"]["y"]["kernel"].at[1].set(0.0)
        params["a"]["y"]["kernel"] = pruned
        found = saliency.grasp(params, task, {}, batches, KEY)
        leaves = trees.named_leaves(params)
        names = [name for name in leaves if masks_lib.is_kernel(name)]
        flat = jnp.concatenate([leaves[name].ravel() for name in names])

        def loss(flat):
            ends = np.cumsum([leaves[name].size for name in names])
            parts = zip(names, jnp.split(flat, ends[:-1]))
            kernels = {name: x.reshape(leaves[name].shape) for name, x in parts}
            return mean_loss(
                task, trees.like(params, {**leaves, **kernels}), {}, batches
            )

        alive = flat != 0
        g = jnp.where(alive, jax.grad(loss)(flat), 0.0)
        paper = -flat * (jax.hessian(loss)(flat) @ g)  # S: the largest are removed
        ours = [trees.named_leaves(found)[name].ravel() for name in names]
        np.testing.assert_allclose(jnp.concatenate(ours), -paper, rtol=1e-5, atol=1e-12)
        assert flat.size == 28 and np.all(np.asarray(ours[1])[4:8] == 0)

        # What the sign is for: the flow |g|^2 after losing a little of one weight.
        def flow(flat):
            return jnp.square(jnp.where(alive, jax.grad(loss)(flat), 0.0)).sum()

        worst = int(jnp.argmin(-paper))
        less = flat.at[worst].multiply(1 - 1e-4)
        assert flow(less) > flow(flat)


def test_snip_vae_equals_finite_difference_in_mask():
    model = networks.make("vae")
    state = model.draw(0)
    batches = jnp.asarray(model.images(8).reshape(2, 4, *model.image_shape))
    found = jax.jit(functools.partial(saliency.snip, task=model.task))(
        state.params, stats=state.stats, batches=batches, key=KEY
    )

    def objective(params):
        return mean_loss(model.task, params, state.stats, batches)

    loss, leaves = jax.jit(objective), trees.named_leaves(state.params)
    for kernel, score in trees.named_leaves(found).items():
        if masks_lib.is_kernel(kernel):
            index = np.unravel_index(np.argmax(score), score.shape)
            values = [
                loss(
                    trees.like(
                        state.params,
                        {
                            **leaves,
                            kernel: jnp.asarray(leaves[kernel])
                            .at[index]
                            .multiply(mask),
                        },
                    )
                )
                for mask in (1 + 1e-2, 1 - 1e-2)
            ]
            slope = abs(values[0] - values[1]) / 2e-2
            np.testing.assert_allclose(score[index], slope, rtol=0.02)


@pytest.mark.parametrize(
    "name",
    [
        "dcgan",
        *(pytest.param(x, marks=pytest.mark.slow) for x in ("sngan", "resnet_vae")),
    ],
)
def test_grasp_convolutions_equal_finite_difference_of_gradients(name):
    """Against a finite difference of gradients; a GAN's Hessian is each player's."""
    model = networks.make(name)
    state = model.draw(1)
    params, batches = state.params, jnp.asarray(model.images(4)[None])
    found = jax.jit(functools.partial(saliency.grasp, task=model.task))(
        params, stats=state.stats, batches=batches, key=KEY
    )
    gradient = jax.jit(
        lambda params: jax.grad(mean_loss, 1)(model.task, params, state.stats, batches)
    )
    g = trees.map_named(
        lambda name, x: x if masks_lib.is_kernel(name) else 0 * x, gradient(params)
    )
    players = [list(params)] if name == "resnet_vae" else [[name] for name in params]
    for player in players:
        moved = {component: g[component] for component in player}
        norm = np.sqrt(sum(np.sum(np.square(x)) for x in jax.tree.leaves(moved)))
        step = 1e-3 / norm

        def at(sign):
            shifted = {
                component: jax.tree.map(
                    lambda w, g: w + sign * step * g, params[component], direction
                )
                for component, direction in moved.items()
            }
            return gradient({**params, **shifted})

        ahead, behind = at(1), at(-1)
        for component in player:
            expected = jax.tree.map(
                lambda w, a, b: w * (a - b) / (2 * step),
                *(tree[component] for tree in (params, ahead, behind)),
            )
            assert_same(found[component], expected, 0.02)


def synflow(model, state):
    score = jax.jit(functools.partial(saliency.synflow, task=model.task))
    return score(state.params, stats=state.stats)


def test_synflow_linear_network_equals_product_form():
    model = networks.make("linear_ae")
    state = model.draw(0)
    found = synflow(model, state)
    for component, last in (("encoder", "outputs"), ("decoder", "pixels")):
        names = ["dense_0", "dense_1", last]
        matrices = [
            np.abs(np.float64(state.params[component][name]["kernel"]))
            for name in names
        ]
        for i, name in enumerate(names):
            before = functools.reduce(
                np.matmul, matrices[:i], np.ones(matrices[0].shape[0])
            )
            after = functools.reduce(
                lambda x, m: m @ x, matrices[:i:-1], np.ones(matrices[-1].shape[1])
            )
            expected = before[:, None] * matrices[i] * after[None, :]
            np.testing.assert_allclose(
                found[component][name]["kernel"], expected, rtol=1e-5
            )


def test_synflow_sums_are_equal_in_all_layers():
    """Tanaka et al., theorem 2: every layer's scores add up to the same number."""
    model = networks.make("dcgan")
    state = model.draw(0)
    found = synflow(model, state)
    for component in found.values():
        sums = [
            np.sum(np.float64(score))
            for name, score in trees.named_leaves(component).items()
            if masks_lib.is_kernel(name)
        ]
        assert len(sums) == 3 and sums[0] > 0
        np.testing.assert_allclose(sums, sums[0], rtol=1e-4)
