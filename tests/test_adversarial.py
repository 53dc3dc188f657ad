"""The adversarial task: updates, metrics, evaluation, sampling and averaging."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gen_tickets import losses, trees
from gen_tickets.config import defaults
from gen_tickets.errors import UserError
from gen_tickets.tasks import adversarial, average
from gen_tickets.tasks.task import Setting
from tests import gans

pytestmark = pytest.mark.usefixtures("library_convolutions")

KEY = jax.random.key(0)
BATCH = 6


@functools.cache
def trainer(family="dcgan", **changes):
    """(task, compiled init, compiled step)."""
    changes = {name.replace("__", "."): value for name, value in changes.items()}
    task = gans.make_task(family, **changes)
    return task, jax.jit(task.init), jax.jit(task.step)


def everything(params):
    return jax.tree.map(lambda x: np.ones(x.shape, bool), params)


def assert_same(*trees_to_compare):
    jax.tree.map(np.testing.assert_array_equal, *trees_to_compare)


def differs(a, b):
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return any(not np.array_equal(x, y) for x, y in pairs)


def test_init_gan_has_generator_and_discriminator():
    task, init, _ = trainer()
    state = init(KEY)
    assert set(state.params) == set(state.stats) == set(task.components)
    assert set(state.opt_state) == set(task.components)
    assert task.reconstruct is None


@pytest.mark.parametrize("family", ["dcgan", "sngan"])
def test_update_of_one_network_leaves_the_other_unchanged(family):
    game = adversarial._Game(gans.make_config(family), Setting(gans.IMAGE_SHAPE, 10))
    state = jax.jit(game.init)(KEY)
    masks, images = everything(state.params), gans.make_images(BATCH)
    after, _ = jax.jit(game._discriminator_step)(state, masks, images, KEY)
    for part in ("params", "stats", "opt_state"):
        before, now = getattr(state, part), getattr(after, part)
        assert_same(before["generator"], now["generator"])
        assert differs(before["discriminator"], now["discriminator"])
    latents = jax.random.normal(KEY, (BATCH, 3))
    after, _ = jax.jit(game._generator_step)(state, masks, latents)
    for part in ("params", "stats", "opt_state"):
        before, now = getattr(state, part), getattr(after, part)
        assert_same(before["discriminator"], now["discriminator"])
        assert differs(before["generator"], now["generator"])


@pytest.mark.parametrize(
    "family, kept", [("dcgan", "batch_stats"), ("sngan", "spectral")]
)
def test_judge_mutable_collections_updates_only_those(family, kept):
    game = adversarial._Game(gans.make_config(family), Setting(gans.IMAGE_SHAPE, 10))
    state, images = jax.jit(game.init)(KEY), gans.make_images(BATCH) / 127.5 - 1
    player = state.params["discriminator"], state.stats["discriminator"]
    judge = jax.jit(game._judge, static_argnums=3)
    assert_same(judge(*player, images, ())[1], player[1])
    assert differs(judge(*player, images, (kept,))[1], player[1])


def test_generator_step_flops_exclude_discriminator_gradients():
    game = adversarial._Game(gans.make_config(), Setting(gans.IMAGE_SHAPE, 10))
    state = jax.eval_shape(game.init, KEY)
    masks, latents = everything(state.params), jnp.zeros((BATCH, 3))

    def both(state):
        """What a step through both networks' gradients would cost."""

        def objective(params):
            def judge(x):
                return game._judge(
                    params["discriminator"], state.stats["discriminator"], x
                )[0]

            return game._generator_objective(
                params["generator"], state.stats["generator"], judge, latents
            )[0]

        return jax.grad(objective)(state.params)

    def flops(function):
        return jax.jit(function).lower(state).compile().cost_analysis()["flops"]

    ours = flops(lambda state: game._generator_step(state, masks, latents))
    # Kernels of the discriminator, times the pixels they are applied to.
    kernels = 4 * 4 * 2 * 4 * 16 + 4 * 4 * 4 * 6 * 4 + 2 * 2 * 6
    optimizer = 40 * trees.num_weights(state.params["generator"])
    assert ours - optimizer < flops(both) - 0.9 * 2 * BATCH * kernels


