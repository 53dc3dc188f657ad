"""Tickets of a small VAE's decoder on handwritten digits, on a laptop.

    python -m gen_tickets.main --config=experiments/vae_digits.py

Uses the networks and images of experiments/transfer_digits.py, which transfers the
decoder's tickets to the generator of a DCGAN. The encoder is not pruned.

Initializer: "authors", as in the DCGAN that uses its tickets.
"""

from gen_tickets.config import defaults


def get_config(size="full"):
    config = defaults.get_config()
    config.runs = 3
    config.data.name = "digits"
    config.data.image_size = 8
    config.data.batch_size = 32
    config.model.name = "convstack"
    config.model.widths = (24, 48)
    config.model.latent_size = 16
    config.task.name = "vae"
    config.optimizer.learning_rate = 1e-3
    config.optimizer.weight_decay = 1e-5
    config.train.steps = 500
    config.prune.fraction = 0.5
    config.prune.rounds = 2
    config.prune.components = ("decoder",)
    config.eval.every_steps = 100
    config.eval.verdict = "heldout_loss"
    return defaults.resize(config, size)
