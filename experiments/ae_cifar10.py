r"""Convolutional autoencoder on CIFAR-10 (paper Fig. 4, Table 1: 95.6 %).

    python -m gen_tickets.main --config=experiments/ae_cifar10.py \
        --config.data.download=true

`:gpu` is shorter: 20 epochs, 3 runs, 8 rounds of 36 %, each two of the paper's.
`:laptop` is experiments/conv_ae_mnist.py.

Initializer: "authors", as the paper trained it.
"""

from gen_tickets.config import defaults
from gen_tickets.experiments import conv_ae_mnist


def get_config(size="full"):
    if size == "laptop":
        return conv_ae_mnist.get_config()
    config = defaults.get_config()
    config.data.name = "cifar10"
    config.data.batch_size = 128
    config.model.name = "conv"
    config.model.widths = (32, 64, 128, 256, 512)
    config.model.latent_size = 512
    config.optimizer.learning_rate = 1e-3
    config.optimizer.weight_decay = 1e-5
    config.train.epochs = 100
    config.prune.rounds = 20
    gpu = {"runs": 3, "prune.fraction": 0.36, "prune.rounds": 8, "train.epochs": 20}
    return defaults.resize(config, size, gpu={**gpu, "eval.metrics": ("accuracy",)})
