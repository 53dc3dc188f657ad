r"""ResNet-DCGAN on CelebA, 64x64 (paper Fig. A.4, Table 1: winning ticket at 79 %).

    python -m gen_tickets.main --config=experiments/resnet_dcgan_celeba.py \
        --config.data.download=true --config.eval.download_weights=true

Discriminator, generator and initializer: "authors", as the paper trained them.
"""

from gen_tickets.experiments import dcgan_celeba, resnet_dcgan_cifar10


def get_config(size="full"):
    config = dcgan_celeba.on_celeba(resnet_dcgan_cifar10.get_config(size), size)
    return config
