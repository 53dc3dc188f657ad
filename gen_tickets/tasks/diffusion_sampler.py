"""Samples of a diffusion model: from noise, step by step (Song et al. 2021)."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gen_tickets.tasks import noise_schedules
from gen_tickets.tasks.noise_schedules import Diffusion, Prediction


def sample(
    predict: Callable[[jax.Array, jax.Array], jax.Array],
    prediction: Prediction,
    diffusion: Diffusion,
    noise: jax.Array,
    steps: np.ndarray,
    is_ancestral: bool,
) -> jax.Array:
    """Images [N, H, W, C], about in [-1, 1].

    Args:
      predict: (timestep, a traced scalar, x there) -> what the network predicts.
      prediction, diffusion: what that means.
      noise: x at the first of `steps`, [N, H, W, C].
      steps: timesteps, falling, from `noise_schedules.sampling_steps`.
      is_ancestral: with fresh noise in every step, else DDIM.
    """
    keys = _keys_of(noise)
    of_noise = jax.vmap(lambda key: jax.random.normal(key, noise.shape[1:]))

    def denoise(
        noisy: jax.Array, step_and_next: tuple[jax.Array, jax.Array]
    ) -> tuple[jax.Array, None]:
        step, next_step = step_and_next
        image = noise_schedules.image_of(
            prediction,
            diffusion,
            noisy,
            predict(step, noisy),
            jnp.full(len(noisy), step),
        )
        image, fresh = jnp.clip(image, -1.0, 1.0), None
        if is_ancestral:
            fresh = of_noise(jax.vmap(jax.random.fold_in, (0, None))(keys, step))
        noisy = noise_schedules.previous(
            diffusion, noisy, image, step, next_step, fresh
        )
        return noisy, None

    nexts = jnp.append(jnp.asarray(steps[1:]), -1)
    return lax.scan(denoise, noise, (jnp.asarray(steps), nexts))[0]


def _keys_of(noise: jax.Array) -> Any:
    """A key [N] an image, made of its bits: a sample depends on nothing else."""
    first = noise.reshape(len(noise), -1)[:, :2].astype(jnp.float32)
    bits = lax.bitcast_convert_type(first, jnp.uint32)
    keys = jax.vmap(jax.random.key)(bits[:, 0])
    return jax.vmap(jax.random.fold_in)(keys, bits[:, 1])
