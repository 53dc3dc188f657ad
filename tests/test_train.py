"""The compiled loop against a Python loop, members against single trainings."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gen_tickets import tasks
from gen_tickets.config import defaults
from gen_tickets.pruning import masks as masks_lib
from gen_tickets.training import in_turn, loop

MEMBERS, BATCH = 3, 4
IMAGES = np.random.default_rng(0).integers(0, 256, (22, 8, 8, 1), np.uint8)
ORDER = np.random.default_rng(1).integers(0, 22, (loop.MAX_STRETCH, MEMBERS, BATCH))
ORDER = ORDER.astype(np.int32)
KEYS = jax.random.split(jax.random.key(3), MEMBERS)


class Setting:
    """A task, its loop, and fresh copies of what the loop takes."""

    def __init__(self, task, model, widths):
        config = defaults.get_config()
        config.task.name, config.model.latent_size = task, 2
        config.model.name, config.model.widths = model, widths
        self.task = tasks.build(config, IMAGES.shape[1:], 10)
        self.loop = loop.make_loop(self.task)
        self.init = jax.jit(jax.vmap(self.task.init))
        self.step = jax.jit(self.task.step)
        self.evaluate = jax.jit(self.task.evaluate)
        self.images = jnp.asarray(IMAGES)
        self.metrics = loop.empty_totals(self.task, self.images, 1)
        self.masks = masks_lib.dense(self.state().params)

    def state(self):
        return self.init(jax.random.split(jax.random.key(7), MEMBERS))

    def totals(self, members=MEMBERS):
        return {name: jnp.zeros(members) for name in self.metrics}

    def train(self, num_steps, state=None, order=ORDER, masks=None, totals=None):
        return self.loop.stretch(
            self.state() if state is None else state,
            self.totals() if totals is None else totals,
            self.masks if masks is None else masks,
            self.images,
            order,
            KEYS,
            num_steps,
        )


@pytest.fixture(scope="module")
def vae():
    return Setting("vae", "linear", (5,))


@pytest.fixture(scope="module")
def stack():
    return Setting("ae", "convstack", (2,))


def member(tree, i):
    # In NumPy: JAX would compile an indexing for every shape.
    return jax.tree.map(lambda x: np.asarray(x)[i], tree)


def assert_close(a, b, **tolerance):
    leaves = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    for x, y in leaves:
        np.testing.assert_allclose(x, y, **tolerance)


def assert_same(a, b):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("name", ["vae", "stack"])
def test_stretch_equals_python_loop_of_single_trainings(name, request):
    """Also: a member of a population trains as it does alone."""
    setting = request.getfixturevalue(name)
    state, totals = setting.train(5)
    assert state.step.tolist() == [5] * MEMBERS
    for i in range(MEMBERS):
        alone, sums = member(setting.state(), i), 0.0
        for s in range(5):
            key = jax.random.fold_in(KEYS[i], s)
            batch = IMAGES[ORDER[s, i]]
            masks = member(setting.masks, i)
            alone, metrics = setting.step(alone, masks, batch, key)
            sums += metrics["loss"]
        assert_close(member(state.params, i), alone.params, rtol=1e-4, atol=1e-6)
        assert_close(member(state.stats, i), alone.stats, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(totals["loss"][i], sums, rtol=1e-5)
    assert not np.allclose(totals["loss"][0], totals["loss"][1], rtol=1e-4)


def test_stretch_in_two_parts_equals_one_stretch(vae):
    whole = vae.train(7)
    state, totals = vae.train(3)
    shifted = np.concatenate([ORDER[3:], np.zeros_like(ORDER[:3])])
    assert_same(whole, vae.train(4, state, shifted, totals=totals))


def test_stretch_population_of_one_equals_member(vae):
    state, _ = vae.train(6)
    alone, _ = vae.loop.stretch(
        jax.tree.map(lambda x: jnp.asarray(np.asarray(x)[1:2]), vae.state()),
        vae.totals(1),
        jax.tree.map(lambda x: x[1:2], vae.masks),
        vae.images,
        ORDER[:, 1:2],
        KEYS[1:2],
        6,
    )
    assert_close(member(state.params, 1), member(alone.params, 0), rtol=1e-5, atol=1e-6)


def test_in_turn_arms_equal_one_population_and_share_one_program(vae):
    """Six members in two arms, by the programs of three."""
    compiled = vae.loop.stretch._cache_size()
    turns = in_turn.in_turn(vae.loop, MEMBERS)
    keys = jax.random.split(jax.random.key(5), 2 * MEMBERS)

    def population():
        masks = jax.tree.map(lambda m: jnp.concatenate([m, ~m]), vae.masks)
        order = jnp.concatenate([ORDER, ORDER[::-1]], 1)
        totals = vae.totals(2 * MEMBERS)
        return vae.init(keys), totals, masks, vae.images, order, keys, 5

    found = turns.stretch(*population())
    assert vae.loop.stretch._cache_size() == compiled + 1  # one for both arms
    expected = vae.loop.stretch(*population())
    assert_same(found, expected)
    examples, weights = loop.in_batches(IMAGES, 8)
    assert_same(
        turns.evaluate(found[0], examples, weights, keys),
        vae.loop.evaluate(expected[0], examples, weights, keys),
    )


def test_stretch_other_masks_and_lengths_compile_nothing(vae):
    vae.train(2)
    compiled = vae.loop.stretch._cache_size()
    masks = jax.tree.map(lambda m: m.at[..., 0].set(False), vae.masks)
    state, _ = vae.train(3, masks=masks)
    vae.train(9, state, masks=masks)
    assert vae.loop.stretch._cache_size() == compiled


def test_stretch_keeps_masked_weights_zero(stack):
    masks = jax.tree.map(lambda m: m.at[..., 0].set(m.ndim < 5), stack.masks)
    start = stack.state()
    start = start._replace(params=masks_lib.apply(masks, start.params))
    state, _ = stack.train(4, start, masks=masks)
    for mask, weight in zip(jax.tree.leaves(masks), jax.tree.leaves(state.params)):
        assert np.all(np.asarray(weight)[~np.asarray(mask)] == 0.0)


@pytest.mark.parametrize("name", ["vae", "stack"])
def test_stretch_diverged_member_leaves_others_unchanged(name, request):
    setting = request.getfixturevalue(name)
    healthy, _ = setting.train(4)
    ill = setting.state()
    ill = ill._replace(params=jax.tree.map(lambda x: x.at[1].set(jnp.nan), ill.params))
    state, totals = setting.train(4, ill)
    assert not np.isfinite(totals["loss"][1])
    for i in (0, 2):
        assert_same(member(state, i), member(healthy, i))
        assert np.isfinite(totals["loss"][i])


@pytest.mark.parametrize("batch_size", [5, 100])
def test_evaluate_in_batches_equals_plain_mean(stack, batch_size):
    images, weights = loop.in_batches(IMAGES, batch_size)
    assert images.dtype == jnp.uint8 and float(weights.sum()) == len(IMAGES)
    state = stack.state()
    found = stack.loop.evaluate(state, images, weights, KEYS)
    for i in range(MEMBERS):
        values = stack.evaluate(member(state, i), IMAGES, KEYS[i])
        for name, x in values.items():
            np.testing.assert_allclose(found[name][i], np.mean(x), rtol=1e-5)


def test_evaluate_noise_depends_on_member_and_batch(vae):
    images, weights = loop.in_batches(IMAGES, 11)
    state = vae.state()
    found = vae.loop.evaluate(state, images, weights, KEYS)["loss"]
    for i in range(MEMBERS):
        values = [
            vae.evaluate(member(state, i), x, jax.random.fold_in(KEYS[i], j))
            for j, x in enumerate(images)
        ]
        mean = np.mean([v["loss"] for v in values])
        np.testing.assert_allclose(found[i], mean, rtol=1e-5)


def test_evaluate_ignores_padding(vae):
    images, weights = loop.in_batches(IMAGES, 16)
    assert images.shape == (2, 16, 8, 8, 1)
    np.testing.assert_array_equal(images.reshape(32, 8, 8, 1)[:22], IMAGES)
    expected = vae.loop.evaluate(vae.state(), images, weights, KEYS)["loss"]
    assert np.all(np.isfinite(expected))
    noisy = images.copy()
    noisy[1, 6:] = 255
    found = vae.loop.evaluate(vae.state(), noisy, weights, KEYS)["loss"]
    np.testing.assert_array_equal(found, expected)
