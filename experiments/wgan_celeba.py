r"""WGAN with a clipped critic on CelebA, 64x64 (paper Fig. A.4, Table 1: 59 %).

    python -m gen_tickets.main --config=experiments/wgan_celeba.py \
        --config.data.download=true --config.eval.download_weights=true

Discriminator and initializer: "authors", as the paper trained them.
"""

from gen_tickets.experiments import dcgan_celeba, wgan_cifar10


def get_config(size="full"):
    config = dcgan_celeba.on_celeba(wgan_cifar10.get_config(size), size)
    config.model.widths = (64, 128, 256, 512)
    return config
