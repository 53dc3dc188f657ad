"""The optimizer step under masks, against NumPy and PyTorch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gen_tickets import trees
from gen_tickets.config import defaults, registries
from gen_tickets.pruning import masks as masks_lib
from gen_tickets.training import optimizer as optimizer_lib
from gen_tickets.training import state

NAMES = registries.optimizer.names()
RATE, B1, B2, EPSILON = 0.01, 0.8, 0.99, 1e-8


def optimizer_of(name, weight_decay):
    config = defaults.get_config().optimizer
    config.name, config.weight_decay = name, weight_decay
    config.learning_rate, config.b1, config.b2 = RATE, B1, B2
    return optimizer_lib.make(config, 0)


def random_tree(seed, scale=1.0):
    rng = np.random.default_rng(seed)
    return {
        component: {
            "d": {
                "kernel": jnp.float32(scale * rng.normal(size=(3, 4))),
                "bias": jnp.float32(scale * rng.normal(size=4)),
            }
        }
        for component in ("encoder", "decoder")
    }


def masked(params, share=0.5):
    drawn = random_tree(99)
    masks = jax.tree.map(lambda x: x > np.quantile(x, share), drawn)
    names = masks_lib.prunable_names(params)
    return trees.map_named(
        lambda name, m: m if name in names else jnp.ones_like(m), masks
    )


def step_of(optimizer):
    return jax.jit(lambda s, g, m: state.apply_update(s, g, m, optimizer))


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("name", NAMES)
def test_apply_update_keeps_pruned_weights_and_moments_zero(name, weight_decay):
    optimizer = optimizer_of(name, weight_decay)
    step, params = step_of(optimizer), random_tree(0)
    masks = masked(params)
    training = state.create(masks_lib.apply(masks, params), {}, optimizer)
    for i in range(20):
        grads = random_tree(i + 1, scale=10.0 ** (i % 5))
        if i == 3:  # a gradient that is not finite does no harm where it is pruned
            grads = jax.tree.map(lambda g, m: jnp.where(m, g, jnp.inf), grads, masks)
        training = step(training, grads, masks)
    for component, mask in masks.items():
        dead = ~np.asarray(mask["d"]["kernel"])
        assert dead.any() and not dead.all()
        weights = np.asarray(training.params[component]["d"]["kernel"])
        assert weights[dead].tobytes() == np.zeros(dead.sum(), np.float32).tobytes()
        assert np.all(weights[~dead] != 0)
        moments = [
            np.asarray(leaf)
            for leaf_name, leaf in trees.named_leaves(training.opt_state).items()
            if leaf_name.startswith(component) and leaf_name.endswith("d/kernel")
        ]
        assert len(moments) == (1 if name == "sgd" else 2)
        for moment in moments:
            assert np.all(moment[dead] == 0) and np.all(moment[~dead] != 0)


@pytest.mark.parametrize("name", NAMES)
def test_apply_update_ignores_gradients_of_pruned_weights(name):
    optimizer = optimizer_of(name, 0.1)
    step, params = step_of(optimizer), random_tree(0)
    masks = masked(params)
    training = state.create(masks_lib.apply(masks, params), {}, optimizer)
    grads = random_tree(1)
    other = jax.tree.map(lambda g, m: jnp.where(m, g, 1e6), grads, masks)
    for a, b in zip(
        jax.tree.leaves(step(training, grads, masks)),
        jax.tree.leaves(step(training, other, masks)),
    ):
        np.testing.assert_array_equal(a, b)


def by_hand(name, weight, grads, decay):
    """The optimizers written out in float64."""
    w = np.float64(weight)
    m, v = np.zeros_like(w), np.zeros_like(w)
    for t, g in enumerate(grads, start=1):
        g = np.float64(g)
        if name != "adamw":
            g = g + decay * w
        if name == "sgd":
            m = B1 * m + g
            w = w - RATE * m
            continue
        m, v = B1 * m + (1 - B1) * g, B2 * v + (1 - B2) * g * g
        update = (m / (1 - B1**t)) / (np.sqrt(v / (1 - B2**t)) + EPSILON)
        if name == "adamw":
            update = update + decay * w
        w = w - RATE * update
    return w


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("name", NAMES)
def test_apply_update_equals_numpy_optimizer(name, weight_decay):
    optimizer = optimizer_of(name, weight_decay)
    step, params = step_of(optimizer), random_tree(0)
    masks, grads = masks_lib.dense(params), [random_tree(i) for i in (1, 2, 3)]
    training = state.create(params, {}, optimizer)
    for g in grads:
        training = step(training, g, masks)
    for leaf_name, weight in trees.named_leaves(params).items():
        expected = by_hand(
            name,
            weight,
            [trees.named_leaves(g)[leaf_name] for g in grads],
            weight_decay,
        )
        found = trees.named_leaves(training.params)[leaf_name]
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("name", NAMES)
def test_apply_update_equals_pytorch(name, weight_decay):
    torch = pytest.importorskip("torch")
    options = {"lr": RATE, "weight_decay": weight_decay}
    optim = torch.optim
    kind = {"adam": optim.Adam, "adamw": optim.AdamW, "sgd": optim.SGD}
    adams = {"betas": (B1, B2), "eps": EPSILON}
    options |= {"momentum": B1} if name == "sgd" else adams
    optimizer = optimizer_of(name, weight_decay)
    step, params = step_of(optimizer), random_tree(0)
    training = state.create(params, {}, optimizer)
    kernel = torch.tensor(np.asarray(params["encoder"]["d"]["kernel"]))
    theirs = kind[name]([kernel], **options)
    for i in range(1, 6):
        grads = random_tree(i)
        training = step(training, grads, masks_lib.dense(params))
        kernel.grad = torch.tensor(np.asarray(grads["encoder"]["d"]["kernel"]))
        theirs.step()
    ours = np.asarray(training.params["encoder"]["d"]["kernel"])
    np.testing.assert_allclose(ours, kernel.numpy(), rtol=1e-5, atol=1e-6)


def test_apply_update_changes_only_components_with_gradients():
    optimizer = optimizer_of("adam", 0.1)
    params = random_tree(0)
    training = state.create(params, {"encoder": {}, "decoder": {}}, optimizer)
    grads = {"decoder": random_tree(1)["decoder"]}
    after = step_of(optimizer)(training, grads, masked(params))
    for before_tree, after_tree in (
        (training.params, after.params),
        (training.opt_state, after.opt_state),
    ):
        before_tree, after_tree = before_tree["encoder"], after_tree["encoder"]
        for a, b in zip(jax.tree.leaves(before_tree), jax.tree.leaves(after_tree)):
            np.testing.assert_array_equal(a, b)
    assert not np.array_equal(
        params["decoder"]["d"]["bias"], after.params["decoder"]["d"]["bias"]
    )
    assert int(after.step) == 0  # the task advances it
    # A masked weight is exactly 0.0, not -0.0, after one step.
    dead = ~np.asarray(masked(params)["decoder"]["d"]["kernel"])
    weights = np.asarray(after.params["decoder"]["d"]["kernel"])[dead]
    assert weights.tobytes() == np.zeros(dead.sum(), np.float32).tobytes()


def test_apply_update_keeps_structure_and_types():
    optimizer = optimizer_of("adam", 0.1)
    training = state.create(random_tree(0), {}, optimizer)
    assert training.step.dtype == jnp.int32
    masks = masks_lib.dense(training.params)
    after = jax.eval_shape(step_of(optimizer), training, random_tree(1), masks)
    assert jax.tree.structure(after) == jax.tree.structure(training)
    for a, b in zip(jax.tree.leaves(after), jax.tree.leaves(training)):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)


def test_cosine_schedule_uses_rate_of_the_state_step():
    config = defaults.get_config().optimizer
    config.name, config.schedule, config.learning_rate = "sgd", "cosine", RATE
    config.b1 = 0.0
    optimizer, params = optimizer_lib.make(config, 8), random_tree(0)
    grads, masks = random_tree(1), masks_lib.dense(params)
    begun = state.create(params, {}, optimizer)
    for step in (0, 3, 8, 11):  # a ticket that was rewound begins at step k
        at_step = begun._replace(step=jnp.int32(step))
        after = state.apply_update(at_step, grads, masks, optimizer)
        rate = RATE * (1 + np.cos(np.pi * min(step, 8) / 8)) / 2
        jax.tree.map(
            lambda w, g, found: np.testing.assert_allclose(
                found, w - rate * g, atol=1e-7
            ),
            params,
            grads,
            after.params,
        )


@pytest.mark.parametrize("name", NAMES)
def test_scale_l1_adds_sign_to_batch_norm_scale_gradients_only(name):
    """As if the loss had it: the same steps as with the sign added by hand."""
    config = defaults.get_config().optimizer
    config.name, config.learning_rate, config.scale_l1 = name, RATE, 0.3
    with_term = optimizer_lib.make(config, 0)
    config.scale_l1 = 0.0
    without = optimizer_lib.make(config, 0)
    norm = {"scale": jnp.float32([-2.0, 0.0, 0.5]), "bias": jnp.float32([1.0, 1, 1])}
    params = {"encoder": {"d": random_tree(0)["encoder"]["d"], "norm_d": norm}}
    grads = jax.tree.map(lambda x: 0.1 + jnp.cos(x), params)
    masks = masks_lib.dense(params)
    masks["encoder"]["norm_d"]["scale"] = jnp.array([True, False, True])
    params = masks_lib.apply(masks, params)
    by_hand = jax.tree.map(lambda g: g, grads)
    sign = 0.3 * jnp.sign(params["encoder"]["norm_d"]["scale"])
    by_hand["encoder"]["norm_d"]["scale"] += sign
    found = step_of(with_term)(state.create(params, {}, with_term), grads, masks)
    expected = step_of(without)(state.create(params, {}, without), by_hand, masks)
    for a, b in zip(
        jax.tree.leaves(found.params), jax.tree.leaves(expected.params), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    assert found.params["encoder"]["norm_d"]["scale"][1] == 0
