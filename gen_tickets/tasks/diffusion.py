"""Denoising diffusion (Ho et al. 2020): {denoiser}, or {denoiser_1, denoiser_2, ...}.

A network gets an image with the noise of a random timestep, and the timestep, and
predicts the noise (or v, see `noise_schedules`). A sample starts as noise, the latent,
and is denoised step by step, with averaged weights if `eval.average_decay` is not 0.

`diffusion.regions` divides the timesteps into regions of equal length, each with a
separate denoiser, and so a separate ticket (Whalen et al. 2025, arXiv 2504.09606); the
first has the least noise. In training each gets an equal part of the batch, with
timesteps of its region, so a step costs as much as with one denoiser. In sampling, each
timestep uses the denoiser of its region.

Metrics of a step, and of an evaluation (there one number per image):

- loss: the objective, the mean over pixels of the squared error of the prediction times
  its weight (`diffusion.min_snr`). An evaluation uses one timestep in each quarter of
  the timesteps, with the same noise in every arm and round of a run.
- error_quarter_1 ... 4 (evaluation only): the unweighted error by quarter of the
  timesteps; the first has the least noise.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
from jax import lax

from gen_tickets import models
from gen_tickets.config import registries
from gen_tickets.config.column import Column
from gen_tickets.data import pixels
from gen_tickets.errors import UserError
from gen_tickets.tasks import (
    average,
    diffusion_sampler,
    networks,
    noise_schedules,
    timestep_regions,
    timestep_sampling,
)
from gen_tickets.tasks.task import Setting, Task
from gen_tickets.tasks.timestep_regions import Region
from gen_tickets.training import optimizer as optimizer_lib
from gen_tickets.training import state as state_lib
from gen_tickets.training.state import TrainState
from gen_tickets.trees import Tree

_NUM_QUARTERS = 4


_COLUMNS = tuple(
    Column(f"error_quarter_{i}", better="lower", label=f"denoising error, quarter {i}")
    for i in range(1, _NUM_QUARTERS + 1)
)


class _Diffusion:
    """Denoisers with their objective, training step and sampler."""

    def __init__(self, config: ml_collections.ConfigDict, setting: Setting):
        options, self.image_shape = config.diffusion, setting.image_shape
        self.regions = timestep_regions.make(options.steps, options.regions)
        self.networks = {
            region.name: networks.Network(
                models.build_denoiser(
                    config,
                    setting.image_shape,
                    setting.channels.get(region.name, ()),
                    setting.lowering,
                ),
                setting.image_shape,
            )
            for region in self.regions
        }
        self.diffusion = noise_schedules.make(options.schedule, options.steps)
        self.prediction = options.prediction
        self.weights = None
        if options.min_snr > 0:
            self.weights = noise_schedules.min_snr_weights(
                options.prediction, self.diffusion, options.min_snr
            )
        self.by_importance = options.timesteps == "importance"
        self.is_ancestral = options.sampler == "ancestral"
        self.sampling_steps = noise_schedules.sampling_steps(
            options.steps, min(options.sampling_steps, options.steps)
        )
        self.optimizer = optimizer_lib.make(config.optimizer, setting.num_steps)

    def init(self, key: jax.Array) -> TrainState:
        params, stats = networks.init(self.networks, key)
        state = state_lib.create(params, stats, self.optimizer)
        if self.by_importance:
            for region in self.regions:
                history = timestep_sampling.begin(region.length)
                state.opt_state[region.history] = history
        return state

    def _parts(
        self, images: jax.Array, key: jax.Array
    ) -> Iterator[tuple[Region, jax.Array, jax.Array]]:
        """(region, its part of a batch, key) of all regions."""
        count = len(self.regions)
        keys = [key] if count == 1 else jax.random.split(key, count)
        for i, region in enumerate(self.regions):
            yield region, images[i::count], keys[i]

    def _predict(
        self,
        name: str,
        params: Tree,
        stats: Tree,
        noisy: jax.Array,
        steps: jax.Array,
        dropout_key: jax.Array | None = None,
    ) -> tuple[jax.Array, Tree]:
        """-> (prediction [N, H, W, C] of a denoiser, its statistics).

        params, stats: of all components; dropout_key: given in training only.
        """
        is_training = dropout_key is not None
        return networks.apply(
            self.networks[name].module,
            params[name],
            stats[name],
            noisy,
            is_training,
            networks.ALL if is_training else (),
            times=steps / self.diffusion.num_steps,
            rngs={"dropout": dropout_key} if is_training else None,
        )

    def _errors(
        self,
        name: str,
        params: Tree,
        stats: Tree,
        images: jax.Array,
        steps: jax.Array,
        key: jax.Array,
        train: bool,
    ) -> tuple[jax.Array, Tree]:
        """-> (squared error [N] of uint8 images at timesteps [N], statistics)."""
        noise_key, dropout_key = jax.random.split(key)
        images = pixels.to_float(images)
        epsilon = jax.random.normal(noise_key, images.shape)
        noisy = noise_schedules.diffuse(self.diffusion, images, epsilon, steps)
        predicted, stats = self._predict(
            name, params, stats, noisy, steps, dropout_key if train else None
        )
        target = noise_schedules.target(
            self.prediction, self.diffusion, images, epsilon, steps
        )
        return jnp.square(predicted - target).mean((1, 2, 3)), stats

    def _weighted(self, errors: jax.Array, steps: jax.Array) -> jax.Array:
        if self.weights is None:
            return errors
        return jnp.asarray(self.weights)[steps] * errors

    def loss(
        self, params: Tree, stats: Tree, images: jax.Array, key: jax.Array
    ) -> jax.Array:
        losses = []
        for region, part, key in self._parts(images, key):
            step_key, key = jax.random.split(key)
            steps = region.draw(step_key, len(part))
            errors, _ = self._errors(region.name, params, stats, part, steps, key, True)
            losses.append(self._weighted(errors, steps).mean())
        return sum(losses, jnp.float32(0)) / len(losses)

    def step(
        self, state: TrainState, masks: Tree, images: jax.Array, key: jax.Array
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        losses, grads, stats = [], {}, {}
        histories: dict[str, timestep_sampling.History] = {}
        for region, part, key in self._parts(images, key):
            loss, grads[region.name], stats[region.name], history = self._gradient(
                state, region, part, key
            )
            losses.append(loss)
            histories |= history
        state = state_lib.apply_update(state, grads, masks, self.optimizer)
        state = state._replace(
            step=state.step + 1, stats=stats, opt_state=state.opt_state | histories
        )
        return state, {"loss": sum(losses, jnp.float32(0)) / len(losses)}

    def _gradient(
        self, state: TrainState, region: Region, images: jax.Array, key: jax.Array
    ) -> tuple[jax.Array, Tree, Tree, dict[str, timestep_sampling.History]]:
        """-> (loss, gradient, statistics, {name: new history}) of a denoiser."""
        step_key, key = jax.random.split(key)
        name, history = region.name, state.opt_state.get(region.history)
        steps, factors = region.draw(step_key, len(images)), jnp.ones(len(images))
        if history is not None:
            places, factors = timestep_sampling.draw(history, step_key, len(images))
            steps = region.start + places

        def mean_loss(params: Tree) -> tuple[jax.Array, tuple[jax.Array, Tree]]:
            errors, stats = self._errors(
                name, {name: params}, state.stats, images, steps, key, True
            )
            losses = self._weighted(errors, steps)
            return (factors * losses).mean(), (losses, stats)

        objective = jax.value_and_grad(mean_loss, has_aux=True)
        (loss, (losses, stats)), grads = objective(state.params[name])
        if history is None:
            return loss, grads, stats, {}
        noted = timestep_sampling.note(history, steps - region.start, losses)
        return loss, grads, stats, {region.history: noted}

    def evaluate(
        self, state: TrainState, images: jax.Array, key: jax.Array
    ) -> dict[str, jax.Array]:
        num_steps = self.diffusion.num_steps

        def of_quarter(quarter: jax.Array) -> tuple[jax.Array, jax.Array]:
            step_key, noise_key = jax.random.split(jax.random.fold_in(key, quarter))
            low, high = (num_steps * i // _NUM_QUARTERS for i in (quarter, quarter + 1))
            steps = jax.random.randint(step_key, (len(images),), low, high)

            def errors_of(name: str, steps: jax.Array, key: jax.Array) -> jax.Array:
                of_all = name, state.params, state.stats
                return self._errors(*of_all, images, steps, key, False)[0]

            # No quarter has timesteps of two regions.
            errors = timestep_regions.call(
                self.regions, low, errors_of, steps, noise_key
            )
            return errors, self._weighted(errors, steps)

        # Sequential, so that only one forward pass is compiled.
        errors, losses = lax.map(of_quarter, jnp.arange(_NUM_QUARTERS))
        named = {column.name: of for column, of in zip(_COLUMNS, errors, strict=True)}
        return {"loss": losses.mean(0), **named}

    def sample(self, state: TrainState, latents: jax.Array) -> jax.Array:
        """uint8 images from x_T: latents [N, H * W * C]."""

        def of_region(name: str, noisy: jax.Array, steps: jax.Array) -> jax.Array:
            return self._predict(name, state.params, state.stats, noisy, steps)[0]

        def predict(step: jax.Array, noisy: jax.Array) -> jax.Array:
            steps = jnp.full(len(noisy), step)
            return timestep_regions.call(self.regions, step, of_region, noisy, steps)

        images = diffusion_sampler.sample(
            predict,
            self.prediction,
            self.diffusion,
            latents.reshape(len(latents), *self.image_shape),
            self.sampling_steps,
            self.is_ancestral,
        )
        return pixels.to_uint8(images)


def _check_regions(options: Mapping[str, Any]) -> None:
    """Raises UserError where a quarter of the timesteps would lie in two regions."""
    count, batch = options["diffusion.regions"], options["data.batch_size"]
    if _NUM_QUARTERS % count:
        raise UserError(
            f"diffusion.regions={count}",
            "denoising errors are measured by quarters of the timesteps, each by the "
            "denoiser of one region",
            "give 1, 2 or 4",
        )
    if batch < count:
        raise UserError(
            f"data.batch_size={batch}",
            f"is divided among diffusion.regions={count}",
            f"give {count} or more",
        )


@registries.task(
    "diffusion",
    kind="denoiser",
    options=(
        "diffusion.steps",
        "diffusion.schedule",
        "diffusion.prediction",
        "diffusion.timesteps",
        "diffusion.min_snr",
        "diffusion.sampler",
        "diffusion.sampling_steps",
        "diffusion.regions",
        "eval.average_decay",
    ),
    sampling=("diffusion.sampler", "diffusion.sampling_steps"),
    reconstructs=False,
    columns=_COLUMNS,
    check=_check_regions,
)
def diffusion(config: ml_collections.ConfigDict, setting: Setting) -> Task:
    """Denoising of images at random noise levels."""
    denoising = _Diffusion(config, setting)
    task = Task(
        init=denoising.init,
        step=denoising.step,
        loss=denoising.loss,
        evaluate=denoising.evaluate,
        reconstruct=None,
        sample=denoising.sample,
        latent_size=math.prod(setting.image_shape),
        components=tuple(denoising.networks),
        networks=denoising.networks,
    )
    return average.keep(task, task.components, config.eval.average_decay)
