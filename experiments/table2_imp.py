r"""Table 2, unpruned and IMP: DCGAN on CIFAR-10, 8 rounds to 83.2 % (FID 37.71, 37.77).

    python -m gen_tickets.main --config=experiments/table2_imp.py \
        --config.data.download=true

The other rows are derived from this one: experiments/table2_early_bird.py,
experiments/table2_snip.py, experiments/table2_grasp.py. To make the table:

    python -m gen_tickets.paper table2 --scale=full

`:gpu` is shorter, `:laptop` has 2,000 images, narrow networks and 600 steps.

Discriminator and initializer: "authors", as the paper trained them.
"""

from gen_tickets.config import defaults
from gen_tickets.experiments import dcgan_cifar10


def get_config(size="full"):
    config = dcgan_cifar10.get_config()
    config.prune.rounds = 8
    config.eval.every_rounds = 0
    gpu = {"runs": 3, "train.epochs": 60, "prune.fraction": 0.36, "prune.rounds": 4}
    laptop = {"runs": 3, "train.epochs": 0, "train.steps": 600}
    laptop |= {"data.limit": 2000, "data.batch_size": 64}
    laptop |= {"model.widths": (24, 48, 96), "optimizer.learning_rate": 5e-4}
    laptop |= {"prune.fraction": 0.59, "prune.rounds": 2}  # together 83.2 %
    laptop |= {"eval.num_samples": 2000}
    laptop |= {"eval.classifier_epochs": 5, "eval.classifier_width": 8}
    if size == "smoke":
        config.model.widths = (8, 16, 32)
    return defaults.resize(config, size, gpu=gpu, laptop=laptop)
