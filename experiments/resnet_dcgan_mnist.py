r"""Winning tickets of a small ResNet-DCGAN on MNIST at 32x32, on a laptop.

    python -m gen_tickets.main --config=experiments/resnet_dcgan_mnist.py \
        --config.data.download=true

Like experiments/dcgan_mnist.py, with residual networks of half the widths and a cosine
from 4e-3. Both networks follow Radford et al. 2016, as there. With the authors'
generator, which repeats one vector over its first map, they show few digits, other ones
in every run: `fd_classifier` 12.9 ± 2.6. With this one it is 5.76 ± 0.69 (3 runs, 7 min
on one core of an AMD EPYC); the deviation, 12 %, still fails the gate "repeatable", and
the rounds of this file have not been run (RESULTS.md).
"""

from gen_tickets.config import defaults
from gen_tickets.experiments import dcgan_mnist


def get_config(size="full"):
    config = dcgan_mnist.get_config()
    config.model.name = "resnet"
    config.model.widths = (8, 16, 32)
    config.model.generator = "radford"
    config.optimizer.learning_rate = 4e-3
    return defaults.resize(config, size)
