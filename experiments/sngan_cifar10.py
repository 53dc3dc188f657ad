r"""SNGAN on CIFAR-10 (paper Fig. A.4, Table 1: winning ticket at 89.2 %).

    python -m gen_tickets.main --config=experiments/sngan_cifar10.py \
        --config.data.download=true

Adam (2e-4, 0.5, 0.999) and one discriminator update per step: setting C of Miyato et
al. 2018, table 1; --config.task.discriminator_steps=5 is their slower alternative.

`:gpu` is that of experiments/dcgan_cifar10.py, `:laptop` experiments/sngan_mnist.py.

Discriminator and initializer: "authors", as the paper trained them.
"""

from gen_tickets.experiments import dcgan_cifar10, sngan_mnist


def get_config(size="full"):
    if size == "laptop":
        return sngan_mnist.get_config()
    config = dcgan_cifar10.get_config(size)
    config.model.name = "sngan"
    config.model.widths = (64, 128, 256, 512)
    config.task.loss = "hinge"
    return config
