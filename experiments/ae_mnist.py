r"""Linear autoencoder on MNIST (paper Fig. 4, Table 1: winning ticket at 89.2 %).

    python -m gen_tickets.main --config=experiments/ae_mnist.py \
        --config.data.download=true
"""

from gen_tickets import defaults


def get_config(size="full"):
    config = defaults.get_config()
    config.data.name = "mnist"
    config.data.batch_size = 128
    config.model.name = "linear"
    config.model.widths = (128, 64, 12)
    config.model.latent_size = 3
    config.optimizer.learning_rate = 1e-3
    config.optimizer.weight_decay = 1e-5
    config.train.epochs = 12
    config.prune.rounds = 20
    config.paper.sparsity = 0.892
    return defaults.resize(config, size)
