r"""Table 2, early-bird ticket of DCGAN on CIFAR-10 (FID 33.49; 34.28 in 16 bits).

    python -m gen_tickets.main --config=experiments/table2_early_bird.py \
        --config.data.download=true                     # --config.precision=bfloat16

experiments/table2_imp.py has the dense training. Unlike
experiments/early_bird_dcgan_cifar10.py, there is no L1 penalty on the scales.

Discriminator and initializer: "authors", as the paper trained them.
"""

from gen_tickets.config import defaults
from gen_tickets.experiments import table2_imp


def get_config(size="full"):
    config = table2_imp.get_config(size)
    config.prune.schedule = "early_bird"
    config.prune.fraction = defaults.EARLY_BIRD_CHANNELS
    config.prune.rounds = 1
    config.rewind.step = 0
    laptop = {"early_bird.epochs": 10, "early_bird.multiple": 1}
    return defaults.resize(config, size, gpu={}, laptop=laptop)
