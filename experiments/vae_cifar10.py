r"""VAE on CIFAR-10 (paper Fig. 5, Table 1: winning ticket at 79 %).

    python -m gen_tickets.main --config=experiments/vae_cifar10.py \
        --config.data.download=true
"""

from gen_tickets.config import defaults


def get_config(size="full"):
    config = defaults.get_config()
    config.data.name = "cifar10"
    config.data.batch_size = 128
    config.model.name = "convstack"
    config.model.widths = (64, 128, 256, 512)
    config.model.latent_size = 32
    config.task.name = "vae"
    config.optimizer.learning_rate = 1e-3
    config.optimizer.weight_decay = 1e-5
    config.train.epochs = 100
    config.prune.rounds = 20
    config.eval.verdict = "heldout_loss"
    config.paper.sparsity = 0.79
    return defaults.resize(config, size)
