r"""SNGAN on CelebA, 64x64 (paper Fig. A.4, Table 1: winning ticket at 89.2 %).

    python -m gen_tickets.main --config=experiments/sngan_celeba.py \
        --config.data.download=true

One stage more than at 32x32, so that the map of the first layer stays 4x4 and the
network at the 6.7 M weights of Table 1.
"""

from experiments import sngan_cifar10


def get_config(size="full"):
    config = sngan_cifar10.get_config(size)
    config.data.name = "celeb_a"
    config.data.image_size = 64
    config.model.widths = (32, 64, 128, 256, 512)
    return config
