r"""DCGAN on CIFAR-10, pruned at once instead of in rounds (paper Fig. 3, left).

    python -m gen_tickets.main --config=experiments/one_shot_dcgan_cifar10.py \
        --config.data.download=true

To be compared with experiments/dcgan_cifar10.py; in the paper one-shot pruning is the
worse one at high sparsity.

Discriminator and initializer: "authors", as the paper trained them.
"""

from gen_tickets.experiments import dcgan_cifar10


def get_config(size="full"):
    config = dcgan_cifar10.get_config(size)
    config.prune.schedule = "one_shot"
    if size in ("gpu", "laptop"):  # dcgan_cifar10 has the control
        config.arms = ("winning",)
    return config
