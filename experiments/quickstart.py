"""Winning tickets of a small autoencoder on embedded handwritten digits, in minutes.

    python -m gen_tickets.main
"""

from gen_tickets import defaults


def get_config(size="full"):
    config = defaults.get_config()
    config.runs = 3
    config.data.name = "digits"
    config.data.batch_size = 64
    config.model.name = "linear"
    config.optimizer.weight_decay = 1e-5
    config.optimizer.learning_rate = 2e-3
    config.train.epochs = 100
    config.prune.rounds = 8
    return defaults.resize(config, size)
