r"""DCGAN on CIFAR-10, rewound to initialization (paper Fig. 3, right).

    python -m gen_tickets.main --config=experiments/rewind_dcgan_cifar10.py \
        --config.data.download=true

Compare with experiments/dcgan_cifar10.py, which rewinds to step 10; in the paper late
rewinding does at least as well at every sparsity.

Discriminator and initializer: "authors", as the paper trained them.
"""

from gen_tickets.experiments import dcgan_cifar10


def get_config(size="full"):
    config = dcgan_cifar10.get_config(size)
    config.rewind.step = 0
    if size in ("gpu", "laptop"):  # dcgan_cifar10 has the control
        config.arms = ("winning",)
    return config
