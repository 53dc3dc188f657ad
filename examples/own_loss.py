"""A GAN loss of your own: least squares (Mao et al. 2017).

python -m gen_tickets.main --config=examples/own_loss.py
"""

from gen_tickets.config import registries
from gen_tickets.experiments import dcgan_digits
from gen_tickets.losses import Adversarial


@registries.loss("least_squares")
def least_squares():
    """Squared distances to 1 (real) and 0 (generated): Mao et al. 2017, equation 9."""
    return Adversarial(
        real=lambda logits: 0.5 * (logits - 1) ** 2,
        fake=lambda logits: 0.5 * logits**2,
        generator=lambda logits: 0.5 * (logits - 1) ** 2,
    )


def get_config(size="full"):
    config = dcgan_digits.get_config(size)
    config.task.loss = "least_squares"
    return config
