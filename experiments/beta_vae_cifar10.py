r"""beta-VAE on CIFAR-10, beta = 4 (paper Fig. 5, Table 1: winning ticket at 86.5 %).

    python -m gen_tickets.main --config=experiments/beta_vae_cifar10.py \
        --config.data.download=true

`:gpu` is that of experiments/vae_cifar10.py, `:laptop` experiments/beta_vae_mnist.py.

Initializer: "authors", as the paper trained it.
"""

from gen_tickets.experiments import beta_vae_mnist, vae_cifar10


def get_config(size="full"):
    if size == "laptop":
        return beta_vae_mnist.get_config()
    config = vae_cifar10.get_config(size)
    config.task.beta = 4.0
    return config
