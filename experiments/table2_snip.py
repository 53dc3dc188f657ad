r"""Table 2, DCGAN on CIFAR-10 pruned to 83.2 % at initialization by SNIP (FID 56.02).

    python -m gen_tickets.main --config=experiments/table2_snip.py \
        --config.data.download=true

Compare with the last round of experiments/table2_imp.py, which has the same sparsity.

Discriminator and initializer: "authors", as the paper trained them.
"""

from gen_tickets.experiments import table2_imp


def get_config(size="full"):
    config = table2_imp.get_config(size)
    config.arms = ("winning",)
    config.prune.method = "snip"
    config.prune.schedule = "at_initialization"
    config.prune.fraction = 1 - (1 - config.prune.fraction) ** config.prune.rounds
    config.prune.rounds = 1
    config.rewind.step = 0
    return config
