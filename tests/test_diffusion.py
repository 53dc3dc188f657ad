"""Schedules, targets and samplers against closed forms; a denoiser that learns."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gen_tickets import models, tasks, trees
from gen_tickets.config import defaults
from gen_tickets.errors import UserError
from gen_tickets.kernels.lowering import LIBRARY
from gen_tickets.pruning import masks as masks_lib
from gen_tickets.tasks import noise_schedules, timestep_sampling
from tests import networks
from tests.networks import AffineDenoiser

RNG = np.random.default_rng(0)
SHAPE = (4, 4, 1)
OPTIONS = {
    **networks.TINY_DDPM,
    "model.dropout": 0.1,
    "diffusion.steps": 20,
    "diffusion.timesteps": "importance",
    "diffusion.min_snr": 5.0,
    "diffusion.sampler": "ancestral",
    "diffusion.sampling_steps": 5,
    "eval.average_decay": 0.9,
}


configure = functools.partial(networks.configure, OPTIONS)


def betas_of(name, num_steps):
    """Noise variances by their papers' formulas, one timestep after the other."""
    if name == "linear":
        step = (0.02 - 1e-4) / (num_steps - 1)
        betas = [1000 / num_steps * (1e-4 + t * step) for t in range(num_steps)]
        return np.minimum(betas, 0.999)

    def power(t):
        return np.cos((t / num_steps + 0.008) / 1.008 * np.pi / 2) ** 2

    return [min(1 - power(t + 1) / power(t), 0.999) for t in range(num_steps)]


@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_make_schedule_equals_product_of_one_minus_beta(name):
    diffusion = noise_schedules.make(name, 1000)
    power = np.array([1 - beta for beta in betas_of(name, 1000)]).cumprod()
    np.testing.assert_allclose(diffusion.signal**2, power, rtol=1e-5)
    np.testing.assert_allclose(diffusion.noise**2, 1 - power, rtol=1e-5)
    if name == "linear":
        assert diffusion.signal[-1] ** 2 == pytest.approx(4.0358e-5, rel=1e-3)


@pytest.mark.parametrize("prediction", ["epsilon", "v"])
def test_image_from_target_equals_image(prediction):
    diffusion = noise_schedules.make("cosine", 50)
    images, epsilon = RNG.normal(size=(2, 40, *SHAPE)).astype(np.float32)
    steps = jnp.arange(40)
    noisy = noise_schedules.diffuse(diffusion, images, epsilon, steps)
    target = noise_schedules.target(prediction, diffusion, images, epsilon, steps)
    found = noise_schedules.image_of(prediction, diffusion, noisy, target, steps)
    np.testing.assert_allclose(found, images, atol=1e-4)


def test_min_snr_weights_of_both_predictions_agree_on_the_image():
    """Of one wrong image, whatever the network calls it."""
    diffusion, gamma = noise_schedules.make("cosine", 50), 5.0
    steps = np.arange(45)
    images, wrong, epsilon = RNG.normal(size=(3, 45, *SHAPE)).astype(np.float32)
    noisy = noise_schedules.diffuse(diffusion, images, epsilon, steps)
    signal, noise = (x[:45, None, None, None] for x in diffusion)
    wrong_epsilon = (noisy - signal * wrong) / noise
    snr = (diffusion.signal / diffusion.noise)[:45] ** 2
    expected = np.minimum(snr, gamma) * np.square(wrong - images).mean((1, 2, 3))
    for prediction in ("epsilon", "v"):
        target = functools.partial(noise_schedules.target, prediction, diffusion)
        right = target(images, epsilon, steps)
        error = np.square(target(wrong, wrong_epsilon, steps) - right).mean((1, 2, 3))
        weights = noise_schedules.min_snr_weights(prediction, diffusion, gamma)
        np.testing.assert_allclose(weights[:45] * error, expected, rtol=1e-3)


@pytest.mark.parametrize("step", [1, 7, 19])
def test_previous_with_noise_equals_posterior_of_ho(step):
    """Ho et al. 2020, equations 6 and 7."""
    betas = np.array(betas_of("linear", 20))
    power = np.cumprod(1 - betas)
    noisy, image, epsilon = RNG.normal(size=(3, 2, *SHAPE))
    of_image = np.sqrt(power[step - 1]) * betas[step] / (1 - power[step])
    of_noisy = np.sqrt(1 - betas[step]) * (1 - power[step - 1]) / (1 - power[step])
    variance = (1 - power[step - 1]) / (1 - power[step]) * betas[step]
    expected = of_image * image + of_noisy * noisy + np.sqrt(variance) * epsilon
    diffusion = noise_schedules.make("linear", 20)
    found = noise_schedules.previous(
        diffusion, noisy, image, jnp.int32(step), jnp.int32(step - 1), epsilon
    )
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_previous_without_noise_keeps_predicted_noise():
    diffusion = noise_schedules.make("linear", 20)
    image, epsilon = RNG.normal(size=(2, 3, *SHAPE)).astype(np.float32)
    at = functools.partial(noise_schedules.diffuse, diffusion, image, epsilon)
    for step, next_step in ((19, 12), (12, 0)):
        found = noise_schedules.previous(
            diffusion, at(np.full(3, step)), image, step, jnp.int32(next_step), None
        )
        np.testing.assert_allclose(found, at(np.full(3, next_step)), atol=1e-4)
    for fresh in (None, epsilon):
        last = noise_schedules.previous(
            diffusion, at(np.zeros(3, int)), image, 0, jnp.int32(-1), fresh
        )
        np.testing.assert_allclose(last, image, atol=1e-5)


