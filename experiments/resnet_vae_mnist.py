r"""Winning tickets of a small ResNet-VAE on MNIST at 32x32, on a laptop.

    python -m gen_tickets.main --config=experiments/resnet_vae_mnist.py \
        --config.data.download=true

Like experiments/vae_mnist.py, with residual networks, initialized as in the authors'
code. One round of 80 % (3 runs, NVIDIA H200), `fd_classifier`: dense 4.70 ± 0.59,
winning 5.70 ± 0.65, random 6.50 ± 0.46. The deviation of dense, 12.5 % of the mean, is
above the 10 % of the gate: nothing can be said of tickets yet.
"""

from gen_tickets.experiments import vae_mnist


def get_config(size="full"):
    config = vae_mnist.get_config(size)
    config.model.name = "resnet"
    config.model.widths = (8, 16, 32)
    config.optimizer.update(learning_rate=4e-3, schedule="cosine")
    return config
