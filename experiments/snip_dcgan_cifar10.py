r"""DCGAN on CIFAR-10, pruned at initialization by SNIP (paper Table 2: FID 56.02).

    python -m gen_tickets.main --config=experiments/snip_dcgan_cifar10.py \
        --config.data.download=true

Compare with experiments/dcgan_cifar10.py at the same sparsities: here every round
prunes the initial weights to its sparsity and trains them, without rewinding.

Discriminator and initializer: "authors", as the paper trained them.
"""

from gen_tickets.experiments import dcgan_cifar10


def get_config(size="full"):
    config = dcgan_cifar10.get_config(size)
    config.prune.method = "snip"
    config.prune.schedule = "at_initialization"
    config.rewind.step = 0
    return config
