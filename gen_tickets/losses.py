"""Loss terms: arrays in, one number an image out; the task takes the mean."""

import jax.numpy as jnp


def squared_error(images, reconstructions):
    """Sum over pixels of the squared error. [N, H, W, C] twice -> [N]."""
    return jnp.sum((images - reconstructions) ** 2, axis=(1, 2, 3))


def gaussian_kl(mean, log_variance):
    """KL( N(mean, exp(log_variance)) || N(0, 1) ), summed over latents. -> [N], >= 0.

    Kingma and Welling 2014, appendix B.
    """
    return 0.5 * jnp.sum(
        mean**2 + jnp.exp(log_variance) - 1.0 - log_variance, axis=-1
    )
