"""Gaussian diffusion: signal and noise levels of every timestep, and formulas on them.

At timestep t = 0 ... T - 1 an image is x_t = signal_t x + noise_t epsilon, with epsilon
standard normal and signal_t^2 + noise_t^2 = 1 (Ho et al. 2020, equation 4: signal_t^2
is their alpha-bar). A network predicts epsilon, or v = signal_t epsilon - noise_t x
(Salimans & Ho 2022, appendix D). Either determines the other and the image.
"""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gen_tickets.config import registries

Prediction = Literal["epsilon", "v"]

_LARGEST_BETA = 0.999


class Diffusion(NamedTuple):
    """Signal and noise levels of T timesteps, float32 [T]; the noise grows with t."""

    signal: np.ndarray
    noise: np.ndarray

    @property
    def num_steps(self) -> int:
        return len(self.signal)


@registries.noise_schedule("linear")
def linear(num_steps: int) -> np.ndarray:
    """Noise variances that grow linearly, 1e-4 to 0.02 (Ho et al. 2020, section 4).

    These hold for 1000 steps; fewer steps have larger variances and end at the same
    noise level.
    """
    scale = 1000 / num_steps
    return np.minimum(np.linspace(1e-4, 0.02, num_steps) * scale, _LARGEST_BETA)


@registries.noise_schedule("cosine")
def cosine(num_steps: int) -> np.ndarray:
    """A signal that falls as a squared cosine (Nichol & Dhariwal 2021, section 3.2)."""
    share = (np.arange(num_steps + 1) / num_steps + 0.008) / 1.008
    power = np.cos(share * np.pi / 2) ** 2
    return np.minimum(1 - power[1:] / power[:-1], _LARGEST_BETA)


def make(name: str, num_steps: int) -> Diffusion:
    """The diffusion with T steps of a schedule in `registries.noise_schedule`."""
    betas = registries.noise_schedule.get(name).betas(num_steps)
    log_power = np.cumsum(np.log1p(-betas))
    # expm1: in the first steps the noise is 1 - 0.9999, which would lose most digits.
    signal, noise = np.exp(log_power / 2), np.sqrt(-np.expm1(log_power))
    return Diffusion(signal.astype(np.float32), noise.astype(np.float32))


def diffuse(
    diffusion: Diffusion, images: jax.Array, epsilon: jax.Array, steps: jax.Array
) -> jax.Array:
    """x_t of images [N, H, W, C] with noise of the same shape, at timesteps [N]."""
    signal, noise = _at(diffusion, steps)
    return signal * images + noise * epsilon


def target(
    prediction: Prediction,
    diffusion: Diffusion,
    images: jax.Array,
    epsilon: jax.Array,
    steps: jax.Array,
) -> jax.Array:
    """The target of the prediction, [N, H, W, C]; other arguments as in `diffuse`."""
    if prediction == "epsilon":
        return epsilon
    signal, noise = _at(diffusion, steps)
    return signal * epsilon - noise * images


def image_of(
    prediction: Prediction,
    diffusion: Diffusion,
    noisy: jax.Array,
    predicted: jax.Array,
    steps: jax.Array,
) -> jax.Array:
    """The image implied by a prediction at x_t = `noisy`, [N, H, W, C]."""
    signal, noise = _at(diffusion, steps)
    if prediction == "epsilon":
        return (noisy - noise * predicted) / signal
    return signal * noisy - noise * predicted


def min_snr_weights(
    prediction: Prediction, diffusion: Diffusion, gamma: float
) -> np.ndarray:
    """Weights [T] of the squared error of a prediction (Hang et al. 2023, section 3.4).

    The squared error of the image has the weight min(SNR_t, gamma), with SNR_t =
    signal_t^2 / noise_t^2. The error of epsilon is SNR_t times that of the image, the
    error of v is SNR_t + 1 times that.
    """
    snr = diffusion.signal**2 / diffusion.noise**2
    return np.minimum(snr, gamma) / (snr if prediction == "epsilon" else snr + 1)


def sampling_steps(num_steps: int, count: int) -> np.ndarray:
    """`count` timesteps from the last to the first, evenly spaced, int32 [count]."""
    return np.round(np.linspace(num_steps - 1, 0, count)).astype(np.int32)


def previous(
    diffusion: Diffusion,
    noisy: jax.Array,
    image: jax.Array,
    step: jax.Array,
    next_step: jax.Array,
    epsilon: jax.Array | None,
) -> jax.Array:
    """x of the next timestep of a sampler, given the image predicted at this one.

    Song et al. 2021, equation 12: DDIM (eta = 0) without new noise, ancestral sampling
    (eta = 1) with it. Over all timesteps the latter is the sampler of Ho et al. 2020
    with the posterior variance.

    Args:
      diffusion: signal and noise levels of all timesteps.
      noisy: x at `step`, [N, H, W, C]; image: the image predicted there.
      step, next_step: scalars, next_step < step; -1 is the image itself.
      epsilon: new standard normal noise [N, H, W, C]; None: DDIM.
    """
    signal, noise = jnp.asarray(diffusion.signal), jnp.asarray(diffusion.noise)
    is_last = next_step < 0
    next_signal = jnp.where(is_last, 1.0, signal[next_step])
    next_noise = jnp.where(is_last, 0.0, noise[next_step])
    direction = (noisy - signal[step] * image) / noise[step]
    if epsilon is None:
        return next_signal * image + next_noise * direction
    share = signal[step] / next_signal
    fresh = next_noise / noise[step] * jnp.sqrt(jnp.maximum(1.0 - share**2, 0.0))
    kept = jnp.sqrt(jnp.maximum(next_noise**2 - fresh**2, 0.0))
    return next_signal * image + kept * direction + fresh * epsilon


def _at(diffusion: Diffusion, steps: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(signal, noise) of timesteps [N], each [N, 1, 1, 1]."""
    signal, noise = jnp.asarray(diffusion.signal), jnp.asarray(diffusion.noise)
    return signal[steps, None, None, None], noise[steps, None, None, None]
