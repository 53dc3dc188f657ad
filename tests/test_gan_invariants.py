"""Invariants of every GAN: pruned weights, their moments and averages stay zero."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gen_tickets import trees
from gen_tickets.pruning import masks as masks_lib
from gen_tickets.tasks import average
from gen_tickets.training import round_state
from tests import gans

pytestmark = pytest.mark.usefixtures("library_convolutions")

DECAY = 0.9
STEPS = 3


@functools.cache
def trainer(family):
    """(task, init, training of STEPS steps, the same of a population), compiled."""
    # All that could revive a weight: decay, momentum, the average, clipping.
    changes = {"eval.average_decay": DECAY, "optimizer.weight_decay": 0.1}
    task = gans.make_task(family, **changes)
    num_batches = gans.make_config(family, **changes).task.discriminator_steps
    images = jnp.asarray(gans.make_images(5 * num_batches))

    def train(state, masks, key):
        def body(_, state):
            step_key = jax.random.fold_in(key, state.step)
            return task.step(state, masks, images, step_key)[0]

        return jax.lax.fori_loop(0, STEPS, body, state)

    return task, jax.jit(task.init), jax.jit(train), jax.jit(jax.vmap(train))


def dead(masks, tree):
    """The numbers of a tree where the masks are False."""
    masks, tree = jax.tree.leaves(masks), jax.tree.leaves(tree)
    pairs = zip(masks, tree, strict=True)
    return np.concatenate([np.asarray(x)[~np.asarray(mask)] for mask, x in pairs])


def moments(opt_state):
    """The Adam moments of one component's optimizer state, trees as its params."""
    adam = next(part for part in opt_state if hasattr(part, "mu"))
    return adam.mu, adam.nu


@pytest.mark.parametrize("family", gans.FAMILIES)
@settings(deadline=None, max_examples=5)
@given(seed=st.integers(0, 1000), density=st.floats(0.02, 1.0))
def test_train_masked_gan_keeps_pruned_weights_exactly_zero(family, seed, density):
    _, init, train, _ = trainer(family)
    key = jax.random.key(seed)
    state = init(key)
    masks = gans.draw_masks(state.params, density, seed)
    before = gans.pruned(state, masks)
    after = train(before, masks, key)
    assert after.step == STEPS
    for component, mask in masks.items():
        assert not dead(mask, after.params[component]).any()
        for moment in moments(after.opt_state[component]):
            assert not dead(mask, moment).any()
        pairs = before.params[component], after.params[component]
        moved = jax.tree.map(lambda x, y: (x != y).any(), *pairs)
        assert any(jax.tree.leaves(moved))
    averaged = after.opt_state["generator_average"]
    assert not dead(masks["generator"], averaged["total"]).any()
    weights = average.weights(averaged, after.params["generator"], DECAY)
    assert not dead(masks["generator"], weights).any()
    for leaf in jax.tree.leaves(after._replace(step=())):
        assert np.isfinite(leaf).all()


@pytest.mark.parametrize("family", gans.FAMILIES)
def test_rewind_gan_restores_weights_and_statistics_only(family):
    task, init, train, _ = trainer(family)
    key = jax.random.key(0)
    dense = jax.tree.map(lambda x: np.ones(x.shape, bool), init(key).params)
    at_k = train(init(key), dense, key)
    kept = round_state.copy({"params": at_k.params, "stats": at_k.stats})
    train(at_k, dense, key)
    masks = gans.draw_masks(at_k.params, 0.3, 1)
    rewound = init(jax.random.key(7))._replace(
        params=masks_lib.rewind(masks, kept["params"]), stats=kept["stats"]
    )
    for name, weights in trees.named_leaves(rewound.params).items():
        original = np.asarray(trees.named_leaves(at_k.params)[name])
        mask = trees.named_leaves(masks)[name]
        np.testing.assert_array_equal(weights, np.where(mask, original, 0.0))
    jax.tree.map(np.testing.assert_array_equal, rewound.stats, at_k.stats)
    # The average of a ticket that has not trained yet is the ticket itself.
    averaged = average.weights(
        rewound.opt_state["generator_average"], rewound.params["generator"], DECAY
    )
    jax.tree.map(np.testing.assert_array_equal, averaged, rewound.params["generator"])
    latents = jax.random.normal(key, (4, task.latent_size))
    samples = jax.jit(task.sample)(rewound, latents)
    assert samples.shape == (4, *gans.IMAGE_SHAPE)


def test_train_population_member_equals_single_training():
    _, init, train, train_all = trainer("sngan")
    keys = jax.random.split(jax.random.key(3), 2)
    states = [init(key) for key in keys]
    masks = [gans.draw_masks(state.params, 0.5, i) for i, state in enumerate(states)]
    states = [gans.pruned(state, mask) for state, mask in zip(states, masks)]
    stack = functools.partial(jax.tree.map, lambda *x: jnp.stack(x))
    together = train_all(stack(*states), stack(*masks), keys)
    for i in range(2):
        alone = train(states[i], masks[i], keys[i])
        jax.tree.map(
            functools.partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-5),
            jax.tree.map(lambda x: x[i], together),
            alone,
        )


def test_train_sngan_updates_unit_spectral_vectors():
    _, init, train, _ = trainer("sngan")
    state = init(jax.random.key(0))
    masks = jax.tree.map(lambda x: np.ones(x.shape, bool), state.params)
    after = train(state, masks, jax.random.key(0))
    for before, now in zip(
        jax.tree.leaves(state.stats["discriminator"]["spectral"]),
        jax.tree.leaves(after.stats["discriminator"]["spectral"]),
        strict=True,
    ):
        assert np.size(now) == 1 or not np.array_equal(before, now)
        np.testing.assert_allclose(np.linalg.norm(now), 1.0, rtol=1e-5)
