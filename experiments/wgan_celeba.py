r"""WGAN with a clipped critic on CelebA, 64x64 (paper Fig. A.4, Table 1: 59 %).

    python -m gen_tickets.main --config=experiments/wgan_celeba.py \
        --config.data.download=true
"""

from experiments import wgan_cifar10


def get_config(size="full"):
    config = wgan_cifar10.get_config(size)
    config.data.name = "celeb_a"
    config.data.image_size = 64
    config.model.widths = (64, 128, 256, 512)
    config.paper.sparsity = 0.59
    return config
