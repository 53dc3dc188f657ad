r"""ResNet-DCGAN on CelebA, 64x64 (paper Fig. A.4, Table 1: winning ticket at 79 %).

    python -m gen_tickets.main --config=experiments/resnet_dcgan_celeba.py \
        --config.data.download=true
"""

from experiments import resnet_dcgan_cifar10


def get_config(size="full"):
    config = resnet_dcgan_cifar10.get_config(size)
    config.data.name = "celeb_a"
    config.data.image_size = 64
    return config
