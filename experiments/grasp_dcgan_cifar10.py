r"""DCGAN on CIFAR-10, pruned at initialization by GraSP (paper Table 2: FID 65.53).

    python -m gen_tickets.main --config=experiments/grasp_dcgan_cifar10.py \
        --config.data.download=true

Like experiments/snip_dcgan_cifar10.py; the saliency is the gradient flow of a weight.

Discriminator and initializer: "authors", as the paper trained them.
"""

from gen_tickets.experiments import snip_dcgan_cifar10


def get_config(size="full"):
    config = snip_dcgan_cifar10.get_config(size)
    config.prune.method = "grasp"
    return config
