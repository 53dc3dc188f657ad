r"""Table 2, unpruned and IMP: DCGAN on CIFAR-10, 8 rounds to 83.2 % (FID 37.71, 37.77).

    python -m gen_tickets.main --config=experiments/table2_imp.py \
        --config.data.download=true

The other rows are derived from this one: experiments/table2_early_bird.py,
experiments/table2_snip.py, experiments/table2_grasp.py. To make the table:

    python -m gen_tickets.paper table2 --scale=full

`:gpu` is shorter. `:laptop` is experiments/dcgan_mnist.py on 3,200 images, so that an
early-bird search of up to 10 epochs is a third of the training; 4 rounds of 36 %.

Discriminator and initializer: "authors", as the paper trained them.
"""

from gen_tickets.config import defaults
from gen_tickets.experiments import dcgan_cifar10


def get_config(size="full"):
    config = dcgan_cifar10.get_config("laptop" if size == "laptop" else "full")
    config.prune.rounds = 8
    config.eval.every_rounds = 0
    gpu = {"runs": 3, "train.epochs": 60, "prune.fraction": 0.36, "prune.rounds": 4}
    laptop = {"data.limit": 3200, "prune.rounds": 4}
    if size == "smoke":
        config.model.widths = (8, 16, 32)
    return defaults.resize(config, size, gpu=gpu, laptop=laptop)
