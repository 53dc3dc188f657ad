r"""Winning tickets of a small beta-VAE, beta = 4, on MNIST at 32x32, on a laptop.

    python -m gen_tickets.main --config=experiments/beta_vae_mnist.py \
        --config.data.download=true

Like experiments/vae_mnist.py, initialized as in the authors' code. Not measured yet:
steps, rewind step, tickets.
"""

from gen_tickets.experiments import vae_mnist


def get_config(size="full"):
    config = vae_mnist.get_config(size)
    config.task.beta = 4.0
    return config
