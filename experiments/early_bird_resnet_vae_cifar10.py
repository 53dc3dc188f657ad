r"""Early-bird ticket of ResNet-VAE on CIFAR-10 (paper Fig. 7).

    python -m gen_tickets.main --config=experiments/early_bird_resnet_vae_cifar10.py \
        --config.data.download=true

Cutting 65 % of the channels of every layer alike takes 85 % of a step's FLOPs away.
experiments/resnet_vae_cifar10.py has the dense training.
"""

from experiments import resnet_vae_cifar10


def get_config(size="full"):
    config = resnet_vae_cifar10.get_config(size)
    config.prune.schedule = "early_bird"
    config.prune.fraction = 0.65
    config.prune.rounds = 1
    config.rewind.step = 0
    config.optimizer.scale_l1 = 1e-4
    config.paper.sparsity = 0.0
    if size == "smoke":
        config.data.limit = 128  # 4 steps an epoch
        config.early_bird.epochs = 6
        config.early_bird.take_last = True
    return config