def test_discriminator_step_batch_norm_sees_real_and_fake_separately():
    task, init, step = trainer()
    state, images = init(KEY), gans.make_images(BATCH)
    after, _ = step(state, everything(state.params), images, KEY)
    game = adversarial._Game(gans.make_config(), Setting(gans.IMAGE_SHAPE, 10))
    latent_key = jax.random.split(jax.random.fold_in(KEY, 0))[0]
    latents = jax.random.normal(latent_key, (BATCH, 3))
    fakes, _ = game._generate(
        state.params["generator"], state.stats["generator"], latents, True
    )
    kernel = np.asarray(state.params["discriminator"]["conv_0"]["kernel"], np.float64)
    mean, var = np.zeros(4), np.ones(4)
    for batch in (images / 127.5 - 1, np.asarray(fakes, np.float64)):
        padded = np.pad(batch, ((0, 0), (1, 1), (1, 1), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (4, 4), (1, 2))
        maps = np.einsum("nhwcij,ijco->nhwo", windows[:, ::2, ::2], kernel)
        mean += 0.1 * (maps.mean((0, 1, 2)) - mean)
        var += 0.1 * (maps.reshape(-1, 4).var(0, ddof=1) - var)
    found = after.stats["discriminator"]["batch_stats"]["norm_0"]
    np.testing.assert_allclose(found["mean"], mean, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found["var"], var, rtol=1e-4)


def test_discriminator_steps_use_disjoint_image_batches():
    task, init, step = trainer(task__discriminator_steps=3)
    images, state = gans.make_images(3 * BATCH), init(KEY)
    masks = everything(state.params)
    game = adversarial._Game(
        gans.make_config(**{"task.discriminator_steps": 3}),
        Setting(gans.IMAGE_SHAPE, 10),
    )
    one = jax.jit(game._discriminator_step)
    expected, found_losses = state, []
    for i in range(3):
        part = images[i * BATCH : (i + 1) * BATCH]
        expected, metrics = one(expected, masks, part, jax.random.fold_in(KEY, i))
        found_losses.append(float(metrics["discriminator_loss"]))
    found, metrics = step(state, masks, images, KEY)
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5),
        found.params["discriminator"],
        expected.params["discriminator"],
    )
    mean_loss = metrics["discriminator_loss"]
    np.testing.assert_allclose(mean_loss, np.mean(found_losses), rtol=1e-4)
    assert found.step == 1


def test_step_wgan_penalty_metrics_sum_to_loss():
    _, init, step = trainer("wgan_penalty")
    state = init(KEY)
    _, metrics = step(state, everything(state.params), gans.make_images(BATCH), KEY)
    metrics = {name: float(value) for name, value in metrics.items()}
    assert set(metrics) == {
        "loss",
        "discriminator_loss",
        "generator_loss",
        "discriminator_accuracy_real",
        "discriminator_accuracy_fake",
        "gradient_penalty",
    }
    total = metrics["discriminator_loss"] + metrics["generator_loss"]
    total += 10.0 * metrics["gradient_penalty"]
    np.testing.assert_allclose(metrics["loss"], total, rtol=1e-5)


def test_evaluate_same_key_returns_equal_values_per_image():
    task, init, _ = trainer()
    state, images = init(KEY), gans.make_images(BATCH)
    evaluate = jax.jit(task.evaluate)
    named = evaluate(state, images, KEY)
    assert {values.shape for values in named.values()} == {(BATCH,)}
    assert_same(named, evaluate(state, images, KEY))
    assert differs(named, evaluate(state, images, jax.random.key(1)))
    np.testing.assert_allclose(
        named["loss"], named["discriminator_loss"] + named["generator_loss"], rtol=1e-6
    )


def test_evaluate_collapsed_generator_has_zero_sample_spread():
    task, init, _ = trainer()
    state, images = init(KEY), gans.make_images(32)
    evaluate = jax.jit(task.evaluate)
    assert evaluate(state, images, KEY)["sample_spread"][0] > 1e-3
    generator = state.params["generator"]
    nothing = jax.tree.map(jnp.zeros_like, generator["base"])
    generator = {**generator, "base": nothing}
    collapsed = state._replace(params={**state.params, "generator": generator})
    assert evaluate(collapsed, images, KEY)["sample_spread"][0] < 1e-6


def test_sample_batch_norm_mode_selects_running_or_batch_statistics():
    latents = jax.random.normal(KEY, (5, 3))
    alone = {}
    for mode in ("running", "batch"):
        task, init, _ = trainer(eval__batch_norm=mode)
        sample, state = jax.jit(task.sample), init(KEY)
        samples = np.asarray(sample(state, latents))
        assert samples.dtype == np.uint8 and samples.shape == (5, *gans.IMAGE_SHAPE)
        alone[mode] = np.array_equal(sample(state, latents[:3]), samples[:3])
    assert alone == {"running": True, "batch": False}


def test_average_after_steps_equals_bias_corrected_mean_of_weights():
    decay = 0.8
    task, init, step = trainer(eval__average_decay=decay)
    state = gans.pruned(init(KEY), masks := gans.draw_masks(init(KEY).params))
    seen = []
    for i in range(4):
        state, _ = step(state, masks, gans.make_images(BATCH, i), KEY)
        seen.append(state.params["generator"])
    shares = (1 - decay) * decay ** np.arange(3, -1, -1)
    shares /= shares.sum()
    expected = jax.tree.map(
        lambda *x: sum(s * np.asarray(y, np.float64) for s, y in zip(shares, x)), *seen
    )
    averaged = average.weights(
        state.opt_state["generator_average"], state.params["generator"], decay
    )
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6),
        averaged,
        expected,
    )
    swapped = state._replace(params={**state.params, "generator": averaged})
    latents = jax.random.normal(KEY, (3, 3))
    last = trainer()[0]
    found = jax.jit(task.sample)(state, latents).astype(int)
    expected = jax.jit(last.sample)(swapped, latents).astype(int)
    assert np.abs(found - expected).max() <= 1  # rounding
    assert np.abs(found - jax.jit(last.sample)(state, latents)).max() > 1


