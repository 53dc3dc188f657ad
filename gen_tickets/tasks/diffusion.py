"""Denoising diffusion (Ho et al. 2020): {denoiser}.

A network gets an image with the noise of a random timestep, and the timestep, and
predicts the noise (or v, see `noise_schedules`). A sample starts as noise, the latent,
and is denoised step by step, with averaged weights if `eval.average_decay` is not 0.

Metrics of a step, and of an evaluation (there one number per image):

- loss: the objective, the mean over pixels of the squared error of the prediction times
  its weight (`diffusion.min_snr`). An evaluation uses one timestep in each quarter of
  the timesteps, with the same noise in every arm and round of a run.
- error_quarter_1 ... 4 (evaluation only): the unweighted error by quarter of the
  timesteps; the first has the least noise.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
from jax import lax

from gen_tickets import models
from gen_tickets.config import registries
from gen_tickets.config.column import Column
from gen_tickets.data import pixels
from gen_tickets.tasks import average, networks, noise_schedules, timestep_sampling
from gen_tickets.tasks.task import Setting, Task
from gen_tickets.training import optimizer as optimizer_lib
from gen_tickets.training import state as state_lib
from gen_tickets.training.state import TrainState
from gen_tickets.trees import Tree

_DENOISER = "denoiser"
_HISTORY = "denoiser_timesteps"  # in opt_state, which rewinding resets
_NUM_QUARTERS = 4


_COLUMNS = tuple(
    Column(f"error_quarter_{i}", better="lower", label=f"denoising error, quarter {i}")
    for i in range(1, _NUM_QUARTERS + 1)
)


class _Diffusion:
    """A denoiser with its objective, training step and sampler."""

    def __init__(self, config: ml_collections.ConfigDict, setting: Setting):
        options = config.diffusion
        channels = setting.channels.get(_DENOISER, ())
        module = models.build_denoiser(
            config, setting.image_shape, channels, setting.lowering
        )
        self.network = networks.Network(module, setting.image_shape)
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
        params, stats = networks.init({_DENOISER: self.network}, key)
        state = state_lib.create(params, stats, self.optimizer)
        if self.by_importance:
            history = timestep_sampling.begin(self.diffusion.num_steps)
            state.opt_state[_HISTORY] = history
        return state

    def _predict(
        self,
        params: Tree,
        stats: Tree,
        noisy: jax.Array,
        steps: jax.Array,
        dropout_key: jax.Array | None = None,
    ) -> tuple[jax.Array, Tree]:
        """-> (prediction [N, H, W, C], statistics); with a key, in training."""
        is_training = dropout_key is not None
        return networks.apply(
            self.network.module,
            params,
            stats,
            noisy,
            is_training,
            networks.ALL if is_training else (),
            times=steps / self.diffusion.num_steps,
            rngs={"dropout": dropout_key} if is_training else None,
        )

    def _errors(
        self,
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
            params, stats, noisy, steps, dropout_key if train else None
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
        step_key, key = jax.random.split(key)
        num_steps = self.diffusion.num_steps
        steps = jax.random.randint(step_key, (len(images),), 0, num_steps)
        of_denoiser = params[_DENOISER], stats[_DENOISER]
        errors, _ = self._errors(*of_denoiser, images, steps, key, True)
        return self._weighted(errors, steps).mean()

    def step(
        self, state: TrainState, masks: Tree, images: jax.Array, key: jax.Array
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        step_key, key = jax.random.split(key)
        if self.by_importance:
            history = state.opt_state[_HISTORY]
            steps, factors = timestep_sampling.draw(history, step_key, len(images))
        else:
            num_steps = self.diffusion.num_steps
            steps = jax.random.randint(step_key, (len(images),), 0, num_steps)
            factors = jnp.ones(len(images))

        def mean_loss(params: Tree) -> tuple[jax.Array, tuple[jax.Array, Tree]]:
            errors, stats = self._errors(
                params, state.stats[_DENOISER], images, steps, key, True
            )
            losses = self._weighted(errors, steps)
            return (factors * losses).mean(), (losses, stats)

        objective = jax.value_and_grad(mean_loss, has_aux=True)
        (loss, (losses, stats)), grads = objective(state.params[_DENOISER])
        state = state_lib.apply_update(state, {_DENOISER: grads}, masks, self.optimizer)
        opt_state = dict(state.opt_state)
        if self.by_importance:
            opt_state[_HISTORY] = timestep_sampling.note(history, steps, losses)
        state = state._replace(
            step=state.step + 1, stats={_DENOISER: stats}, opt_state=opt_state
        )
        return state, {"loss": loss}

    def evaluate(
        self, state: TrainState, images: jax.Array, key: jax.Array
    ) -> dict[str, jax.Array]:
        params, stats = state.params[_DENOISER], state.stats[_DENOISER]
        num_steps = self.diffusion.num_steps

        def of_quarter(quarter: jax.Array) -> tuple[jax.Array, jax.Array]:
            step_key, noise_key = jax.random.split(jax.random.fold_in(key, quarter))
            low, high = (num_steps * i // _NUM_QUARTERS for i in (quarter, quarter + 1))
            steps = jax.random.randint(step_key, (len(images),), low, high)
            errors, _ = self._errors(params, stats, images, steps, noise_key, False)
            return errors, self._weighted(errors, steps)

        # Sequential, so that only one forward pass is compiled.
        errors, losses = lax.map(of_quarter, jnp.arange(_NUM_QUARTERS))
        named = {column.name: of for column, of in zip(_COLUMNS, errors, strict=True)}
        return {"loss": losses.mean(0), **named}

    def sample(self, state: TrainState, latents: jax.Array) -> jax.Array:
        """uint8 images from x_T: latents [N, H * W * C]."""
        params, stats = state.params[_DENOISER], state.stats[_DENOISER]
        noisy = latents.reshape(len(latents), *self.network.input_shape)
        keys = _keys_of(latents)
        steps = jnp.asarray(self.sampling_steps)
        nexts = jnp.append(steps[1:], -1)

        def denoise(
            noisy: jax.Array, step_and_next: tuple[jax.Array, jax.Array]
        ) -> tuple[jax.Array, None]:
            step, next_step = step_and_next
            every = jnp.full(len(noisy), step)
            predicted, _ = self._predict(params, stats, noisy, every)
            image = noise_schedules.image_of(
                self.prediction, self.diffusion, noisy, predicted, every
            )
            image, fresh = jnp.clip(image, -1.0, 1.0), None
            if self.is_ancestral:
                of_step = jax.vmap(jax.random.fold_in, (0, None))(keys, step)
                fresh = jax.vmap(lambda key: jax.random.normal(key, noisy.shape[1:]))(
                    of_step
                )
            return (
                noise_schedules.previous(
                    self.diffusion, noisy, image, step, next_step, fresh
                ),
                None,
            )

        return pixels.to_uint8(lax.scan(denoise, noisy, (steps, nexts))[0])


def _keys_of(latents: jax.Array) -> Any:
    """One key per latent [N], from its bits, so a sample depends only on its latent."""
    bits = lax.bitcast_convert_type(latents[:, :2].astype(jnp.float32), jnp.uint32)
    keys = jax.vmap(jax.random.key)(bits[:, 0])
    return jax.vmap(jax.random.fold_in)(keys, bits[:, 1])


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
        "eval.average_decay",
    ),
    sampling=("diffusion.sampler", "diffusion.sampling_steps"),
    reconstructs=False,
    columns=_COLUMNS,
)
def diffusion(config: ml_collections.ConfigDict, setting: Setting) -> Task:
    """Denoising of images at random noise levels; see `tasks.build`."""
    denoising = _Diffusion(config, setting)
    task = Task(
        init=denoising.init,
        step=denoising.step,
        loss=denoising.loss,
        evaluate=denoising.evaluate,
        reconstruct=None,
        sample=denoising.sample,
        latent_size=math.prod(setting.image_shape),
        components=(_DENOISER,),
        networks={_DENOISER: denoising.network},
    )
    return average.keep(task, _DENOISER, config.eval.average_decay)
