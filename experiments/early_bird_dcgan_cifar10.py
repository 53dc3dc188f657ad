r"""Early-bird ticket of DCGAN on CIFAR-10 (Fig. 7, Table 2: FID 33.49, -88 % FLOPs).

    python -m gen_tickets.main --config=experiments/early_bird_dcgan_cifar10.py \
        --config.data.download=true

Removing 66.5 % of the channels of every layer saves 88 % of a step's FLOPs; pooled over
the network it may be more or less, see results.csv. experiments/dcgan_cifar10.py has
the dense training.

`:laptop` removes half of the channels of experiments/dcgan_mnist.py, trained on 6,400
images, so that a search of up to 10 epochs is a quarter of the training.

Discriminator and initializer: "authors", as the paper trained them.
"""

from gen_tickets.config import defaults
from gen_tickets.experiments import dcgan_cifar10


def in_channels(config, size, fraction):
    """The experiment with an early-bird ticket in the place of its rounds.

    Args:
      config: the dense experiment; changed in place.
      size: "full", "gpu", "laptop" or "smoke".
      fraction: share of the channels to be cut.
    """
    config.prune.schedule = "early_bird"
    config.prune.fraction = fraction
    config.prune.rounds = 1
    config.rewind.step = 0
    config.optimizer.scale_l1 = 1e-4
    laptop = {"data.limit": 6400, "train.steps": 4000, "early_bird.epochs": 10}
    laptop |= {"early_bird.multiple": 1}  # the same channels on every machine
    return defaults.resize(config, size, gpu={"train.epochs": 60}, laptop=laptop)


def get_config(size="full"):
    fraction = 0.5 if size == "laptop" else defaults.EARLY_BIRD_CHANNELS
    return in_channels(dcgan_cifar10.get_config(size), size, fraction)
