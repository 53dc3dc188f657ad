r"""Winning tickets of a small SNGAN on MNIST at 32x32, on a laptop.

    python -m gen_tickets.main --config=experiments/sngan_mnist.py \
        --config.data.download=true

Like experiments/dcgan_mnist.py, with setting C of Miyato et al. 2018, table 1: hinge
loss, Adam (2e-4, 0.5, 0.999), one discriminator update per step. The discriminator is
that of SNGAN. Kernels are initialized N(0, 0.02²), as in Radford et al. 2016: the
generator starts as there, and spectral norm cancels the scale of the discriminator.

One round of 80 % (3 runs, NVIDIA H200), `fd_classifier`: dense 8.91 ± 0.44, winning
9.49 ± 0.27, random 15.2 ± 2.7; not found, because winning is worse than dense by more
than one deviation of dense. Dense converged and is repeatable; the finer rounds of this
file have not been run.
"""

from gen_tickets.config import defaults
from gen_tickets.experiments import dcgan_mnist


def get_config(size="full"):
    config = dcgan_mnist.get_config()
    config.model.name = "sngan"
    config.model.widths = (8, 16, 32)
    config.model.discriminator = "authors"
    config.task.loss = "hinge"
    config.optimizer.learning_rate = 1e-3
    return defaults.resize(config, size)