def test_step_weight_clip_leaves_batch_norm_unclipped():
    _, init, step = trainer("wgan")
    state = init(KEY)
    after, _ = step(state, everything(state.params), gans.make_images(2 * BATCH), KEY)
    for name, leaf in trees.named_leaves(after.params["discriminator"]).items():
        largest = np.abs(leaf).max()
        if "norm" in name:
            assert name.endswith("bias") or largest > 0.05
        else:
            assert largest <= np.float32(0.05)
    generator = jax.tree.leaves(after.params["generator"])
    assert max(np.abs(leaf).max() for leaf in generator) > 0.05


def test_loss_gradient_of_each_network_is_of_its_own_objective():
    task, init, _ = trainer()
    game = adversarial._Game(gans.make_config(), Setting(gans.IMAGE_SHAPE, 10))
    state, images = init(KEY), gans.make_images(BATCH)
    found = jax.jit(jax.grad(task.loss))(state.params, state.stats, images, KEY)
    latents = jax.random.normal(jax.random.split(KEY)[0], (BATCH, 3))

    @jax.jit
    def expected(params):
        fakes, _ = game._generate(
            params["generator"], state.stats["generator"], latents, True
        )

        def judge(weights, x):
            return game._judge(weights, state.stats["discriminator"], x)[0]

        def discriminator_loss(weights):
            real = judge(weights, images / 127.5 - 1)
            fake = judge(weights, fakes)
            return (jax.nn.softplus(-real) + jax.nn.softplus(fake)).mean()

        def generator_loss(weights):
            made, _ = game._generate(weights, state.stats["generator"], latents, True)
            return jax.nn.softplus(-judge(params["discriminator"], made)).mean()

        return {
            "generator": jax.grad(generator_loss)(params["generator"]),
            "discriminator": jax.grad(discriminator_loss)(params["discriminator"]),
        }

    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-5),
        found,
        expected(state.params),
    )


@pytest.mark.parametrize("family", ["dcgan", "sngan", "resnet_dcgan"])
def test_penalty_gradient_in_each_model_equals_finite_difference(family):
    game = adversarial._Game(gans.make_config(family), Setting(gans.IMAGE_SHAPE, 10))
    state = jax.jit(game.init)(KEY)
    images, fakes = np.random.default_rng(0).uniform(-1, 1, (2, 4, *gans.IMAGE_SHAPE))
    images, fakes = images.astype(np.float32), fakes.astype(np.float32)

    def penalty(params):
        def critic(x):
            return game._judge(params, state.stats["discriminator"], x)[0]

        return losses.gradient_penalty(critic, images, fakes, KEY).mean()

    weights = state.params["discriminator"]
    differentiate = jax.jit(jax.value_and_grad(penalty))
    slopes = differentiate(weights)[1]
    length = np.sqrt(sum((x**2).sum() for x in jax.tree.leaves(slopes)))
    sides = [
        differentiate(jax.tree.map(lambda x, d: x + e * d / length, weights, slopes))[0]
        for e in (2e-4, -2e-4)  # small: at a kink of a ReLU the penalty jumps
    ]
    np.testing.assert_allclose((sides[0] - sides[1]) / 4e-4, length, rtol=0.03)


@pytest.mark.parametrize(
    "changes, field",
    [
        ({"task.loss": "wasserstein"}, "task.weight_clip"),
        ({"task.weight_clip": 0.1, "task.gradient_penalty": 1.0}, "gradient_penalty"),
        ({"task.name": "vae", "task.loss": "hinge"}, "task.loss"),
        ({"task.name": "vae", "eval.average_decay": 0.9}, "eval.average_decay"),
        ({"task.name": "gan", "task.beta": 2.0}, "task.beta"),
        ({"task.discriminator_steps": 0}, "task.discriminator_steps"),
        ({"eval.average_decay": 1.0}, "eval.average_decay"),
        ({"model.widths": (4, 6, 8, 9)}, "data.image_size"),
    ],
)
def test_make_task_contradicting_options_raises_user_error_with_field(changes, field):
    with pytest.raises(UserError, match=field):
        gans.make_task(**changes)


def test_make_task_sngan_wasserstein_without_clipping_is_allowed():
    gans.make_task("sngan", **{"task.loss": "wasserstein"})


def test_validate_autoencoder_with_default_gan_options_passes():
    config = defaults.get_config()
    config.train.steps = 20
    defaults.validate(config)
