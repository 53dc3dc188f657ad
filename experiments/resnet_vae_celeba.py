r"""ResNet-VAE on CelebA (paper Figs. 5, A.3; Table 1: winning ticket at 93.1 %).

    python -m gen_tickets.main --config=experiments/resnet_vae_celeba.py \
        --config.data.download=true

Initializer: "authors", as the paper trained it.
"""

from gen_tickets.config import defaults
from gen_tickets.experiments import resnet_vae_cifar10


def get_config(size="full"):
    config = resnet_vae_cifar10.get_config(size)
    config.data.name = "celeb_a"
    config.data.image_size = 64
    return defaults.resize(config, size)
