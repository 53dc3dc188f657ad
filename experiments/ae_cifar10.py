r"""Convolutional autoencoder on CIFAR-10 (paper Fig. 4, Table 1: 95.6 %).

    python -m gen_tickets.main --config=experiments/ae_cifar10.py \
        --config.data.download=true
"""

from gen_tickets.config import defaults


def get_config(size="full"):
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
    config.paper.sparsity = 0.956
    return defaults.resize(config, size)
