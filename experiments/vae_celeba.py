r"""VAE on CelebA (paper Fig. 5, Table 1: winning ticket at 79 %).

    python -m gen_tickets.main --config=experiments/vae_celeba.py \
        --config.data.download=true

Initializer: "authors", as the paper trained it.
"""

from gen_tickets.config import defaults
from gen_tickets.experiments import vae_cifar10


def get_config(size="full"):
    config = vae_cifar10.get_config(size)
    config.data.name = "celeb_a"
    config.data.image_size = 32
    return defaults.resize(config, size)
