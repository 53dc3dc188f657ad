"""Autoencoder tasks: loss terms against NumPy, steps against gradients, sampling."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gen_tickets import models, tasks, trees
from gen_tickets.config import defaults
from gen_tickets.data import pixels
from gen_tickets.kernels import convolutions
from gen_tickets.kernels.lowering import LIBRARY
from gen_tickets.pruning import masks as masks_lib

SHAPE, LATENT, BATCH = (8, 8, 1), 3, 6
IMAGES = np.random.default_rng(0).integers(0, 256, (BATCH, *SHAPE), np.uint8)
KEY = jax.random.key(5)


def configure(task, beta=1.0, model="convstack", widths=(2,)):
    config = defaults.get_config()
    config.model.name, config.model.widths = model, widths
    config.model.latent_size, config.task.name, config.task.beta = LATENT, task, beta
    # With these a step is weights - gradient.
    config.optimizer.name, config.optimizer.learning_rate = "sgd", 1.0
    return config


def build(task, beta=1.0, **more):
    config = configure(task, beta, **more)
    built = tasks.build(config, SHAPE, 10)
    state = jax.jit(built.init)(jax.random.key(1))
    # Statistics that differ from those of any batch, and leave the ReLUs alive.
    stats = jax.tree.map(lambda x: np.asarray(0.6 * np.asarray(x) - 0.2), state.stats)
    return config, built, state._replace(stats=stats)


def numpy_terms(config, state, images, train):
    """Loss terms from the outputs of the two networks, in NumPy."""
    variational = config.task.name == "vae"
    modules = models.build(config, SHAPE, LATENT * (2 if variational else 1))

    def run(module, component, x):
        variables = {"params": state.params[component], **state.stats[component]}
        apply = jax.jit(lambda v, x: module.apply(v, x, train, mutable=["batch_stats"]))
        return apply(variables, x)[0]

    x = np.float64(images) / 127.5 - 1
    codes = np.asarray(run(modules[0], "encoder", jnp.float32(x)))
    kl = np.zeros(len(x))
    if variational:
        mean, log_variance = codes[:, :LATENT], codes[:, LATENT:]
        variance = np.exp(np.float64(log_variance))
        kl = 0.5 * (mean**2 + variance - 1 - log_variance).sum(1)
        noise = np.asarray(jax.random.normal(KEY, mean.shape))
        codes = mean + np.sqrt(variance) * noise
    outputs = np.asarray(run(modules[1], "decoder", jnp.float32(codes)))
    error = ((x - outputs) ** 2).reshape(len(x), -1).sum(1)
    if not variational:
        return {"loss": error / 64, "reconstruction": error / 64}
    return {"loss": error + config.task.beta * kl, "reconstruction": error, "kl": kl}


@pytest.mark.parametrize(
    "task, beta, model",
    [("ae", 1.0, "convstack"), ("vae", 1.0, "linear"), ("vae", 4.0, "linear")],
)
def test_loss_terms_in_training_and_evaluation_equal_numpy(task, beta, model):
    config, built, state = build(task, beta, model=model)
    found = jax.jit(built.evaluate)(state, IMAGES, KEY)
    expected = numpy_terms(config, state, IMAGES, train=False)
    assert set(found) == set(expected)
    for name, values in expected.items():
        assert found[name].shape == (BATCH,)
        np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-5)

    loss = jax.jit(built.loss)(state.params, state.stats, IMAGES, KEY)
    trained = numpy_terms(config, state, IMAGES, train=True)
    np.testing.assert_allclose(loss, trained["loss"].mean(), rtol=1e-4)
    same_in_both_modes = np.isclose(loss, expected["loss"].mean(), rtol=1e-3)
    assert same_in_both_modes == (model == "linear")

    masks = masks_lib.dense(state.params)
    after, metrics = jax.jit(built.step)(state, masks, IMAGES, KEY)
    for name, values in trained.items():
        np.testing.assert_allclose(metrics[name], values.mean(), rtol=1e-4)
    grads = jax.jit(jax.grad(built.loss))(state.params, state.stats, IMAGES, KEY)
    params, after, grads = jax.device_get((state.params, after.params, grads))
    moved = jax.tree.map(lambda a, b: a - b, params, after)
    norm = max(np.abs(g).max() for g in jax.tree.leaves(grads))
    for name, grad in trees.named_leaves(grads).items():
        found = trees.named_leaves(moved)[name]
        np.testing.assert_allclose(found, grad, rtol=1e-4, atol=1e-5 * norm)


def test_step_advances_step_count_and_batch_statistics():
    _, built, state = build("ae")
    masks = masks_lib.dense(state.params)
    after, _ = jax.jit(built.step)(state, masks, IMAGES, KEY)
    assert int(after.step) == int(state.step) + 1
    for name, before in trees.named_leaves(state.stats).items():
        assert not np.array_equal(before, trees.named_leaves(after.stats)[name]), name
    # The first batch norm, by hand: 0.9 of the old mean and 0.1 of the batch's.
    conv = state.params["encoder"]["conv_0"]["kernel"]
    outputs = convolutions.conv(
        pixels.to_float(IMAGES),
        conv,
        lowering=LIBRARY,
        strides=(2, 2),
        padding=((1, 1), (1, 1)),
    )
    batch = outputs.mean((0, 1, 2))
    before = state.stats["encoder"]["batch_stats"]["norm_0"]["mean"]
    expected = 0.9 * before + 0.1 * batch
    found = after.stats["encoder"]["batch_stats"]["norm_0"]["mean"]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_evaluate_image_alone_equals_image_in_a_batch():
    _, built, state = build("ae")
    together = jax.jit(built.evaluate)(state, IMAGES, KEY)["loss"]
    alone = jax.jit(built.evaluate)(state, IMAGES[2:3], KEY)["loss"]
    np.testing.assert_allclose(together[2], alone[0], rtol=1e-5)
    moved = state._replace(stats=jax.tree.map(lambda x: 3 * x, state.stats))
    other = jax.jit(built.evaluate)(moved, IMAGES, KEY)["loss"]
    assert not np.allclose(together, other, rtol=1e-3)


def test_sample_and_reconstruct_return_rounded_network_outputs():
    config, built, state = build("vae", model="linear")
    latents = np.float32(np.random.default_rng(1).normal(size=(5, LATENT)))
    samples = jax.jit(built.sample)(state, latents)
    assert samples.shape == (5, *SHAPE) and samples.dtype == jnp.uint8
    contract, expand = models.build(config, SHAPE, 2 * LATENT)
    encoder, decoder = (
        {"params": state.params[name], **state.stats[name]} for name in built.components
    )
    out = np.asarray(jax.jit(expand.apply, static_argnums=2)(decoder, latents, False))
    close = np.abs(np.asarray(samples, int) - np.floor((out + 1) * 127.5 + 0.5))
    assert close.max() <= 1 and len(np.unique(samples)) > 10
    codes = jax.jit(contract.apply, static_argnums=2)(
        encoder, pixels.to_float(IMAGES), False
    )
    mean = codes[:, :LATENT]
    np.testing.assert_array_equal(
        jax.jit(built.reconstruct)(state, IMAGES),
        jax.jit(built.sample)(state, mean),
    )


@pytest.mark.parametrize("task", ["ae", "vae"])
def test_step_linear_model_on_one_batch_reduces_loss(task):
    config = configure(task, model="linear", widths=(16,))
    config.optimizer.name, config.optimizer.learning_rate = "adam", 1e-2
    built = tasks.build(config, SHAPE, 10)
    state = jax.jit(built.init)(jax.random.key(1))
    assert state.stats == {"encoder": {}, "decoder": {}}
    assert built.components == ("encoder", "decoder") and len(state.params) == 2
    masks, step = masks_lib.dense(state.params), jax.jit(built.step)
    losses = []
    for _ in range(100):
        state, metrics = step(state, masks, IMAGES, KEY)
        losses.append(float(metrics["loss"]))
    assert losses[-1] < 0.5 * losses[0]


def test_init_same_key_is_equal_and_other_key_differs():
    _, built, _ = build("ae")
    init = jax.jit(built.init)
    first, again, other = (init(jax.random.key(i)).params for i in (1, 1, 2))
    for a, b, c in zip(*map(jax.tree.leaves, (first, again, other))):
        np.testing.assert_array_equal(a, b)
        assert a.ndim == 1 or not np.array_equal(a, c)
