r"""SNGAN on CelebA, 64x64 (paper Fig. A.4, Table 1: winning ticket at 89.2 %).

    python -m gen_tickets.main --config=experiments/sngan_celeba.py \
        --config.data.download=true --config.eval.download_weights=true

One more stage than at 32x32, so that the map of the first layer stays 4x4 and the
network has the 6.7 M weights of Table 1.

Discriminator and initializer: "authors", as the paper trained them.
"""

from gen_tickets.experiments import dcgan_celeba, sngan_cifar10


def get_config(size="full"):
    config = dcgan_celeba.on_celeba(sngan_cifar10.get_config(size), size)
    config.model.widths = (32, 64, 128, 256, 512)
    return config
