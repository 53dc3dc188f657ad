r"""DCGAN on CelebA, 64x64 (paper Figs. 6, A.1; Table 1: winning ticket at 83.2 %).

    python -m gen_tickets.main --config=experiments/dcgan_celeba.py \
        --config.data.download=true
"""

from experiments import dcgan_cifar10


def get_config(size="full"):
    config = dcgan_cifar10.get_config(size)
    config.data.name = "celeb_a"
    config.data.image_size = 64
    config.model.widths = (64, 128, 256, 512)
    return config
