r"""Early-bird ticket of ResNet-DCGAN on CIFAR-10 (paper Fig. 7).

    python -m gen_tickets.main --config=experiments/early_bird_resnet_dcgan_cifar10.py \
        --config.data.download=true

Removing 65 % of the channels of every layer saves 87 % of a step's FLOPs.
experiments/resnet_dcgan_cifar10.py has the dense training.

Discriminator, generator and initializer: "authors", as the paper trained them.
"""

from gen_tickets.config import defaults
from gen_tickets.experiments import early_bird_dcgan_cifar10, resnet_dcgan_cifar10


def get_config(size="full"):
    config = defaults.resize(resnet_dcgan_cifar10.get_config(size), size)
    return early_bird_dcgan_cifar10.in_channels(config, size, 0.65)
