r"""DCGAN on CelebA, 64x64 (paper Figs. 6, A.1; Table 1: winning ticket at 83.2 %).

    python -m gen_tickets.main --config=experiments/dcgan_celeba.py \
        --config.data.download=true --config.eval.download_weights=true

Discriminator and initializer: "authors", as the paper trained them.
"""

from gen_tickets.config import defaults
from gen_tickets.experiments import dcgan_cifar10


def on_celeba(config, size):
    """The experiment of CIFAR-10 on CelebA: no classes, so that the FID decides."""
    config.data.name = "celeb_a"
    config.data.image_size = 64
    # A smoke run has too few samples for FID.
    config.eval.verdict = "fid" if size == "full" else "swd"
    config.eval.metrics = (config.eval.verdict,)
    return defaults.resize(config, size)


def get_config(size="full"):
    config = on_celeba(dcgan_cifar10.get_config(size), size)
    config.model.widths = (64, 128, 256, 512)
    return config
