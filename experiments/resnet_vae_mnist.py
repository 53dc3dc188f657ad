r"""Winning tickets of a small ResNet-VAE on MNIST at 32x32, on a laptop.

    python -m gen_tickets.main --config=experiments/resnet_vae_mnist.py \
        --config.data.download=true

Like experiments/vae_mnist.py, with residual networks, initialized as in the authors'
code. Not measured yet: steps, rewind step, tickets.
"""

from gen_tickets.experiments import vae_mnist


def get_config(size="full"):
    config = vae_mnist.get_config(size)
    config.model.name = "resnet"
    return config
