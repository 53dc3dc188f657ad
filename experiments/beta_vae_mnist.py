r"""Winning tickets of a small beta-VAE, beta = 4, on MNIST at 32x32, on a laptop.

    python -m gen_tickets.main --config=experiments/beta_vae_mnist.py \
        --config.data.download=true

Like experiments/vae_mnist.py, initialized as in the authors' code. One round of 80 %
(3 runs, NVIDIA H200), `fd_classifier`: dense 5.89 ± 0.21, winning 6.04 ± 0.34, random
6.88 ± 0.69: winning matches dense, but random is not significantly worse. All gates
pass but the power: 3 runs detect a difference of 24 %. The finer rounds of this file
have not been run.
"""

from gen_tickets.experiments import vae_mnist


def get_config(size="full"):
    config = vae_mnist.get_config(size)
    config.task.beta = 4.0
    return config
