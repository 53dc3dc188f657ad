r"""ResNet-DCGAN on CIFAR-10 (paper Figs. 6, A.4; Table 1: winning ticket at 79 %).

    python -m gen_tickets.main --config=experiments/resnet_dcgan_cifar10.py \
        --config.data.download=true

The blocks of ResNet-VAE with 7/8 of its widths: 2.17 M weights (Table 1: 2.2 M).

`:gpu` is that of experiments/dcgan_cifar10.py, `:laptop` is
experiments/resnet_dcgan_mnist.py.

Discriminator, generator and initializer: "authors", as the paper trained them.
"""

from gen_tickets.experiments import dcgan_cifar10, resnet_dcgan_mnist


def get_config(size="full"):
    if size == "laptop":
        return resnet_dcgan_mnist.get_config()
    config = dcgan_cifar10.get_config(size)
    config.model.name = "resnet"
    config.model.widths = (28, 56, 112, 224)
    return config
