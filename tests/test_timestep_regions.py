"""Denoisers of regions of timesteps: each sees its own, and they take turns."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gen_tickets import models, tasks, trees
from gen_tickets.errors import UserError
from gen_tickets.kernels.lowering import LIBRARY
from gen_tickets.models import groups as groups_lib
from gen_tickets.pruning import masks as masks_lib
from gen_tickets.tasks import noise_schedules, timestep_regions
from tests import networks
from tests.networks import AffineDenoiser

RNG = np.random.default_rng(0)
SHAPE = (4, 4, 1)
NAMES = ("denoiser_1", "denoiser_2")
OPTIONS = {
    **networks.TINY_DDPM,
    "diffusion.steps": 20,
    "diffusion.regions": 2,
    "diffusion.sampling_steps": 5,
    "diffusion.timesteps": "importance",
    "eval.average_decay": 0.5,
    "data.batch_size": 8,
}


configure = functools.partial(networks.configure, OPTIONS)


@pytest.fixture(scope="module")
def trained():
    """(task, state before, state after a step with one weight of each pruned)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "build_denoiser", lambda *_: AffineDenoiser())
        task = tasks.build(configure(), SHAPE, 10, lowering=LIBRARY)
    state = jax.jit(task.init)(jax.random.key(0))
    masks = {name: {"kernel": jnp.array([True, name == NAMES[1]])} for name in NAMES}
    state = state._replace(params=masks_lib.rewind(masks, state.params))
    images = RNG.integers(0, 256, (8, *SHAPE), np.uint8)
    after, metrics = jax.jit(task.step)(state, masks, images, jax.random.key(1))
    assert np.isfinite(metrics["loss"])
    return task, state, after


def test_make_regions_cover_all_timesteps_once():
    for count in (1, 2, 4):
        regions = timestep_regions.make(1001, count)
        steps = [t for x in regions for t in range(x.start, x.start + x.length)]
        assert steps == list(range(1001))
    assert regions[3].name == "denoiser_4"
    assert timestep_regions.make(20, 1) == (timestep_regions.Region("denoiser", 0, 20),)


def test_draw_is_within_the_region_and_reaches_its_ends():
    region = timestep_regions.make(20, 4)[2]
    drawn = np.asarray(region.draw(jax.random.key(0), 200))
    assert set(drawn) == set(range(10, 15))


def test_step_trains_each_denoiser_on_timesteps_of_its_region(trained):
    task, state, after = trained
    assert task.components == NAMES and set(after.params) == set(NAMES)
    for name in NAMES:
        num_seen = after.opt_state[f"{name}_timesteps"].num_seen
        assert num_seen.shape == (10,) and num_seen.sum() == 4  # half of the batch
        assert after.params[name]["kernel"][0] != state.params[name]["kernel"][0]
    [moments] = [x for x in after.opt_state[NAMES[0]] if hasattr(x, "mu")]
    average = after.opt_state["denoiser_1_average"]["total"]
    for tree in (after.params[NAMES[0]], moments.mu, moments.nu, average):
        assert tree["kernel"][1] == 0
    assert after.params[NAMES[1]]["kernel"][1] != 0
    for name, x in trees.named_leaves(task.averaged(after)).items():
        np.testing.assert_allclose(x, trees.named_leaves(after.params)[name])


def test_loss_gradient_of_a_denoiser_ignores_the_other(trained):
    task, state, _ = trained
    images = RNG.integers(0, 256, (8, *SHAPE), np.uint8)
    gradient = jax.jit(jax.grad(task.loss))
    found = gradient(state.params, state.stats, images, jax.random.key(2))
    other = {**state.params, NAMES[1]: {"kernel": jnp.array([3.0, -2.0])}}
    changed = gradient(other, state.stats, images, jax.random.key(2))
    np.testing.assert_array_equal(
        found[NAMES[0]]["kernel"], changed[NAMES[0]]["kernel"]
    )
    assert (found[NAMES[1]]["kernel"] != changed[NAMES[1]]["kernel"]).all()


def test_evaluate_uses_the_denoiser_of_each_quarter(trained):
    task, state, _ = trained
    images = RNG.integers(0, 256, (8, *SHAPE), np.uint8)
    evaluate = jax.jit(task.evaluate)
    found = evaluate(state, images, jax.random.key(3))
    other = {**state.params, NAMES[0]: {"kernel": jnp.array([3.0, -2.0])}}
    changed = evaluate(state._replace(params=other), images, jax.random.key(3))
    for quarter in range(1, 5):
        is_same = (
            found[f"error_quarter_{quarter}"] == changed[f"error_quarter_{quarter}"]
        )
        assert is_same.all() if quarter > 2 else not is_same.any()


def test_sample_equals_a_loop_that_takes_the_denoiser_of_the_region(trained):
    task, state, _ = trained
    latents = RNG.normal(size=(3, 16)).astype(np.float32)
    diffusion = noise_schedules.make("linear", 20)
    x, steps = latents.reshape(3, *SHAPE), [19, 14, 10, 5, 0]
    for step, after in zip(steps, [*steps[1:], None]):
        kernel = np.asarray(state.params[NAMES[int(step >= 10)]]["kernel"])
        epsilon = kernel[0] * x + kernel[1] * step / 20
        signal, noise = diffusion.signal[step], diffusion.noise[step]
        image = np.clip((x - noise * epsilon) / signal, -1, 1)
        direction = (x - signal * image) / noise
        ends = (
            (1, 0)
            if after is None
            else (diffusion.signal[after], diffusion.noise[after])
        )
        x = ends[0] * image + ends[1] * direction
    found = np.asarray(jax.jit(task.sample)(state, latents)).astype(float)
    np.testing.assert_allclose(found, np.clip((x + 1) * 127.5, 0, 255), atol=0.51)
    assert found.std() > 10


def test_build_cuts_the_channels_of_each_denoiser_by_itself():
    """As early-bird tickets do."""

    def build(channels):
        return tasks.build(configure(), SHAPE, 10, channels, LIBRARY)

    whole = build({})
    groups = groups_lib.of(whole.networks[NAMES[0]].module)
    sizes = [group.size for group in groups.groups]
    sizes[[group.name for group in groups.groups].index("stem")] = 1
    cut = build({NAMES[0]: tuple(sizes)})
    before, after = (
        jax.eval_shape(task.init, jax.random.key(0)).params for task in (whole, cut)
    )
    assert trees.num_weights(after[NAMES[0]]) < trees.num_weights(before[NAMES[0]])
    assert after[NAMES[1]] == before[NAMES[1]]


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"diffusion__regions": 3}, "diffusion.regions=3: .*give 1, 2 or 4"),
        ({"data__batch_size": 1}, "data.batch_size=1: .*give 2 or more"),
    ],
)
def test_validate_regions_that_divide_a_quarter_or_a_batch_are_refused(
    changes, message
):
    with pytest.raises(UserError, match=message):
        configure(**changes)
