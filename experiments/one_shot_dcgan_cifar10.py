r"""DCGAN on CIFAR-10, one-shot instead of iterative pruning (paper Fig. 3, left).

    python -m gen_tickets.main --config=experiments/one_shot_dcgan_cifar10.py \
        --config.data.download=true

Compare with experiments/dcgan_cifar10.py; in the paper one-shot pruning is worse at
high sparsity. So it is with `:laptop`, experiments/dcgan_mnist.py (3 runs, 21 min on
one core of an AMD EPYC beside other jobs), `fd_classifier` one-shot and iterative: 14.1
± 1.6 and 9.94 ± 0.89 at 83.2 % (p = 0.03), 20.19 ± 0.43 and 12.4 ± 1.2 at 89.3 % (p =
0.003); dense 6.79 ± 0.35.

Discriminator and initializer: "authors", as the paper trained them.
"""

from gen_tickets.experiments import dcgan_cifar10


def get_config(size="full"):
    config = dcgan_cifar10.get_config(size)
    config.prune.schedule = "one_shot"
    if size in ("gpu", "laptop"):  # dcgan_cifar10 has the control
        config.arms = ("winning",)
    return config