def test_sampling_steps_are_evenly_spaced_from_last_to_first():
    np.testing.assert_array_equal(
        noise_schedules.sampling_steps(1000, 4), [999, 666, 333, 0]
    )
    np.testing.assert_array_equal(
        noise_schedules.sampling_steps(20, 20), range(19, -1, -1)
    )


def test_note_keeps_the_last_ten_losses_of_each_timestep():
    """Also where a batch has more than ten of one timestep."""
    expected = [[] for _ in range(4)]
    history = timestep_sampling.begin(4)
    for size in (30, 5, 17, 40):
        steps, losses = RNG.choice(3, size), RNG.random(size).astype(np.float32)
        for step, loss in zip(steps, losses):
            expected[step].append(loss)
        history = jax.jit(timestep_sampling.note)(history, steps, losses)
    for step in range(3):
        assert sorted(history.losses[step]) == sorted(expected[step][-10:])
    np.testing.assert_array_equal(history.num_seen, [len(x) for x in expected])
    np.testing.assert_array_equal(timestep_sampling.probabilities(history), 0.25)


def test_draw_timesteps_by_rms_loss_with_unbiased_factors():
    root = np.array([1.0, 2.0, 5.0])
    history = timestep_sampling.History(
        jnp.tile(root[:, None], (1, 10)), jnp.full(3, 10, jnp.int32)
    )
    share = timestep_sampling.probabilities(history)
    np.testing.assert_allclose(share, 0.999 * root / 8 + 0.001 / 3, rtol=1e-5)
    steps, factors = timestep_sampling.draw(history, jax.random.key(0), 4000)
    np.testing.assert_allclose(np.bincount(steps) / 4000, share, atol=0.03)
    np.testing.assert_allclose(factors, 1 / (3 * share[steps]), rtol=1e-5)


@pytest.fixture(scope="module")
def trained():
    """(task, state after 2 masked steps, its masks)."""
    config = configure()
    defaults.validate(config)
    task = tasks.build(config, SHAPE, 10, lowering=LIBRARY)
    state = jax.jit(task.init)(jax.random.key(0))
    masks = masks_lib.dense(state.params)
    kernel = masks["denoiser"]["down_0_block_0"]["conv_0"]["kernel"]
    masks["denoiser"]["down_0_block_0"]["conv_0"]["kernel"] = kernel.at[::2].set(False)
    state = state._replace(params=masks_lib.rewind(masks, state.params))
    images = RNG.integers(0, 256, (8, *SHAPE), np.uint8)
    step = jax.jit(task.step)
    for i in range(2):
        state, metrics = step(state, masks, images, jax.random.key(i))
        assert np.isfinite(metrics["loss"])
    return task, state, masks


def test_step_keeps_pruned_weights_moments_and_average_at_zero(trained):
    _, state, masks = trained
    assert int(state.step) == 2
    assert int(state.opt_state["denoiser_timesteps"].num_seen.sum()) == 16
    kept = trees.named_leaves(masks["denoiser"])
    adam = state.opt_state["denoiser"]
    [moments] = [part for part in adam if hasattr(part, "mu")]
    average = state.opt_state["denoiser_average"]["total"]
    for tree in (state.params["denoiser"], moments.mu, moments.nu, average):
        for name, x in trees.named_leaves(tree).items():
            assert (np.asarray(x)[~np.asarray(kept[name])] == 0).all(), name


@pytest.fixture(scope="module")
def affine():
    """(task, its first state) with a denoiser that compiles at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "build_denoiser", lambda *_: AffineDenoiser())
        task = tasks.build(configure(), SHAPE, 10, lowering=LIBRARY)
    return task, jax.jit(task.init)(jax.random.key(0))


def test_evaluate_zero_prediction_equals_mean_square_of_noise(affine):
    task, state = affine
    state = jax.tree.map(jnp.zeros_like, state)
    images = np.full((4096, *SHAPE), 255, np.uint8)
    evaluate = jax.jit(task.evaluate)
    found = evaluate(state, images, jax.random.key(3))
    for quarter in range(1, 5):
        errors = np.asarray(found[f"error_quarter_{quarter}"])
        assert errors.mean() == pytest.approx(1, abs=0.02)
        assert errors.shape == (4096,)
    diffusion = noise_schedules.make("linear", 20)
    snr = (diffusion.signal / diffusion.noise) ** 2
    expected = np.mean(np.minimum(snr, 5.0) / snr)
    assert found["loss"].mean() == pytest.approx(expected, rel=0.05)
    again = evaluate(state, images, jax.random.key(3))
    np.testing.assert_array_equal(found["loss"], again["loss"])


def test_sample_depends_on_its_latent_only(affine):
    task, state = affine
    assert task.latent_size == 16
    latents = jax.random.normal(jax.random.key(5), (3, 16))
    sample = jax.jit(task.sample)
    found = np.asarray(sample(state, latents)).astype(int)
    assert found.shape == (3, *SHAPE)
    backwards = np.asarray(sample(state, latents[::-1]))[::-1]
    assert np.abs(found - backwards).max() <= 1
    assert np.abs(found[0] - found[1]).max() > 10


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"model__name": "conv"}, "model.name='conv'.*trains a denoiser.*unet"),
        ({"task__name": "ae"}, "model.name='unet'.*trains a pair"),
        ({"model__widths": (3,)}, "multiple of the groups"),
        ({"prune__method": "synflow"}, "prune.method='synflow'"),
    ],
)
def test_validate_options_unfit_for_denoiser_raise_user_error(changes, message):
    with pytest.raises(UserError, match=message):
        defaults.validate(configure(**changes))


def test_validate_option_of_the_unet_is_refused_for_others():
    config = defaults.get_config()
    config.train.steps, config.model.blocks = 40, 3
    with pytest.raises(UserError, match="only for model.name=unet, not linear"):
        defaults.validate(config)
