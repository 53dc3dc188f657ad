r"""DCGAN on CIFAR-10, rewound to initialization (paper Fig. 3, right).

    python -m gen_tickets.main --config=experiments/rewind_dcgan_cifar10.py \
        --config.data.download=true

Compare with experiments/dcgan_cifar10.py, which rewinds to step 10; in the paper late
rewinding does at least as well at every sparsity. So it does with `:laptop`,
experiments/dcgan_mnist.py (3 runs, 21 min on one core of an AMD EPYC beside other
jobs), `fd_classifier` rewound to 0 and to 150: 13.2 ± 2.0 and 9.94 ± 0.89 at 83.2 % (p
= 0.09), 15.7 ± 1.0 and 12.4 ± 1.2 at 89.3 % (p = 0.02); dense 6.79 ± 0.35.

Discriminator and initializer: "authors", as the paper trained them.
"""

from gen_tickets.experiments import dcgan_cifar10


def get_config(size="full"):
    config = dcgan_cifar10.get_config(size)
    config.rewind.step = 0
    if size in ("gpu", "laptop"):  # dcgan_cifar10 has the control
        config.arms = ("winning",)
    return config
