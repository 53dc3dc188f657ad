"""Early-bird ticket of a small DCGAN on handwritten digits, on a laptop.

    python -m gen_tickets.main --config=experiments/early_bird_digits.py

Removes half of the channels; experiments/dcgan_digits.py has the dense training.

Found here (seed 0; 1 min 52 s on 2 cores): tickets in 3 of 3 runs, at epochs 7 to 8.
They have 24 % of the weights and 61 % of the dense FLOPs, including the search;
fd_classifier is 23.4 ± 3.2, dense 11.3 ± 1.5.

Discriminator and initializer: "authors", also for these results.
"""

from gen_tickets.config import defaults
from gen_tickets.experiments import dcgan_digits


def get_config(size="full"):
    config = dcgan_digits.get_config(size)
    config.prune.schedule = "early_bird"
    config.prune.fraction = 0.5
    config.prune.rounds = 1
    config.rewind.step = 0
    config.early_bird.epochs = 10
    return defaults.resize(config, size)
