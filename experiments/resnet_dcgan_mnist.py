r"""Winning tickets of a small ResNet-DCGAN on MNIST at 32x32, on a laptop.

    python -m gen_tickets.main --config=experiments/resnet_dcgan_mnist.py \
        --config.data.download=true

Like experiments/dcgan_mnist.py, with residual networks of half the widths and a cosine
from 1e-3. The networks follow Radford et al. 2016, as there.

The dense networks fail the gate "repeatable": `fd_classifier` 20.7 ± 4.3 (3 runs, 18
min on one core of an AMD EPYC beside other jobs), because a generator shows few digits,
and which ones differs from run to run. From 4e-3 it is 12.9 ± 2.6, with a hinge loss
21.8 ± 1.8. With the widths of dcgan_mnist and a constant 2e-4 (one round of 80 %,
NVIDIA H200) dense has 21.5 ± 2.3, winning 20.21 ± 0.89, random 30.7 ± 3.1 (RESULTS.md).
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
