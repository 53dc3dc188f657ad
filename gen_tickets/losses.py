"""Loss terms with one number per image; the task averages them over the batch.

Logits [N] are the outputs of a discriminator (or critic), high = real. A network
minimises the mean of its term.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from gen_tickets.config import registries
from gen_tickets.errors import UserError


def squared_error(
    images: Float[Array, "n h w c"], reconstructions: Float[Array, "#n h w c"]
) -> Float[Array, " n"]:
    """Sum over pixels of the squared error. [N, H, W, C] twice -> [N]."""
    return jnp.sum((images - reconstructions) ** 2, axis=(1, 2, 3))


def gaussian_kl(
    mean: Float[Array, "n latent"], log_variance: Float[Array, "n latent"]
) -> Float[Array, " n"]:
    """KL( N(mean, exp(log_variance)) || N(0, 1) ), summed over latents. -> [N], >= 0.

    Kingma and Welling 2014, appendix B.
    """
    return 0.5 * jnp.sum(mean**2 + jnp.exp(log_variance) - 1.0 - log_variance, axis=-1)


def cross_entropy_real(logits: Float[Array, " *n"]) -> Float[Array, " *n"]:
    """-log sigmoid(logits), the loss of "real"; finite for any logit. [N] -> [N]."""
    return jax.nn.softplus(-logits)


def cross_entropy_fake(logits: Float[Array, " *n"]) -> Float[Array, " *n"]:
    """-log(1 - sigmoid(logits)), the loss of "generated"; finite. [N] -> [N]."""
    return jax.nn.softplus(logits)


Term = Callable[[jax.Array], jax.Array]


class Adversarial(NamedTuple):
    """The terms of an adversarial loss, each logits [N] -> [N].

    The discriminator minimises mean(real) + mean(fake), the generator mean(generator).
    """

    real: Term  #: of the discriminator's logits on real images
    fake: Term  #: of its logits on generated ones
    generator: Term  #: of its logits on generated ones


def _check_bound(options: Mapping[str, Any]) -> None:
    """Raises UserError if nothing bounds the critic.

    An unbounded critic has no optimum: Arjovsky et al. 2017, section 3.
    """
    models = [name for name, x in registries.model.items() if x.normalizes_kernels]
    bounds = (options["task.weight_clip"], options["task.gradient_penalty"])
    if max(bounds) == 0 and options["model.name"] not in models:
        raise UserError(
            f"task.loss={options['task.loss']!r}",
            "needs a bounded critic",
            "give task.weight_clip > 0 (0.01 in the paper), task.gradient_penalty > 0 "
            f"(such as 10), or model.name={' or '.join(models)}",
        )


@registries.loss("bce")
def bce() -> Adversarial:
    """The non-saturating loss of Goodfellow et al. 2014, section 3."""
    return Adversarial(cross_entropy_real, cross_entropy_fake, cross_entropy_real)


@registries.loss("hinge")
def hinge() -> Adversarial:
    """Hinge loss of the discriminator: Miyato et al. 2018, equations 16 and 17."""
    return Adversarial(
        lambda logits: jax.nn.relu(1.0 - logits),
        lambda logits: jax.nn.relu(1.0 + logits),
        jnp.negative,
    )


@registries.loss("wasserstein", check=_check_bound)
def wasserstein() -> Adversarial:
    """Distance estimated by a critic: Arjovsky et al. 2017, equations 2 and 3."""
    return Adversarial(jnp.negative, jnp.positive, jnp.negative)


def gradient_penalty(
    critic: Term,
    images: Float[Array, "n h w c"],
    fakes: Float[Array, "n h w c"],
    key: Key[Array, ""],
) -> Float[Array, " n"]:
    """(|gradient of the critic| - 1)^2 at points between real and fake images. -> [N].

    Gulrajani et al. 2017, equation 3, without its weight. Differentiable in the weights
    that `critic` closes over.

    Args:
      critic: images [N, H, W, C] -> logits [N].
      images, fakes: [N, H, W, C].
      key: for the point between each pair, drawn uniformly.
    """
    share = jax.random.uniform(key, (len(images), 1, 1, 1))
    between = share * images + (1.0 - share) * fakes
    gradients = jax.grad(lambda x: critic(x).sum())(between)
    squares = jnp.sum(gradients**2, axis=(1, 2, 3))
    # The root has no gradient at 0, the norm of a constant critic's gradient.
    return (jnp.sqrt(squares + 1e-12) - 1.0) ** 2
