r"""DCGAN on CIFAR-10, one-shot instead of iterative pruning (paper Fig. 3, left).

    python -m gen_tickets.main --config=experiments/one_shot_dcgan_cifar10.py \
        --config.data.download=true

Compare with experiments/dcgan_cifar10.py; in the paper one-shot pruning is worse at
high sparsity.

Discriminator and initializer: "authors", as the paper trained them.
"""

from gen_tickets.experiments import dcgan_cifar10


def get_config(size="full"):
    config = dcgan_cifar10.get_config(size)
    config.prune.schedule = "one_shot"
    if size in ("gpu", "laptop"):  # dcgan_cifar10 has the control
        config.arms = ("winning",)
    return config
