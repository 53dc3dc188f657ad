r"""Early-bird ticket of DCGAN on CIFAR-10 (Fig. 7, Table 2: FID 33.49, -88 % FLOPs).

    python -m gen_tickets.main --config=experiments/early_bird_dcgan_cifar10.py \
        --config.data.download=true

Cutting 66.5 % of the channels of every layer alike takes 88 % of a step's FLOPs away;
pooled over the network it is more or less, as results.csv says.
experiments/dcgan_cifar10.py has the dense training.
Discriminator and initializer: "authors", as the paper trained them.
"""

from gen_tickets.config import defaults
from gen_tickets.experiments import dcgan_cifar10, early_bird_digits


def in_channels(config, size, fraction):
    """The experiment with an early-bird ticket in the place of its rounds.

    Args:
      config: the dense experiment; changed in place.
      size: "full", "gpu" or "smoke".
      fraction: share of the channels to be cut.
    """
    config.prune.schedule = "early_bird"
    config.prune.fraction = fraction
    config.prune.rounds = 1
    config.rewind.step = 0
    config.optimizer.scale_l1 = 1e-4
    return defaults.resize(config, size, gpu={"train.epochs": 60})


def get_config(size="full"):
    if size == "laptop":
        config = early_bird_digits.get_config()
        # A search of 6 to 10 epochs is a small part of the training.
        config.train.steps = 3700
        return config
    return in_channels(
        dcgan_cifar10.get_config(size), size, defaults.EARLY_BIRD_CHANNELS
    )
