r"""Winning tickets of a small SNGAN on MNIST at 32x32, on a laptop.

    python -m gen_tickets.main --config=experiments/sngan_mnist.py \
        --config.data.download=true

Like experiments/dcgan_mnist.py with half the widths, a hinge loss and one discriminator
update per step (setting C of Miyato et al. 2018, table 1, whose rate is a constant
2e-4; here a cosine from 1e-3). The discriminator is that of SNGAN. Kernels are
initialized N(0, 0.02²), as in Radford et al. 2016: the generator starts as there, and
spectral norm cancels the scale of the discriminator.

The paper has winning tickets up to 89.2 % (CIFAR-10, FID). Here they are found up to
73.8 % (3 runs, all gates passed): dense 9.25 ± 0.65, winning 9.3 ± 1.3, random 19.51 ±
0.54; at 89.3 % 11.3 ± 1.2 and 21.0 ± 3.3. 1 h 51 min on one core of an AMD EPYC
beside other jobs (RESULTS.md).
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
