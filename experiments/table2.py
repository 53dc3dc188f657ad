r"""The paper's Table 2 on CIFAR-10: DCGAN unpruned, IMP, early-bird, SNIP, GraSP.

    python -m gen_tickets.main --config=experiments/table2.py \
        --config.data.download=true
    python -m gen_tickets.main --config=experiments/table2.py:smoke     # a small DCGAN

Eight rounds of IMP end at 83.2 % sparsity, to which SNIP and GraSP prune at once.
"""

from gen_tickets.experiments import dcgan_cifar10


def get_config(size="full"):
    config = dcgan_cifar10.get_config(size)
    config.suite = "table2"
    config.eval.every_rounds = 0
    config.prune.rounds = 8
    if size == "smoke":
        config.runs = 1
        config.data.limit = 128  # 4 steps an epoch
        config.model.widths = (8, 16, 32)
        config.prune.rounds = 2
        config.early_bird.epochs = 6
        config.early_bird.take_last = True
    return config
