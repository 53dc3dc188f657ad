r"""Early-bird ticket of VAE on CIFAR-10 (paper Fig. 7).

    python -m gen_tickets.main --config=experiments/early_bird_vae_cifar10.py \
        --config.data.download=true

Removing 65 % of the channels of every layer saves 87 % of a step's FLOPs.
experiments/vae_cifar10.py has the dense training. `:laptop` trains
experiments/vae_mnist.py on 6,400 images, for 4,000 steps, with a cosine from 2e-3: at a
constant 1e-3 the dense network still improves in the last tenth.

Initializer: "authors", as the paper trained it.
"""

from gen_tickets.experiments import early_bird_dcgan_cifar10, vae_cifar10


def get_config(size="full"):
    config = vae_cifar10.get_config(size)
    if size == "laptop":
        config.optimizer.update(learning_rate=2e-3, schedule="cosine")
    return early_bird_dcgan_cifar10.in_channels(config, size, 0.65)
